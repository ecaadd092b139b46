"""A configuration as it may be shown: whatever is in it, no secret is."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidder.config import KEYS
from bidder.config.confidential import survey

CANARY = "c4naryS3cret"
TARGET = "strategies:\n  - name: one\n    ceiling: {usd: 3}\n    launch: {image: x, PLACE}\n"
SECRETS = sorted(key.path for key in KEYS if key.unit == "secret")
PLACES = {
    "a secret in a launch": TARGET.replace("PLACE", f"ssh_password: {CANARY}"),
    "a variable": TARGET.replace("PLACE", f"env: {{A: {CANARY}}}"),
    "variables as a list": TARGET.replace("PLACE", f"env: [A={CANARY}]"),
    "variables as a word": TARGET.replace("PLACE", f"env: {CANARY}"),
    "a secret as keys": TARGET.replace("PLACE", f"ssh_password: {{value: {CANARY}}}"),
    "a secret as a list": TARGET.replace("PLACE", f"ssh_password: [{CANARY}]"),
    "a secret as a variable's name": TARGET.replace("PLACE", f"ssh_password: {{env: {CANARY}}}"),
    "a secret as a path": TARGET.replace("PLACE", f"ssh_password: {{file: {CANARY}}}"),
    "defaults": f"launch: {{jupyter_token: {CANARY}}}",
    "an inline token": f"account: {{token: {CANARY}}}",
    "a token for a variable": f"account: {{token_env: {CANARY}}}",
    "a token for a variable, in capitals": f"account: {{token_env: {CANARY.upper()}}}",
    "a token for a file": f"account: {{token_file: {CANARY}}}",
    "a misspelt key": f"tokne: {CANARY}",
    "a secret as a key": f"{CANARY}: 1",
    "a database's password": f"database: postgresql://me:{CANARY}@host/db",
    "a database's password in its query": f"database: postgresql://host/db?password={CANARY}",
    "an odd database": f"database: mysql://me:{CANARY}@host/db",
    "a token in a URL's path": f"exchange: {{url: https://x/{CANARY}/v1}}",
    "a token in a URL's query": f"exchange: {{url: 'https://x/v1?token={CANARY}'}}",
    "a token in a URL's login": f"exchange: {{url: https://{CANARY}@x/v1}}",
    "the page's token": f"web: {{listen: 127.0.0.1:1, token: {CANARY}}}",
    "a receiver": f"notices: [{{to: tgram://{CANARY}/1}}]",
    "a receiver as a word": f"notices: [{CANARY}]",
    "a program's argument": f"notices: [{{command: [/bin/sh, {CANARY}]}}]",
    "a comment": f"mode: paper # {CANARY}",
    "an anchor": f"x: &{CANARY} 1\nmode: paper",
}


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_shown(tmp_path: Path, place: str) -> None:
    """Wherever it stands, in its own place or in a wrong one."""
    path = tmp_path / "config.yaml"
    path.write_text(PLACES[place])

    found = survey(path, {})

    assert found.shown is not None
    assert CANARY.lower() not in found.shown.lower()
    assert CANARY not in repr(found)


@pytest.mark.parametrize("key", SECRETS)
def test_every_secret_key_is_hidden_and_found(tmp_path: Path, key: str) -> None:
    """Each key that the table calls a secret, as it stands in the table."""
    document: object = CANARY
    for part in reversed(key.replace("<name>", "A").split(".")):
        name = part.removesuffix("[]")
        document = {name: [document] if part.endswith("[]") else document}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.dump(document))

    found = survey(path, {})

    assert found.shown is not None
    assert CANARY not in found.shown
    assert CANARY in found.secrets
    assert found.inline


def test_what_is_harmless_is_shown(tmp_path: Path) -> None:
    """Names that are there, prices, servers, and where secrets come from."""
    (tmp_path / "pass.txt").write_text(CANARY)
    path = tmp_path / "config.yaml"
    text = """
mode: live
account: {token_env: MY_TOKEN}
exchange: {url: https://api.clore.ai/v1}
rates: {BTC: 69000}
strategies:
  - name: one
    want: 2
    ceiling: {usd: 4.50, per: gpu}
    servers: {gpu: [A, B], gpus: {min: 1}}
    launch:
      image: x
      ports: [22/tcp]
      env: {A: {env: THERE}}
      ssh_password: {file: pass.txt}
"""
    path.write_text(text)

    found = survey(path, {"THERE": f"{CANARY}-2"})

    assert found.shown is not None
    shown = yaml.safe_load(found.shown)
    written = yaml.safe_load(text)
    written["rates"]["BTC"], written["strategies"][0]["want"] = "69000", "2"
    written["strategies"][0]["ceiling"]["usd"] = "4.50"
    written["strategies"][0]["servers"]["gpus"]["min"] = "1"
    assert shown == written
    assert set(found.secrets) == {CANARY, f"{CANARY}-2"}
    assert [each.path for each in found.files] == [tmp_path / "pass.txt"]
    assert not found.inline


def test_who_may_read_a_secret_file(tmp_path: Path) -> None:
    """A file that the group or everybody may read is exposed; one of the owner's own is not."""
    path, secret = tmp_path / "config.yaml", tmp_path / "pass.txt"
    path.write_text(TARGET.replace("PLACE", "ssh_password: {file: pass.txt}"))
    secret.write_text(CANARY)
    seen = []
    for mode in (0o644, 0o640, 0o600):
        secret.chmod(mode)
        seen.append(survey(path, {}).files[0].exposed)

    assert seen == [True, True, False]


_NAMES = sorted({part for key in KEYS for part in key.path.replace("[]", "").split(".")})
_trees = st.recursive(
    st.none() | st.integers() | st.just(CANARY) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*_NAMES, "usd"]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(st.sampled_from(_NAMES), _trees, max_size=5))
def test_any_structure_has_a_survey(tmp_path: Path, tree: dict[str, object]) -> None:
    """Nothing is raised, and what it shows can be read again."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.dump(tree, allow_unicode=True), encoding="utf-8", errors="replace")

    found = survey(path, {})

    assert found.shown is None or isinstance(yaml.safe_load(found.shown), dict)
