"""What the exchange echoes of a launch that it refuses: blacked out before anything keeps or tells it.

Here and not where it is kept or shown: those places are many, and the database is one of them.
"""

from bidder.config.launch import secrets_of
from bidder.domain.policy import Launch
from bidder.errors import ExchangeError, Refused
from bidder.exchange import answers
from bidder.telemetry import HIDDEN, SHORTEST_SECRET, Redactor


def black_out(exc: ExchangeError, launch: Launch) -> None:
    """Leave no value in an error that only the server which is launched should know."""
    given = secrets_of(launch)
    # Answers are read without line ends and the like.
    secrets = tuple(dict.fromkeys((*given, *(answers.clean(each, len(each)) for each in given))))
    exc.args = tuple(_without(secrets, str(each)) for each in exc.args)
    if isinstance(exc, Refused) and exc.error is not None:
        exc.error = _without(secrets, exc.error)


def _without(secrets: tuple[str, ...], text: str) -> str:
    shown = Redactor(secrets).text(text)
    if len(text) < answers.LONGEST_TEXT:
        return shown
    # It may have been cut, and a secret in it too.
    begun = [at for each in secrets if (at := _begins_at_the_end(each, shown)) is not None]
    return shown[: min(begun)] + HIDDEN if begun else shown


def _begins_at_the_end(secret: str, text: str) -> int | None:
    """Return where the text ends in the beginning of a secret, if it does."""
    longest = min(len(secret), len(text))
    lengths = range(longest, SHORTEST_SECRET - 1, -1)
    return next((len(text) - n for n in lengths if text.endswith(secret[:n])), None)
