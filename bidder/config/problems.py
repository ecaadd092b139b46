"""Everything that is wrong with one configuration, gathered so that it is told at once.

Stopping at the first error was rejected: an owner who mends a file one start at a time gives up.
"""

from typing import Final

from bidder.errors import BadInput, ConfigError

_MOST_SHOWN: Final = 50


class ConfigProblems(BadInput):
    """The configuration cannot be used; ``errors`` holds one line for each thing to mend."""

    def __init__(self, problems: tuple[ConfigError, ...]) -> None:
        """Keep the problems in the order of the file."""
        self.problems = problems
        shown = [str(problem) for problem in problems[:_MOST_SHOWN]]
        if len(problems) > _MOST_SHOWN:
            shown.append(
                f"{problems[0].file}: {len(problems) - _MOST_SHOWN} more problems are not shown"
            )
        self.errors: tuple[str, ...] = tuple(shown)
        super().__init__("\n".join(self.errors))


class Problems:
    """Gathers errors and warnings about one file."""

    def __init__(self, file: str) -> None:
        """Start with none."""
        self.file = one_line(file)
        self._errors: dict[str, ConfigError] = {}
        self._warnings: dict[str, None] = {}

    def add(
        self,
        problem: str,
        *,
        line: int | None = None,
        key: str | None = None,
        value: str | None = None,
        remedy: str = "",
    ) -> None:
        """Note an error; the same one twice (a default used by several strategies) counts once."""
        error = ConfigError(
            one_line(problem),
            file=self.file,
            line=line,
            key=None if key is None else one_line(key),
            value=value,
            remedy=one_line(remedy),
        )
        self._errors.setdefault(str(error), error)

    def warn(self, warning: str, *, line: int | None = None, key: str | None = None) -> None:
        """Note something that the owner should know but that stops nothing."""
        place = self.file if line is None else f"{self.file}:{line}"
        self._warnings[one_line(f"{place}: {key}: {warning}" if key else f"{place}: {warning}")] = None

    @property
    def count(self) -> int:
        """Return how many errors there are so far."""
        return len(self._errors)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the warnings so far, each one line."""
        return tuple(self._warnings)

    def raise_any(self) -> None:
        """Raise what has been gathered, if anything, in the order of the lines.

        Raises:
            ConfigProblems: there is at least one error.
        """
        if self._errors:
            ordered = sorted(self._errors.values(), key=lambda e: (e.line is None, e.line or 0))
            raise ConfigProblems(tuple(ordered))


def one_line(text: str) -> str:
    """Return the text with everything escaped that could break a line or steer a terminal."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
