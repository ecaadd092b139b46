"""What a running daemon may take up of a changed configuration."""

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from bidder.config import Settings, load_settings
from bidder.config.needs import NOTHING
from bidder.config.reload import needs_restart, restart_keys

_FILE = """
mode: paper
rates: {{BTC: 69000}}
strategies:
  - {{name: ada, want: {want}, ceiling: {{usd: 3}}, servers: {{gpu: RTX 3090}}, launch: {{image: a/b}}}}
"""


def settings(tmp_path: Path, *, want: int = 1, token: str = "token-one") -> Settings:
    """Return the settings of a small file."""
    file = tmp_path / "config.yaml"
    file.write_text(_FILE.format(want=want), encoding="utf-8")
    return load_settings(file, {"CLORE_TOKEN": token})


def test_what_the_owner_wants_may_change(tmp_path: Path) -> None:
    """Another policy, another log level and other warnings need no restart."""
    before, after = settings(tmp_path), settings(tmp_path, want=5)

    assert needs_restart(before, after) == ()
    assert needs_restart(before, before) == ()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"database_url": "postgresql+psycopg://u:secret@h/d"}, "database"),
        ({"exchange_url": "http://127.0.0.1:1/v1"}, "exchange.url"),
        ({"account": "other"}, "account.name"),
        ({"token": None}, "the API token"),
    ],
)
def test_what_the_daemon_was_built_with_needs_a_restart(
    tmp_path: Path, change: dict[str, object], named: str
) -> None:
    """The key is named, and no value."""
    before = settings(tmp_path)

    assert needs_restart(before, replace(before, **change)) == (named,)  # type: ignore[arg-type]


def test_another_token_and_another_mode_need_a_restart(tmp_path: Path) -> None:
    """The client was built with a token, and in paper mode without the means to bid."""
    before, other = settings(tmp_path), settings(tmp_path, token="token-two")
    live = replace(before, policy=replace(before.policy, mode=type(before.policy.mode)("live")))

    assert needs_restart(before, other) == ("the API token",)
    assert needs_restart(before, live) == ("mode",)


def test_a_setting_that_nobody_thought_about_needs_a_restart() -> None:
    """Only these are taken up; a new field of the settings is refused until it is named here."""
    known = {"path", "log", "policy", "fingerprint", "warnings", "token_missing", "token_remedy"}

    assert known < {each.name for each in fields(Settings)}


def test_the_install_page_names_all_that_needs_a_restart() -> None:
    """No more and no less than what a running daemon refuses."""
    page = (Path(__file__).parents[3] / "docs" / "install.md").read_text(encoding="utf-8")
    found = re.search(
        r"\*\*What needs a restart\*\* is refused on a reload: (.*?)\.\s+Everything", page, re.DOTALL
    )
    assert found is not None
    named = re.split(r",\s+|\s+and\s+", re.sub(r"\s*\(.*?\)", "", found[1]))

    assert {name.strip("` \n") for name in named} == set(restart_keys())


def test_secrets_that_were_left_out_are_compared_by_what_names_them(tmp_path: Path) -> None:
    """So that `plan --against` says what a reload will refuse, without the service's secrets."""
    file, plain = tmp_path / "config.yaml", _FILE.format(want=1)

    def left_out(name: str) -> Settings:
        file.write_text(plain + f"notices: [{{to: {{env: {name}}}}}]\n", encoding="utf-8")
        return load_settings(file, {}, needs=NOTHING)

    assert needs_restart(left_out("ONE"), left_out("TWO")) == ("notices",)
    assert needs_restart(left_out("ONE"), left_out("ONE")) == ()
