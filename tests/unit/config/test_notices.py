"""Receivers of notices: what is read, and what is refused with its line."""

from pathlib import Path

import pytest

from bidder.config import load_settings
from bidder.config.problems import ConfigProblems
from bidder.config.settings import Settings
from bidder.domain.notices import Event, Level

_REST = """
strategies:
  - name: one
    ceiling: {usd: 5}
    launch: {image: ubuntu}
"""


def load(tmp_path: Path, notices: str, **environ: str) -> Settings:
    """Return the settings of a file with these notices, which start in line 1."""
    file = tmp_path / "config.yaml"
    file.write_text(notices + _REST)
    return load_settings(file, environ)


def test_both_kinds_of_receiver_are_read(tmp_path: Path) -> None:
    """An address from the environment and a program, each with what it wants to hear."""
    found = load(
        tmp_path,
        "notices:\n"
        "  - {to: {env: URL}, level: warning, events: [won, outbid]}\n"
        "  - {command: [/bin/prog, -v], timeout: 30s}\n",
        URL="json://user:long-password@example.com/path-with-a-key",
    )
    first, second = found.receivers
    assert first.level is Level.WARNING
    assert first.events == {Event.WON, Event.OUTBID}
    assert second.command == ("/bin/prog", "-v")
    assert second.timeout.total_seconds() == 30
    assert {"long-password", "path-with-a-key"} <= set(found.secret_values)
    assert "long-password" not in repr(found)


@pytest.mark.parametrize(("program", "warned"), [("/no/such/program", True), ("/bin/sh", False)])
def test_a_program_that_is_not_there_is_warned_of(tmp_path: Path, program: str, warned: bool) -> None:
    """It may be there where the daemon runs, so it is no error."""
    found = load(tmp_path, f"notices: [{{command: [{program}]}}]\n").warnings

    assert any(f"there is no program {program} here" in each for each in found) is warned


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{to: {env: MISSING}}", "environment variable MISSING is not set"),
        ("{to: {env: plain-words-secret}}", "the variable of this name is not set"),
        ("{to: plain-words-secret}", "is no address"),
        ("{to: 'json://x', command: [/bin/true]}", "two receivers"),
        ("{level: info}", "names no receiver"),
        ("{command: [relative]}", "absolute path"),
        ("{command: []}", "list is empty"),
        ("{command: [/bin/true], timeout: 1d}", "out of range"),
        ("{to: 'json://x', timeout: 5s}", "belongs to command"),
        ("{to: 'json://x', level: loud}", "none of the known words"),
        ("{to: 'json://x', events: [wom]}", "none of the known words"),
        ("{too: 'json://x'}", "did you mean 'to'"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, entry: str, problem: str) -> None:
    """File, line and remedy; a secret's text is not shown."""
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, f"notices:\n  - {entry}\n")
    assert any("config.yaml:2: notices[0]" in line and problem in line for line in caught.value.errors)
    assert "plain-words-secret" not in str(caught.value)
