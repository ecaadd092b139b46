"""One section of the file: hands out typed values by key, notes what is wrong, knows its keys.

A schema library was rejected: it reads a converted copy of the file, so lines, exact numbers and
"which of these is a secret" would have to be found again, and it is slower to import than to read.
"""

import difflib
from collections.abc import Callable
from typing import TypeVar

from bidder.config import keys
from bidder.config.problems import Problems
from bidder.config.tree import Branch, Items, Node, Scalar
from bidder.config.values import Unusable

T = TypeVar("T")
D = TypeVar("D")

_LONGEST_LIST = 10_000


class Section:
    """A mapping whose keys are known."""

    def __init__(self, branch: Branch, pattern: str, problems: Problems) -> None:
        """Note every key that ``pattern`` does not have in the table of keys."""
        self.branch = branch
        self.problems = problems
        self._pattern = pattern
        known = keys.of_section(pattern)
        for key in branch.entries:
            if key not in known:
                note_unknown(branch, key, known, problems)

    @property
    def line(self) -> int:
        """Return where the section starts."""
        return self.branch.line

    @property
    def pattern(self) -> str:
        """Return the section's path in the table of keys."""
        return self._pattern

    def path(self, key: str) -> str:
        """Return the full path of a key."""
        return f"{self.branch.path}.{key}" if self.branch.path else key

    def node(self, key: str) -> Node | None:
        """Return what stands under a key, or None."""
        assert key in keys.of_section(self._pattern), f"{self._pattern}.{key} is in no table"
        return self.branch.entries.get(key)

    def has(self, key: str) -> bool:
        """Return whether a key is given."""
        return self.node(key) is not None

    def line_of(self, key: str) -> int:
        """Return the line of a key, or of the section where the key is missing."""
        return self.branch.key_lines.get(key, self.branch.line)

    def add(self, key: str, problem: str, remedy: str, value: str | None = None) -> None:
        """Note an error about a key."""
        found = self.branch.entries.get(key)
        path = found.path if found is not None else self.path(key)
        self.problems.add(problem, line=self.line_of(key), key=path, value=value, remedy=remedy)

    def read(
        self, key: str, reader: Callable[[Scalar], T], default: D, *, secret: bool = False
    ) -> T | D:
        """Return the value under a key, or ``default`` where it is missing or unusable."""
        node = self.node(key)
        if node is None:
            return default
        found = scalar_value(node, reader, self.problems, secret=secret)
        return default if found is None else found

    def required(self, key: str, reader: Callable[[Scalar], T], remedy: str) -> T | None:
        """Return the value under a key; None, with an error noted, where there is none."""
        if not self.has(key):
            self.add(key, "is required", remedy)
            return None
        return self.read(key, reader, None)

    def list_of(self, key: str, reader: Callable[[Scalar], T]) -> tuple[T, ...]:
        """Return the values of a list, or of a single value; an empty list is refused."""
        node = self.node(key)
        if node is None:
            return ()
        nodes = node.items if isinstance(node, Items) else (node,)
        if not nodes:
            self.add(key, "the list is empty", "give at least one value or remove the key")
        if len(nodes) > _LONGEST_LIST:
            self.add(key, f"the list has more than {_LONGEST_LIST} values", "shorten it")
            return ()
        found = (scalar_value(each, reader, self.problems) for each in nodes)
        return tuple(value for value in found if value is not None)

    def section(self, key: str) -> "Section":
        """Return the section under a key; an empty one where it is missing or has no content."""
        empty = Branch(entries={}, key_lines={}, line=self.line_of(key), path=self.path(key))
        pattern = f"{self._pattern}.{key}" if self._pattern else key
        return Section(as_branch(self.node(key), self.problems) or empty, pattern, self.problems)

    def open_section(self, key: str) -> Branch | None:
        """Return a section whose keys are the owner's (currencies, env names); None where missing."""
        return as_branch(self.node(key), self.problems)


def as_branch(node: Node | None, problems: Problems) -> Branch | None:
    """Return the node as a mapping; None, with an error noted unless it is empty, otherwise."""
    if node is None or isinstance(node, Branch):
        return node
    if not (isinstance(node, Scalar) and node.is_null):
        problems.add(
            "keys and values are wanted here",
            line=node.line,
            key=node.path,
            remedy="indent 'key: value' lines below it",
        )
    return None


def scalar_value(
    node: Node, reader: Callable[[Scalar], T], problems: Problems, *, secret: bool = False
) -> T | None:
    """Return one node's value, or None with an error noted; a secret's text is never shown."""
    if not isinstance(node, Scalar):
        problems.add(
            "a single value is wanted here, not a list or keys",
            line=node.line,
            key=node.path,
            remedy="write one value",
        )
        return None
    if node.is_null:
        problems.add(
            "has no value", line=node.line, key=node.path, remedy="give a value or remove the key"
        )
        return None
    try:
        return reader(node)
    except Unusable as exc:
        problems.add(
            exc.problem,
            line=node.line,
            key=node.path,
            value=None if secret else node.text,
            remedy=exc.remedy,
        )
        return None


def note_unknown(branch: Branch, key: str, known: tuple[str, ...], problems: Problems) -> None:
    """Note a key that means nothing here; its value is not shown, it may be a misspelt secret."""
    path = f"{branch.path}.{key}" if branch.path else key
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.55)
    if near:
        remedy = f"did you mean '{near[0]}'?"
    else:
        remedy = f"known here: {', '.join(known)}"
    problems.add("unknown key", line=branch.key_lines[key], key=path[:200], remedy=remedy)
