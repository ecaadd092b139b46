"""Where the pages may listen."""

from pathlib import Path

import pytest

from bidder.config import ConfigProblems, Settings, load_settings

_FILE = """
mode: paper
web: {web}
rates: {{BTC: 69000}}
strategies:
  - {{name: ada, ceiling: {{usd: 3}}, servers: {{gpu: RTX 3090}}, launch: {{image: a/b}}}}
"""


def load(tmp_path: Path, web: str, **environ: str) -> Settings:
    """Return the settings of a file with this ``web``."""
    file = tmp_path / "config.yaml"
    file.write_text(_FILE.format(web=web), encoding="utf-8")
    return load_settings(file, environ)


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:9464", "127.0.0.1", 9464),
        ("localhost:0", "127.0.0.1", 0),
        ("'[::1]:80'", "::1", 80),
        ("127.3.2.1:65535", "127.3.2.1", 65535),
    ],
)
def test_loopback_needs_no_token(tmp_path: Path, listen: str, host: str, port: int) -> None:
    """Any address that only this machine reaches."""
    web = load(tmp_path, f"{{listen: {listen}}}").web

    assert web is not None
    assert (web.host, web.port, web.token, web.loopback) == (host, port, None, True)


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "'[::]:9464'", "10.0.0.5:9464", "192.0.2.1:1"])
def test_any_other_address_needs_a_token(tmp_path: Path, listen: str) -> None:
    """Without one it is refused; with one the token is a secret like every other."""
    with pytest.raises(ConfigProblems, match="so it needs a token") as caught:
        load(tmp_path, f"{{listen: {listen}}}")
    told = listen.strip("'")
    assert f"can be reached from other machines, so it needs a token (got '{told}')" in str(caught.value)

    settings = load(tmp_path, f"{{listen: {listen}, token: {{env: WEB}}}}", WEB="correct-horse-battery")
    assert settings.web is not None
    assert settings.web.token == "correct-horse-battery"
    assert "correct-horse-battery" in settings.secret_values
    assert "correct-horse-battery" not in repr(settings)


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ("{listen: 9464}", "is not an address and a port"),
        ("{listen: example.com:80}", "is not an address and a port"),
        ("{listen: 127.0.0.1:99999}", "is not an address and a port"),
        ("{listen: '127.0.0.1:'}", "is not an address and a port"),
        ("{}", "is required"),
        ("{listen: 127.0.0.1:1, token: short}", "is not at least 16 printable characters"),
        ("{listen: 127.0.0.1:1, token: 'with blanks in it all over'}", "is not at least 16 printable"),
        ("{listen: 127.0.0.1:1, token: {env: NONE}}", "is not set"),
        ("{listen: 127.0.0.1:1, prot: 3}", "unknown"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, web: str, said: str) -> None:
    """With line and remedy, and without the token."""
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, web)

    assert said in str(caught.value)
    assert "config.yaml:3" in str(caught.value)
    assert "with blanks" not in str(caught.value)


def test_nothing_listens_unless_asked(tmp_path: Path) -> None:
    """Without the section there are no pages."""
    file = tmp_path / "config.yaml"
    file.write_text(_FILE.format(web="{}").replace("web: {}", ""), encoding="utf-8")

    assert load_settings(file, {}).web is None
