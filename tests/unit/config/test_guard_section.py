"""What an owner may wish for when the daemon is silent."""

from datetime import timedelta
from decimal import Decimal

import pytest
from unit.config.conftest import Errors, Load

from bidder.domain.money import Currency, Price
from bidder.domain.policy import Ceiling, Per
from bidder.domain.unattended import Then, WhenSilent

_FILE = """
rates: {{BTC: 69000}}
{more}
strategies:
  - {{name: ada, ceiling: {{usd: 3}}, servers: {{gpu: RTX 3090}}, launch: {{image: a/b}}}}
"""


def file(guard: str, more: str = "") -> str:
    """Return a configuration with this ``guard``."""
    return _FILE.format(more=f"guard: {guard}\n{more}")


def test_without_the_section_there_is_no_wish(load: Load) -> None:
    """Nothing is done with the owner's orders that was not asked for."""
    assert load(_FILE.format(more="")).guard is None


def test_what_is_left_out_is_as_documented(load: Load) -> None:
    """Half an hour, and all the way down."""
    assert load(file("{then: cancel}")).guard == WhenSilent(
        then=Then.CANCEL, after=timedelta(minutes=30), lower_to=None
    )


def test_a_price_to_come_down_to(load: Load) -> None:
    """For a server or for each GPU."""
    wish = load(file("{then: lower, after: 5m, lower_to: {usd: 0.50, per: gpu}}")).guard

    dear = Ceiling(price=Price(Decimal("0.50"), Currency.USD), per=Per.GPU)
    assert wish == WhenSilent(then=Then.LOWER, after=timedelta(minutes=5), lower_to=dear)


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        ("{after: 30m}", "guard.then: is required; write then: cancel, lower or notice"),
        ("{then: sell}", "guard.then: is none of the known words (got 'sell')"),
        ("{then: cancel, after: 4m}", "guard.after: is out of range (got '4m')"),
        ("{then: cancel, after: 31d}", "guard.after: is out of range (got '31d')"),
        ("{then: cancel, lower_to: {usd: 1}}", "guard.lower_to: belongs to then: lower"),
        ("{then: lower, lower_to: {usd: 1, btc: 1}}", "guard.lower_to: names more than one currency"),
        ("{then: lower, lower_to: {per: gpu}}", "guard.lower_to: names no amount"),
        ("{then: lower, lower_to: {usd: 1, per: hour}}", "guard.lower_to.per: is none of the known"),
        ("{then: lower, lower_to: {usd: 0}}", "guard.lower_to.usd: must be more than zero"),
        ("{then: cancel, atfer: 1h}", "guard.atfer: unknown key; did you mean 'after'?"),
        ("cancel", "guard: keys and values are wanted here"),
    ],
)
def test_a_slip_is_named(errors: Errors, guard: str, said: str) -> None:
    """One line each, with the key and the remedy."""
    found = errors(file(guard))

    assert [each for each in found if each.split(": ", 1)[1].startswith(said)], found


def test_a_notice_for_nobody_is_warned_about(load: Load) -> None:
    """It would be the whole of what happens."""
    silent = load(file("{then: notice}"))
    told = load(file("{then: notice}", "notices: [{command: [/bin/true]}]"))

    assert any("guard.then: nobody is told" in each for each in silent.warnings)
    assert not any("guard" in each for each in told.warnings)


@pytest.mark.parametrize(
    ("lower_to", "warned"),
    [
        ("{usd: 3.01}", True),
        ("{usd: 2.99}", False),
        ("{usd: 0.50, per: gpu}", False),  # one GPU costs less than the ceiling of a server
        ("{btc: 1}", True),
    ],
)
def test_a_price_above_every_ceiling_is_warned_of(load: Load, lower_to: str, warned: bool) -> None:
    """No bid stands above its ceiling, so nothing would be lowered."""
    found = load(file(f"{{then: lower, lower_to: {lower_to}}}")).warnings

    assert any("guard.lower_to: is above every ceiling" in each for each in found) is warned
