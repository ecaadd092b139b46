"""Secrets from systemd's credentials."""

from pathlib import Path

import pytest

from bidder.config import ConfigProblems, Settings, load_settings

_FILE = """
mode: paper
rates: {{BTC: 69000}}
launch: {{image: a/b, ssh_password: {{credential: {name}}}}}
strategies:
  - {{name: ada, ceiling: {{usd: 3}}, servers: {{gpu: RTX 3090}}}}
"""


def load(tmp_path: Path, environ: dict[str, str], name: str = "ssh-password") -> Settings:
    """Return the settings of a file whose password is a credential."""
    file = tmp_path / "config.yaml"
    file.write_text(_FILE.format(name=name), encoding="utf-8")
    return load_settings(file, environ)


def test_a_credential_is_read_from_the_services_own_folder(tmp_path: Path) -> None:
    """Token and password come from files in $CREDENTIALS_DIRECTORY, one line each."""
    (tmp_path / "ssh-password").write_text("correct-horse\n", encoding="utf-8")
    (tmp_path / "clore-token").write_text("the-token\n", encoding="utf-8")

    settings = load(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert settings.policy.targets[0].launch.ssh_password == "correct-horse"
    assert settings.require_token().reveal() == "the-token"


@pytest.mark.parametrize(
    ("name", "environ", "said"),
    [
        ("ssh-password", {}, "there are no credentials here"),
        ("../shadow", {"CREDENTIALS_DIRECTORY": "/tmp"}, "is not the name of a credential"),
        ("absent", {"CREDENTIALS_DIRECTORY": "/nonexistent"}, "there is no such file"),
    ],
)
def test_a_credential_that_is_not_there_is_an_error_with_its_line(
    tmp_path: Path, name: str, environ: dict[str, str], said: str
) -> None:
    """Line, key and remedy; never a file outside of the credentials' folder."""
    with pytest.raises(ConfigProblems, match=said) as caught:
        load(tmp_path, environ, name)

    assert "config.yaml:4: launch.ssh_password.credential" in str(caught.value)
