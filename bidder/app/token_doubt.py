"""A token that the exchange refuses: at once for good, or only once it has said so again.

Who starts with a wrong token is told so at once. But of a token that the account has been read with,
one refusal may be a stumble of the exchange's, and a daemon that ends for it stays away until a person
comes. So our orders are asked for twice more within a minute, and nothing is sent meanwhile. What
anybody may read proves nothing about a token.
"""

from dataclasses import dataclass

# Seconds between one refusal and the next try, and how many refusals in a row are believed. Where as
# many tries say neither, all goes on: the next request that needs a token tells.
_AGAIN, _BELIEVED = 30.0, 3

# Seconds; what is left of a wait below it is none.
_SHORTEST = 0.001


@dataclass(slots=True)
class TokenDoubt:
    """Whether the account's token was accepted in this process, and how often it was refused since.

    ``standing`` says that nothing may be sent before that is known.
    """

    standing: bool = False
    _accepted: bool = False
    _refusals: int = 0
    _unanswered: int = 0
    _again_at: float = 0.0

    def accepted(self) -> None:
        """Take note that the account was read."""
        self._accepted, self.standing = True, False
        self._refusals = self._unanswered = 0

    def unanswered(self, seconds: float) -> None:
        """Take note of a try that told neither; ``seconds`` is the monotonic clock."""
        self._unanswered += 1
        self._again_at = seconds + _AGAIN
        if self._unanswered >= _BELIEVED:
            self.standing, self._unanswered = False, 0

    def refused(self, seconds: float) -> bool:
        """Take note of a refusal; return whether it is for good. ``seconds`` is the monotonic clock."""
        self._refusals += 1
        self.standing, self._unanswered = True, 0
        self._again_at = seconds + _AGAIN
        return not self._accepted or self._refusals >= _BELIEVED

    def rests(self, seconds: float) -> float:
        """Return for how many seconds nothing is asked."""
        left = self._again_at - seconds if self.standing else 0.0
        # Who slept until then may wake a rounding error too early: no sleep is as short as what is left.
        return left if left >= _SHORTEST else 0.0
