"""Enough of PromQL to tell whether an expression is one, and what it asks for.

Follows the grammar of Prometheus' own documentation, as far as a dashboard of ours has any use for it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![a-zA-Z_\d]))|(?P<span>\d+[smhdw])
    |(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},\[\]]))""",
    re.VERBOSE,
)
_SUMS = {"sum", "min", "max", "avg", "count", "topk"}
# Of each argument whether it is a range.
_FUNCTIONS = {
    **dict.fromkeys(("rate", "increase", "min_over_time", "max_over_time", "changes"), (True,)),
    **dict.fromkeys(("absent", "abs"), (False,)),
    "time": (),
    "histogram_quantile": (False, False),
}
_BINARY = {"+", "-", "*", "/", "%", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless"}


class NotPromql(Exception):
    """An expression is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an expression asks for: each metric with the labels it is matched by, and for grouping."""

    metrics: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    grouped_by: list[str] = field(default_factory=list)


def parse(expression: str) -> Asked:
    """Return what an expression asks for; raises NotPromql where it is none."""
    reader = _Reader(list(_tokens(expression)))
    reader.expression()
    if reader.left:
        raise NotPromql(f"{expression}: too much from {reader.left[0][1]!r} on")
    return reader.asked


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise NotPromql(f"{text}: nonsense at {text[at:]!r}")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.left, self.asked = tokens, Asked()

    def expression(self) -> bool:
        """Read an expression; return whether it is a range."""
        ranged = self._operand()
        while self.left and self.left[0][1] in _BINARY:
            self.left.pop(0)
            if self._next_is("on") or self._next_is("ignoring"):
                self._labels()
                if (self._next_is("group_left") or self._next_is("group_right")) and self._peek() == "(":
                    self._labels()
            if self._operand() or ranged:
                raise NotPromql("a range has no operators")
        return ranged

    def _operand(self) -> bool:
        kind, token = self._take()
        if kind == "number":
            return False
        if token == "(":
            ranged = self.expression()
            self._expect(")")
            return ranged
        if kind != "word":
            raise NotPromql(f"{token!r} begins no operand")
        if token in _SUMS:
            return self._sum()
        if self._peek() == "(":
            return self._call(token)
        return self._selector(token)

    def _sum(self) -> bool:
        if self._next_is("by") or self._next_is("without"):
            self._labels()
        self._expect("(")
        if self.expression():
            raise NotPromql("a range cannot be summed up")
        self._expect(")")
        return False

    def _call(self, name: str) -> bool:
        if name not in _FUNCTIONS:
            raise NotPromql(f"{name} is no function")
        self._expect("(")
        for place, wanted in enumerate(_FUNCTIONS[name]):
            if place:
                self._expect(",")
            if self.expression() is not wanted:
                raise NotPromql(f"{name}: argument {place + 1} {'is no' if wanted else 'is a'} range")
        self._expect(")")
        return False

    def _selector(self, name: str) -> bool:
        labels = []
        if self._next_is("{"):
            while not self._next_is("}"):
                labels.append(self._of("word"))
                if self._take()[1] not in {"=", "!=", "=~", "!~"}:
                    raise NotPromql(f"{name}: no matcher")
                re.compile(self._of("text")[1:-1])
                if self._peek() != "}":
                    self._expect(",")
        self.asked.metrics.append((name, tuple(labels)))
        if self._next_is("["):
            self._of("span")
            self._expect("]")
            return True
        return False

    def _labels(self) -> None:
        self._expect("(")
        while not self._next_is(")"):
            self.asked.grouped_by.append(self._of("word"))
            if self._peek() != ")":
                self._expect(",")

    def _peek(self) -> str:
        return self.left[0][1] if self.left else ""

    def _next_is(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self.left.pop(0)
        return True

    def _take(self) -> tuple[str, str]:
        if not self.left:
            raise NotPromql("it ends too early")
        return self.left.pop(0)

    def _of(self, kind: str) -> str:
        found, token = self._take()
        if found != kind:
            raise NotPromql(f"{token!r} is no {kind}")
        return token

    def _expect(self, token: str) -> None:
        if not self._next_is(token):
            raise NotPromql(f"{token!r} is missing before {self._peek()!r}")
