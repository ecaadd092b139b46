"""The log: one line for each event, readable or JSON, without secrets and control characters."""

import errno
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bidder.telemetry import HIDDEN, Redactor, configure_logging

CANARY = "c4naryS3cret"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class _Full(io.StringIO):
    """Refuses every write, as a full disk does, or a terminal that was closed."""

    def write(self, _: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


@pytest.fixture(autouse=True)
def _put_logging_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    show = warnings.showwarning
    yield
    logging.captureWarnings(False)
    warnings.showwarning = show
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def logged() -> Callable[..., dict[str, Any]]:
    """Return a function that logs one event and returns it as read back from JSON."""

    def log(event: str, **values: object) -> dict[str, Any]:
        out = io.StringIO()
        configure_logging("debug", "auto", out, (CANARY, "two\nlines"))
        structlog.get_logger().info(event, **values)
        (line,) = out.getvalue().splitlines()
        found: dict[str, Any] = json.loads(line)
        return found

    return log


Logged = Callable[..., dict[str, Any]]


def test_event_is_one_json_object_with_utc_time(logged: Logged) -> None:
    """Away from a terminal each event is JSON with level and time."""
    found = logged("bid.placed", server=7, price="3.5 USD", ratio=0.5, nothing=None)

    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "bid.placed",
        "level": "info",
        "server": 7,
        "price": "3.5 USD",
        "ratio": 0.5,
        "nothing": None,
    }


def test_terminal_gets_text_to_read() -> None:
    """On a terminal it is not JSON; `json` and `console` overrule that."""
    for fmt, out, is_json in (
        ("auto", _Terminal(), False),
        ("json", _Terminal(), True),
        ("console", io.StringIO(), False),
    ):
        configure_logging("info", fmt, out)  # type: ignore[arg-type]  # the loop widens the literals
        structlog.get_logger().info("bid.placed", server=7)
        assert "bid.placed" in out.getvalue()
        assert out.getvalue().startswith("{") is is_json


def test_level_is_kept() -> None:
    """What is less severe than the level is not written."""
    out = io.StringIO()
    configure_logging("warning", "json", out)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")

    assert json.loads(out.getvalue())["event"] == "loud"


@pytest.mark.parametrize("gone", [_Full, lambda: _closed(io.StringIO())])
def test_what_cannot_be_written_is_lost_and_stops_nothing(gone: Callable[[], io.StringIO]) -> None:
    """Neither an event of ours nor a library's word raises."""
    configure_logging("info", "json", gone())
    structlog.get_logger().error("pass.crashed")
    logging.getLogger("httpx").warning("three")


def _closed(stream: io.StringIO) -> io.StringIO:
    stream.close()
    return stream


def test_second_set_up_replaces_the_first() -> None:
    """Setting up again leaves one handler and moves loggers that exist already."""
    first, second = io.StringIO(), io.StringIO()
    configure_logging("info", "json", first)
    log = structlog.get_logger()
    log.info("one")
    configure_logging("info", "json", second, (CANARY,))
    log.info("two", text=CANARY)
    logging.getLogger("httpx").warning("three")

    assert len(first.getvalue().splitlines()) == 1
    assert [json.loads(line)["event"] for line in second.getvalue().splitlines()] == ["two", "three"]
    assert CANARY not in second.getvalue()


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        f"before{CANARY}after",
        [f"x {CANARY}"],
        {"deep": {"deeper": (CANARY,)}},
        {CANARY: 1},
        CANARY.encode(),
        ValueError(f"bad header {CANARY}"),
        f"c4nary\x00S3cret and {CANARY}",
        "c4na\x1bryS3cret",
        "two\nlines",
        repr("two\nlines"),
        json.dumps({"a": "two\nlines"}),
    ],
)
def test_secret_values_are_blacked_out(logged: Logged, value: object) -> None:
    """A secret is hidden wherever it stands, alone or inside other text."""
    text = json.dumps(logged("call", value=value))

    assert CANARY not in text
    assert "lines" not in text
    assert HIDDEN in text


def test_secret_in_the_event_or_a_key_is_blacked_out(logged: Logged) -> None:
    """The event's name and the fields' names are text like any other."""
    assert CANARY not in json.dumps(logged(f"called with {CANARY}", **{CANARY: 1}))


@pytest.mark.parametrize(
    "key",
    [
        "auth",
        "token",
        "init_token",
        "ssh_password",
        "jupyter_token",
        "ssh_key",
        "env",
        "command",
        "Token",
    ],
)
def test_secret_keys_are_blacked_out(logged: Logged, key: str) -> None:
    """Fields that hold secrets are hidden whatever they hold, at any depth."""
    found = logged("call", body={key: {"A": "value-1"}}, **{key: "value-2"})

    assert found[key] == HIDDEN
    assert found["body"] == {key: HIDDEN}


def test_short_secrets_do_not_black_out_the_log() -> None:
    """A value such as `1` in an environment must not hide every number."""
    clean = Redactor(("1", "", "  "))

    assert clean(None, "info", {"event": "101 bids"}) == {"event": "101 bids"}


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_a_secret_that_is_a_word_leaves_the_log_its_own(fmt: str) -> None:
    """Level, time and the names of events and fields stay, whatever word a password is."""
    words = ("warning", "bid", "placed", "server", "event", "level", "2026", "timestamp")
    out = io.StringIO()
    configure_logging("info", fmt, out, words)  # type: ignore[arg-type]  # the parameter widens the literals
    structlog.get_logger().warning("bid.placed", server=7, text="a warning of 2026 at server")

    text = out.getvalue()
    assert "bid.placed" in text
    assert f"a {HIDDEN} of {HIDDEN} at {HIDDEN}" in text
    if fmt == "json":
        found = json.loads(text)
        assert datetime.fromisoformat(found.pop("timestamp")).tzinfo is not None
        assert found.pop("text")
        assert found == {"event": "bid.placed", "level": "warning", "server": 7}


def test_a_secret_that_is_a_word_is_hidden_in_what_a_library_says() -> None:
    """Its sentences are not the program's words, also where they look like the name of an event."""
    out = io.StringIO()
    configure_logging("info", "json", out, ("warning", "swordfish"))
    logging.getLogger("httpx").warning("refused.swordfish")
    structlog.get_logger().info("refused swordfish")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]

    assert [line["event"] for line in lines] == [f"refused.{HIDDEN}", f"refused {HIDDEN}"]
    assert [line["level"] for line in lines] == ["warning", "info"]


def test_exceptions_have_no_locals_and_no_secrets() -> None:
    """A traceback says where and what, never what a variable held."""

    def fail() -> None:
        hidden_local = "value" + "-of-a-local"
        raise RuntimeError(f"token {CANARY}, {len(hidden_local)} letters")

    for fmt in ("json", "console"):
        out = io.StringIO()
        configure_logging("info", fmt, out, (CANARY,))
        try:
            fail()
        except RuntimeError:
            structlog.get_logger().exception("pass.failed")
        text = out.getvalue()
        assert "RuntimeError" in text
        assert "in fail" in text
        assert CANARY not in text
        assert "value-of-a-local" not in text


@pytest.mark.parametrize("fmt", ["json", "console"])
def test_control_characters_are_stripped(fmt: str) -> None:
    """A name from the exchange cannot move the cursor or forge a line."""
    out = io.StringIO()
    configure_logging("info", fmt, out)  # type: ignore[arg-type]  # the parameter widens the literals
    structlog.get_logger().info("seen", name="a\x1b[2J\x07b\nforged line\r\x9bx\u202ey", **{"k\x1b": 1})

    assert len(out.getvalue().splitlines()) == 1
    assert not {"\x1b", "\x07", "\r", "\x9b", "\u202e"} & set(out.getvalue())
    assert "\\u001b" not in out.getvalue()


def test_libraries_go_the_same_way() -> None:
    """Their warnings arrive as events, redacted; their chatter does not."""
    out = io.StringIO()
    configure_logging("debug", "json", out, (CANARY,))
    for name in ("apscheduler.scheduler", "uvicorn.error", "httpx"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("missed %s with %s", 3, CANARY)
    try:
        raise OSError(CANARY)
    except OSError:
        logging.getLogger("apscheduler.executors").exception("job failed")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]

    assert [line["logger"] for line in lines][:3] == ["apscheduler.scheduler", "uvicorn.error", "httpx"]
    assert lines[0]["event"] == f"missed 3 with {HIDDEN}"
    assert lines[0]["level"] == "warning"
    assert datetime.fromisoformat(lines[0]["timestamp"]).tzinfo is not None
    assert "OSError" in lines[3]["exception"]
    assert CANARY not in out.getvalue()


def test_values_that_cannot_print_themselves_do_not_stop_the_log(logged: Logged) -> None:
    """A log call never fails because of what it was given."""

    class Odd:
        def __str__(self) -> str:
            raise ValueError("no")

    endless: list[object] = []
    endless.append(endless)
    found = logged("odd", value=Odd(), endless=endless, many={1, 2})

    assert found["value"] == "<Odd>"
    assert sorted(found["many"]) == [1, 2]


@given(before=st.text(max_size=8), after=st.text(max_size=8), secret=st.text(min_size=4, max_size=12))
def test_no_text_around_a_secret_brings_it_back(before: str, after: str, secret: str) -> None:
    """Whatever stands around it, the secret is not in what is written."""
    found = Redactor((secret,))(None, "info", {"event": before + secret + after})

    if secret not in HIDDEN and not set(secret) & set(HIDDEN):
        assert secret not in str(found["event"])


def test_the_journal_is_told_the_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where systemd says that this very stream is the journal's."""
    with (tmp_path / "log").open("w+") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        configure_logging("info", "json", stream, ("warning",))
        structlog.get_logger("bidder").warning("something.happened", server=7)
        monkeypatch.setenv("JOURNAL_STREAM", "1:2")
        configure_logging("info", "json", stream)
        structlog.get_logger("bidder").error("something.else")
        stream.flush()
        lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0].startswith("<4>{")
    assert json.loads(lines[0][3:])["event"] == "something.happened"
    assert lines[1].startswith("{")
