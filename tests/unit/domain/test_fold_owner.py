"""What a changed policy means for what is known."""

from dataclasses import replace
from decimal import Decimal

from builders import make_listing, make_market, make_policy, make_target, usd

from bidder.domain import fold
from bidder.domain.money import Currency, Rates
from bidder.domain.view import View

KNOWN = Rates({Currency.BTC: Decimal(50_000), Currency.CLORE: Decimal("0.02")})


def test_a_fallback_rate_that_was_never_told_gives_way() -> None:
    """The exchange's own rate stays; the owner's old guess is replaced, or forgotten."""
    before = make_policy(static_rates=Rates({Currency.CLORE: Decimal("0.02")}))
    after = replace(before, static_rates=Rates({Currency.CLORE: Decimal("0.03")}))
    view = View(rates=KNOWN)

    changed = fold.policy_changed(view, before, after).rates.usd_per_unit
    assert changed[Currency.BTC] == Decimal(50_000)
    assert changed[Currency.CLORE] == Decimal("0.03")
    gone = fold.policy_changed(view, before, replace(before, static_rates=Rates())).rates
    assert not gone.knows(Currency.CLORE)


def test_every_shortlist_is_made_anew_without_a_read() -> None:
    """A new target has its candidates at once, a removed one has none."""
    old, new = make_target(), make_target("fresh", ceiling=usd("4"))
    before = make_policy(old)
    after = make_policy(new)
    view = fold.relist(View(marketplace=make_market(make_listing()), rates=KNOWN), before)
    assert view.shortlists[old.name]

    changed = fold.policy_changed(view, before, after)

    assert set(changed.shortlists) == {"fresh"}
    assert changed.shortlists["fresh"]
