"""Logging: events with fields, one line each, without secrets and without control characters.

On a terminal they are made for reading, elsewhere each is one JSON object. Where the journal reads
them, ``<N>`` in front tells it the level, so that ``journalctl -p warning`` works. What the libraries
say through ``logging`` goes the same way, from WARNING up. Redaction is the last step but one, after
exceptions have become text: a filter at the place of the call would miss what an exception quotes. It
lets be what the program itself writes: level and time, the names of events and of fields. A secret that
is a word would otherwise take the meaning of every line.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bidder.lossy import Lossy

HIDDEN: Final = "[hidden]"
# Shorter values would black out half of the log; no token or password worth the name is shorter.
SHORTEST_SECRET: Final = 4
_SECRET_KEYS: Final = frozenset(
    (
        *("auth", "authorization", "token", "init_token", "password", "env", "command"),
        *("ssh_password", "jupyter_token", "ssh_key"),
    )
)
_LIBRARIES: Final = ("apscheduler", "uvicorn", "httpx", "httpcore", "sqlalchemy", "alembic", "asyncio")
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
# What the program calls its own events and fields, and no token looks like.
_EVENT = re.compile(r"[a-z_]+(?:\.[a-z_]+)+\Z")
_FIELD = re.compile(r"[a-z]+(?:_[a-z]+)*\Z")
_STAMPS: Final = frozenset(("level", "timestamp"))
_BREAKS = re.compile(r"[\t\n]+")
_TEXTS_WITH_LINES: Final = ("exception", "stack")
_MOST_DEPTH: Final = 8

LogFormat = Literal["auto", "json", "console"]


def configure_logging(
    level: str = "info",
    fmt: LogFormat = "auto",
    stream: TextIO | None = None,
    secrets: tuple[str, ...] = (),
) -> None:
    """Send all logging to ``stream`` (standard error by default), from ``level`` up.

    Calling it again replaces the earlier set-up; a command may start plain and add the secrets when
    the configuration has been read.
    """
    out = sys.stderr if stream is None else stream
    lossy = cast("TextIO", Lossy(out))
    lowest = logging.getLevelNamesMapping()[level.upper()]
    redactor = Redactor(secrets)
    prettily = fmt == "console" or (fmt == "auto" and _is_terminal(out))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # a plain traceback: never the values of locals
    ]
    renderer: Processor = (
        _console(out) if prettily else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    if _is_journal(out, os.environ.get("JOURNAL_STREAM", "")):
        renderer = _ForJournal(renderer)
    structlog.configure(
        processors=[*shared, redactor.line, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.PrintLoggerFactory(lossy),
        cache_logger_on_first_use=False,
    )
    _route_libraries(lossy, [*shared, redactor.foreign_line], renderer)


class Redactor:
    """Blacks out secrets, by key and by value, and everything that could steer a terminal."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        """Prepare for these values, also as they look inside JSON or a ``repr``."""
        spelled: set[str] = set()
        for secret in secrets:
            for text in (secret, secret.strip()):
                if len(text) >= SHORTEST_SECRET:
                    spelled |= {text, repr(text)[1:-1], json.dumps(text)[1:-1]}
        longest_first = sorted(spelled, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if spelled else None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Return the event with nothing in it that must not be shown; the names of fields are let be."""
        return {self._key(str(key)): self._shown(key, value) for key, value in event.items()}

    def line(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Return a line of our own, with the event's name as it is written in the program."""
        found = self.foreign_line(logger, method, event)
        name = event.get("event")
        if isinstance(name, str) and _EVENT.match(name):
            found["event"] = name
        return found

    def foreign_line(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Return a line of a library: its event is a sentence, but level and time are ours."""
        found = dict(self(logger, method, event))
        found.update((key, event[key]) for key in _STAMPS & event.keys())
        return found

    def document(self, value: Any) -> Any:
        """Return a JSON-ready value of any depth with the names of its fields let be."""
        if isinstance(value, dict):
            return {self._key(str(key)): self._field(key, each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.document(each) for each in value]
        return self._clean(value, 0)

    def text(self, text: str) -> str:
        """Return a text of any number of lines with no secret in it."""
        return self._blacked_out(text)

    def _key(self, key: str) -> str:
        return key if _FIELD.match(key) else self._text(key)

    def _field(self, key: str, value: object) -> object:
        hidden = str(key).lower() in _SECRET_KEYS and value is not None
        return HIDDEN if hidden else self.document(value)

    def _shown(self, key: str, value: object) -> object:
        if str(key).lower() in _SECRET_KEYS and value is not None:
            return HIDDEN
        if key in _TEXTS_WITH_LINES and isinstance(value, str):
            return _CONTROL.sub("", self._blacked_out(value))
        return self._clean(value, 0)

    def _clean(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if depth > _MOST_DEPTH:
            return "…"
        if isinstance(value, Mapping):
            return {
                self._text(str(key)): HIDDEN
                if str(key).lower() in _SECRET_KEYS and each is not None
                else self._clean(each, depth + 1)
                for key, each in value.items()
            }
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._clean(each, depth + 1) for each in value]
        if isinstance(value, bytes):
            return self._text(value.decode("utf-8", "replace"))
        return self._text(value if isinstance(value, str) else _as_text(value))

    def _text(self, text: str) -> str:
        # Breaks become blanks after the secrets are out: one of them may have several lines.
        return _CONTROL.sub("", _BREAKS.sub(" ", self._blacked_out(text)))

    def _blacked_out(self, text: str) -> str:
        if self._secrets is None:
            return text
        # Once more without control characters: they may have been put between to hide a secret.
        return self._secrets.sub(HIDDEN, _CONTROL.sub("", self._secrets.sub(HIDDEN, text)))


def _as_text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a log line must not fail because a value cannot print itself
        return f"<{type(value).__name__}>"


# The levels of syslog, which the journal understands.
_SYSLOG: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


class _ForJournal:
    """Puts the level in front of each line, as the journal reads it and leaves it out."""

    def __init__(self, renderer: Processor) -> None:
        self._renderer = renderer

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        level = _SYSLOG.get(str(event.get("level")), 6)
        line = str(self._renderer(logger, method, event))
        return "\n".join(f"<{level}>{each}" for each in line.splitlines())


def _is_journal(out: TextIO, named: str) -> bool:
    """Return whether this very stream goes to the journal: systemd names its device and inode."""
    try:
        found = os.fstat(out.fileno())
    except (AttributeError, OSError, ValueError):
        return False
    return named == f"{found.st_dev}:{found.st_ino}"


def _console(out: TextIO) -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(
        colors=_is_terminal(out), exception_formatter=structlog.dev.plain_traceback
    )


def _is_terminal(out: TextIO) -> bool:
    try:
        return out.isatty()
    except (AttributeError, ValueError):  # a replaced or closed stream
        return False


def _route_libraries(out: TextIO, shared: list[Processor], renderer: Any) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)
    logging.captureWarnings(True)
