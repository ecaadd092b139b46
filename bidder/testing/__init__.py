"""A test kit for strategies: any function that bids, held against what every one of ours is held to.

::

    from bidder.testing import check_strategy
    from my_rule import decide

    def test_my_rule():
        check_strategy(decide, {"share": Decimal("0.9")})

``positions`` and ``situations`` are hypothesis strategies, for tests of one's own. Needs hypothesis
(``pip install 'bidder[testing]'``).
"""

try:
    import hypothesis as _hypothesis
except ImportError as exc:  # pragma: no cover - the development environment has it
    raise ImportError("bidder.testing needs hypothesis: pip install 'bidder[testing]'") from exc

from bidder.testing.checks import StrategyBroken, check_strategy
from bidder.testing.worlds import Situation, positions, situations

__all__ = ["Situation", "StrategyBroken", "check_strategy", "positions", "situations"]

del _hypothesis
