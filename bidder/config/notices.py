"""The ``notices`` list -> receivers: who is told what."""

import os
from datetime import timedelta
from pathlib import Path

from bidder.config import values
from bidder.config.needs import Part
from bidder.config.problems import one_line
from bidder.config.reader import Section, as_branch
from bidder.config.secrets import Surroundings, secret_text
from bidder.config.tree import Items, Scalar
from bidder.domain.notices import Event, Level, Receiver

_MOST_RECEIVERS = 20
_SECOND, _LONGEST = timedelta(seconds=1), timedelta(minutes=5)
_CHOOSABLE = tuple(event.value for event in Event if event not in {Event.TEST, Event.DIGEST})


def read_receivers(top: Section, around: Surroundings) -> tuple[Receiver, ...]:
    """Return the receivers; errors are noted, so the result counts only if there are none."""
    node = top.node("notices")
    if node is None or (isinstance(node, Scalar) and node.is_null):
        return ()
    if not isinstance(node, Items) or len(node.items) > _MOST_RECEIVERS:
        remedy = f"write up to {_MOST_RECEIVERS} entries that start with '- to: ...' or '- command: ...'"
        top.add("notices", "a list of receivers is wanted here", remedy)
        return ()
    found = []
    for entry in node.items:
        branch = as_branch(entry, around.problems)
        if branch is None:
            if isinstance(entry, Scalar) and entry.is_null:
                around.problems.add(
                    "the entry is empty", line=entry.line, key=entry.path, remedy="remove it"
                )
            continue
        receiver = _receiver(Section(branch, "notices[]", around.problems), around)
        if receiver is not None:
            found.append(receiver)
    return tuple(found)


def _receiver(section: Section, around: Surroundings) -> Receiver | None:
    before = around.problems.count
    level = Level.named(section.read("level", values.choice("info", "warning", "urgent"), "info"))
    events = frozenset(Event(e) for e in section.list_of("events", values.choice(*_CHOOSABLE)))
    timeout = section.read("timeout", values.duration(_SECOND, _LONGEST), timedelta(seconds=10))
    command = section.list_of("command", values.any_text)
    address = None
    to = section.node("to")
    if to is not None and section.has("command"):
        section.add("command", "the entry has two receivers", "make two entries of to: and command:")
    elif to is not None:
        address = secret_text(to, around, Part.NOTICES)
        _check_address(address, section)
        if section.has("timeout"):
            section.add("timeout", "belongs to command:", "remove it")
    elif not section.has("command"):
        around.problems.add(
            "names no receiver",
            line=section.line,
            key=section.branch.path,
            remedy="add to: {env: NOTIFY_URL}, or command: [/path/to/program]",
        )
    elif command and not command[0].startswith("/"):
        section.add(
            "command",
            "the program is not an absolute path",
            "write command: [/path/to/program]",
            command[0],
        )
    if around.problems.count > before:
        return None
    if command and not _runs(command[0]):
        around.problems.warn(
            f"there is no program {one_line(command[0])} here that could be run",
            line=section.line_of("command"),
            key=section.path("command"),
        )
    return Receiver(
        place=section.path("to" if to is not None else "command"),
        line=section.line_of("to" if to is not None else "command"),
        address=None if address is None else address.strip(),
        command=command,
        timeout=timeout,
        level=level,
        events=events,
    )


def _runs(program: str) -> bool:
    try:
        return Path(program).is_file() and os.access(program, os.X_OK)
    except (OSError, ValueError):
        return False


def _check_address(address: str | None, section: Section) -> None:
    # The address itself is not shown: it holds a password or a token.
    if address is not None and ("://" not in address or any(ord(each) < 32 for each in address.strip())):
        section.add("to", "is no address", "write one such as mailto://... or tgram://...; see apprise")
