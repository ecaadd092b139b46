"""What is printed steers no terminal, whoever wrote it into the database."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.cli import failures, output

HOSTILE = (
    "\x1b[31m",
    "\x9b2J",
    "\u202e",
    "\u200b",
    "\x07",
    "\r",
    "\U000e0041",
    "[red]",
    "[link=http://x]y[/]",
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_printed_steers_the_terminal(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line, a table, an error and a JSON text show an escape; markup is shown as it stands."""
    output.say(f"a{hostile}b")
    output.table(("server",), [(f"a{hostile}b",)])
    output.say_json({"server": f"a{hostile}b"})
    failures.complain(f"a{hostile}b")

    out, err = capsys.readouterr()
    assert all(line.isprintable() for line in (out + err).split("\n"))
    if hostile.startswith("["):
        assert out.count(f"a{hostile}b") == 3


@given(st.text())
def test_an_escaped_json_text_means_the_same(text: str) -> None:
    """The escapes are those of JSON: a program reads what was meant."""
    shown = failures.harmless(json.dumps({"text": text}, ensure_ascii=False))

    assert json.loads(shown) == {"text": text}
    assert shown.isprintable()
