"""What a strategy was asked and what it said, kept so that anybody can ask it again.

A strategy is a pure function, so the same inputs must give the same answer, bit for bit. What a
decision went through afterwards (a move to another server, the owner's rails) rests on the whole
account and is not replayed; the decision says so itself where either had the last word.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from bidder.domain import canonical, strategies
from bidder.domain.actions import ASIDE, OVERRULED, Asked, AskedToOpen, Decision, Fact, Reason
from bidder.domain.policy import OwnParams, Policy, Target
from bidder.domain.positions import Position
from bidder.errors import StrategyFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A strategy's inputs and its answer as text; ``digest`` is the SHA-256 of the inputs."""

    inputs: str
    answer: str

    @property
    def digest(self) -> str:
        """Return the hash that a stored decision carries."""
        return canonical.digest(self.inputs)


class CodeChanged(Exception):
    """The owner's function is not the one that was asked then, or not to be had."""


def written(asked: Asked | AskedToOpen | None) -> Evidence | None:
    """Return what was asked as text, without anything secret; None where no strategy was asked."""
    if asked is None:
        return None
    inputs: tuple[object, ...]
    answer: object
    if isinstance(asked, Asked):
        inputs, answer = ("decide", asked.position, asked.now), asked.verdict
    else:
        inputs = ("open", (asked.quote, asked.target, asked.rates, asked.stance), asked.gpus)
        answer = asked.answer
    return Evidence(
        inputs=canonical.dump(inputs, targets_by_name=True),
        answer=canonical.dump(answer, targets_by_name=True),
    )


def configuration(policy: Policy) -> str:
    """Return the policy as text, secrets left out."""
    return canonical.dump(policy)


def asked_again(
    evidence: Evidence, policy: Policy, own: Callable[[OwnParams], OwnParams]
) -> tuple[str, Decision | None]:
    """Return what the strategy answers to the same inputs now, as text; a verdict as a value too.

    ``own`` returns the parameters of an owner's strategy with its function, or raises CodeChanged.

    Raises:
        CodeChanged: the owner's function cannot be asked.
        Unreadable: the inputs are not of this version.
    """

    def target(name: str) -> Target:
        found = policy.target(name)
        if found is None:
            raise canonical.Unreadable(f"the configuration of then has no target {name[:60]!r}")
        if not isinstance(found.params, OwnParams):
            return found
        return replace(found, params=own(found.params))

    what = canonical.load(evidence.inputs, target)
    try:
        match what:
            case ("decide", Position() as position, datetime() as now):
                verdict = strategies.decide(position, policy, now)
                return canonical.dump(verdict, targets_by_name=True), verdict
            case ("open", (quote, Target() as wanted, rates, stance), int() as gpus):
                price = strategies.opening_bid(quote, wanted, rates, stance=stance, gpus=gpus)
                return canonical.dump(price, targets_by_name=True), None
            case _:
                raise canonical.Unreadable("it is no question to a strategy")
    except StrategyFailed as exc:
        return canonical.dump(str(exc)), None


def overruled(verdict: Decision, reason: str, facts: Mapping[str, Fact]) -> bool:
    """Return whether a rail or a move had the last word after this verdict, as the decision says."""
    if any(facts.get(name) == verdict.reason.value for name in OVERRULED):
        return True
    # Where the order would not be created again, a running bid is walked down instead.
    walked = {Reason.MARK_DOWN, Reason.CLOCK, Reason.WINNING}
    return verdict.reason is Reason.RECREATE and reason in {each.value for each in walked}


def stands(verdict: Decision, facts: Mapping[str, Fact]) -> bool:
    """Return whether the facts of a decision are those of the verdict."""
    return {name: fact for name, fact in facts.items() if name not in ASIDE} == dict(verdict.facts)
