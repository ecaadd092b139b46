"""What was learnt of the exchange's rules, from what, and how long ago."""

from datetime import timedelta

from bidder.doctor.case import Case, unread
from bidder.doctor.findings import Finding, State, ago, counted
from bidder.domain import price_rules
from bidder.domain.money import Price
from bidder.store.checkup import Lessons

_OLD_LESSON = timedelta(days=7)


def rules(case: Case) -> Finding:
    """Say what was learnt of the exchange's rules, from what, and how long ago."""
    if case.records is None:
        return unread("rules")
    lessons = case.records.lessons
    details = [*_clock_lines(lessons, case), *_step_lines(lessons, case)]
    exact = [step for step in lessons.steps if step.exact]
    facts = {
        "creation_starts_clock": lessons.rules.creation,
        "raise_starts_clock": lessons.rules.raised,
        "steps": len(lessons.steps),
        "exact_steps": len(exact),
    }
    if not details:
        return Finding(
            name="rules",
            state=State.OK,
            finding="Nothing is learnt of the exchange's rules yet; the first refusals teach them.",
            facts=facts,
        )
    return Finding(
        name="rules",
        state=State.OK,
        finding=f"{counted(len(details), 'rule')} of the exchange learnt from its answers.",
        details=tuple(details),
        facts=facts,
    )


def _clock_lines(lessons: Lessons, case: Case) -> list[str]:
    if lessons.at is None:
        return []
    source = f" (last learnt {ago(lessons.at, case.now)} from: {lessons.evidence or 'no note'})"
    known = ((lessons.rules.creation, "a creation"), (lessons.rules.raised, "a raise"))
    return [
        f"{what} {'starts' if starts else 'does not start'} the 600 seconds{source}"
        for starts, what in known
        if starts is not None
    ]


def _step_lines(lessons: Lessons, case: Case) -> list[str]:
    lines = []
    for currency in sorted({step.currency for step in lessons.steps}):
        of = [step for step in lessons.steps if step.currency == currency]
        exact = [step for step in of if step.exact]
        newest = max(exact or of, key=lambda step: step.at)
        price = Price(newest.price, currency)
        drop = price_rules.largest_drop(price, None, of, case.now)
        if drop is None:
            how = (
                "is asked for anew: its evidence is too old"
                if exact and case.now - newest.at > _OLD_LESSON
                else "is not known exactly"
            )
            told_drop = f"a lowering in {currency.short} {how}"
        else:
            told_drop = f"a lowering from {price} may go down by {Price(drop, currency)}"
        lines.append(
            f"{told_drop} ({len(exact)} exact answers, {len(of) - len(exact)} accepted lowerings, the"
            f" newest {ago(newest.at, case.now)})"
        )
    return lines
