"""An account on paper: orders that no exchange has, held to the exchange's rules.

``account`` holds the orders, their clocks and bills, and says yes or no to what is asked; ``auction``
judges them against each book as it is observed, and lays them into it.
"""

from bidder.domain.paper.account import (
    LISTED_AFTER,
    Account,
    Fees,
    PaperOrder,
    cancel,
    expire,
    fees_seen,
    own_orders,
    place,
    reprice,
)
from bidder.domain.paper.auction import judge, judge_all, lay_in, presumed_book
from bidder.domain.paper.ground import Ground

__all__ = [
    "LISTED_AFTER",
    "Account",
    "Fees",
    "Ground",
    "PaperOrder",
    "cancel",
    "expire",
    "fees_seen",
    "judge",
    "judge_all",
    "lay_in",
    "own_orders",
    "place",
    "presumed_book",
    "reprice",
]
