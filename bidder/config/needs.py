"""Which secrets a command needs: the service has them all, a shell beside it often has none.

A secret that is not needed and cannot be had here is left out and noted, so that whoever only looks,
or leaves a word for the running daemon, can do so without the service's own environment.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bidder.errors import ConfigError


class Part(StrEnum):
    """What a secret is for."""

    TOKEN = "token"  # noqa: S105 - the name of a part
    LAUNCH = "launch"
    NOTICES = "notices"
    WEB = "web"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The parts whose secrets must be there; ``credentials``: those of systemd among them."""

    parts: frozenset[Part] = frozenset(Part)
    credentials: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """A secret that is not to be had here and was not needed: its place, its reference, and why."""

    part: Part
    reference: str
    file: str
    line: int | None
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """Return it as one line of warning."""
        return str(self._error(f"{self.problem}, so it could not be looked at"))

    def error(self) -> ConfigError:
        """Return it as the error that it is for whoever needs it."""
        return self._error(self.problem)

    def _error(self, problem: str) -> ConfigError:
        return ConfigError(problem, file=self.file, line=self.line, key=self.key, remedy=self.remedy)


# The daemon, and whatever reads for it: without its secrets it would launch servers without a password.
EVERYTHING: Final = Needs()
# `check` is also for files that only the service will run: its credentials are not there in a shell.
TO_CHECK: Final = Needs(credentials=False)
NOTHING: Final = Needs(parts=frozenset())
FOR_NOTICES: Final = Needs(parts=frozenset({Part.NOTICES}))
