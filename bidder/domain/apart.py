"""What is real and what is on paper, told apart: the one never counts in a figure of the other.

While the mode is paper the account's real orders are known as well, and the rails count both, because a
live daemon would have to. What is shown is shown for each by itself.
"""

from dataclasses import dataclass, replace

from bidder.domain.ids import on_paper
from bidder.domain.policy import Mode
from bidder.domain.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """One view in two: the real orders and requests, and those on paper."""

    live: View
    paper: View


def apart(view: View, mode: Mode) -> Apart:
    """Return the view in two; what is under way belongs to the mode that trades."""
    papers = {number: held for number, held in view.holdings.items() if on_paper(number)}
    if mode is Mode.LIVE and not papers:
        return Apart(live=view, paper=replace(view, holdings={}, intents=()))
    real = {number: held for number, held in view.holdings.items() if not on_paper(number)}
    trading = mode is Mode.PAPER
    return Apart(
        live=replace(view, holdings=real, intents=() if trading else view.intents),
        paper=replace(view, holdings=papers, intents=view.intents if trading else ()),
    )
