"""A number that is none, or larger than any, among the amounts of an answer that is right otherwise.

``NaN`` is no JSON at all, so nothing of its answer can be read. ``1e400`` is: what it spoils is one
wallet, one price or one rate, or a whole list of our orders, of which none may vanish silently.
"""

import re
from collections.abc import Mapping
from random import Random

NUMBERS: Mapping[str, bytes] = {"nan": b"NaN", "1e400": b"1e400"}

_AMOUNT = re.compile(
    rb'"(price|spend|balance|bid|bitcoin|CLORE-Blockchain|USD-Blockchain)":(-?[0-9][0-9.eE+-]*)'
)
_RATES = re.compile(rb'"currency_rates_in_usd":\{[^}]*\}')


def strike(body: bytes, number: bytes, chance: Random) -> tuple[bytes, str]:
    """Return an answer with ``number`` for one of its amounts, and the currency if that is a rate.

    The same answer where there is no amount in it.
    """
    amounts = list(_AMOUNT.finditer(body))
    if not amounts:
        return body, ""
    chosen = chance.choice(amounts)
    rates = _RATES.search(body)
    is_rate = rates is not None and rates.start() < chosen.start() < rates.end()
    start, end = chosen.span(2)
    return body[:start] + number + body[end:], chosen[1].decode() if is_rate else ""
