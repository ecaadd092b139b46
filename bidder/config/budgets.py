"""The ``budget`` sections: of all strategies together, and of one."""

from decimal import Decimal

from bidder.config import money
from bidder.config.reader import Section
from bidder.config.tree import Branch
from bidder.domain.policy import Budget, Target

_MOST_PER_DAY = money.MOST_USD_PER_DAY * 100


def read_budget(owner: Section, *, usual: str) -> Budget:
    """Return the budget of the file or of a strategy; ``usual`` is an example that would do."""
    if not owner.has("budget"):
        return Budget()
    section = owner.section("budget")
    a_day = _amount(section, "usd_per_day", _MOST_PER_DAY)
    a_month = _amount(section, "usd_per_month", _MOST_PER_DAY * 31)
    written = owner.node("budget")
    if isinstance(written, Branch) and not written.entries:
        owner.add("budget", "names no amount", f"write budget: {usual}, or usd_per_month")
    if a_day is not None and a_month is not None and a_month <= a_day:
        section.problems.warn(
            f"{a_month} USD a month is no more than {a_day} USD a day: the daily one bounds nothing",
            line=section.line_of("usd_per_month"),
            key=section.path("usd_per_month"),
        )
    if a_day is not None and a_month is not None and a_month >= a_day * 31:
        section.problems.warn(
            f"{a_day} USD a day never come to {a_month} USD a month: the monthly one bounds nothing",
            line=section.line_of("usd_per_month"),
            key=section.path("usd_per_month"),
        )
    return Budget(usd_per_day=a_day, usd_per_month=a_month)


def warn_about_budgets(budget: Budget, targets: tuple[Target, ...], top: Section) -> None:
    """Note each strategy whose own budget bounds nothing, since that of all is no larger."""
    whole = dict(budget.amounts())
    for target in targets:
        for period, usd in target.budget.amounts():
            if period in whole and usd >= whole[period]:
                top.problems.warn(
                    f"the budget of '{target.name}' bounds nothing: that of all is {whole[period]} USD a"
                    f" {period.value}",
                    line=top.line_of("budget"),
                    key="budget",
                )


def _amount(section: Section, key: str, most: Decimal) -> Decimal | None:
    usd = section.read(key, money.positive, None)
    if usd is not None and usd > most:
        section.add(key, f"is absurd: more than {most} USD", "check the decimal point")
    return usd
