"""Asking strategies again what they were asked, and comparing what they say, bit for bit.

What a stored decision rests on is checked from the outside in: the hash of the inputs, the hash of the
configuration, the answer, and that the decision is this answer, or says that a rail or a move had the
last word.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bidder.domain import canonical, evidence
from bidder.domain.actions import Decision, Reason
from bidder.domain.money import Price
from bidder.domain.policy import OwnParams, Policy
from bidder.store.records import DecisionRecord, KeptDecision

_MOST_DIFFERENCES = 100


class Outcome(StrEnum):
    """What came of one stored decision."""

    VERIFIED = "verified"  # the same answer, and the decision is that answer
    OVERRULED = "overruled"  # the same answer, and the decision says what had the last word
    DIFFERENT = "different"
    NOT_KEPT = "not_kept"  # its inputs are past their time
    NOT_ASKED = "not_asked"  # no strategy was asked
    CODE_CHANGED = "code_changed"  # the owner's function is another one now, or not to be had


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A decision that cannot be replayed to itself, and how."""

    decision: int
    record: DecisionRecord
    problem: str


@dataclass(slots=True, kw_only=True)
class Replay:
    """What came of all of them; ``other_configuration`` counts those of another one than today's."""

    counts: Counter[Outcome] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    other_configuration: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None


def replay(
    kept: Iterable[KeptDecision], policy: Policy, own: Callable[[OwnParams], OwnParams]
) -> Replay:
    """Replay stored decisions; ``policy`` is today's, ``own`` finds an owner's function."""
    found, replayer = Replay(), _Replayer(own)
    today = canonical.digest(evidence.configuration(policy))
    for each in kept:
        outcome, problem = replayer.judge(each)
        found.counts[outcome] += 1
        if outcome is Outcome.DIFFERENT and len(found.differences) < _MOST_DIFFERENCES:
            found.differences.append(Difference(decision=each.id, record=each.record, problem=problem))
        if each.configuration_sha256 is not None and each.configuration_sha256 != today:
            found.other_configuration += 1
        found.oldest = found.oldest or each.record.at
        found.newest = each.record.at
    return found


class _Replayer:
    def __init__(self, own: Callable[[OwnParams], OwnParams]) -> None:
        self._own = own
        self._policies: dict[str, Policy] = {}

    def judge(self, kept: KeptDecision) -> tuple[Outcome, str]:
        """Return the outcome, and of a difference what it is."""
        if kept.inputs_sha256 is None:
            return Outcome.NOT_ASKED, ""
        if kept.evidence is None:
            return Outcome.NOT_KEPT, ""
        if kept.evidence.digest != kept.inputs_sha256:
            return Outcome.DIFFERENT, "the stored inputs are not those of this decision"
        try:
            policy = self._policy(kept)
            answer, verdict = evidence.asked_again(kept.evidence, policy, self._own)
        except evidence.CodeChanged:
            return Outcome.CODE_CHANGED, ""
        except canonical.Unreadable as exc:
            return Outcome.DIFFERENT, f"cannot be read: {exc}"
        except Exception as exc:  # noqa: BLE001 - a forged row may hold anything, with a hash that fits
            return Outcome.DIFFERENT, f"cannot be asked again: {type(exc).__name__}"
        if answer != kept.evidence.answer:
            return Outcome.DIFFERENT, _between(kept.evidence.answer, answer)
        return _carried(kept.record, verdict, answer)

    def _policy(self, kept: KeptDecision) -> Policy:
        text, digest = kept.configuration, kept.configuration_sha256
        if text is None or digest is None:
            raise canonical.Unreadable("its configuration is missing")
        if digest not in self._policies:
            if canonical.digest(text) != digest:
                raise canonical.Unreadable("the stored configuration is not that of this decision")
            policy = canonical.load(text)
            if not isinstance(policy, Policy):
                raise canonical.Unreadable("the stored configuration is none")
            self._policies[digest] = policy
        return self._policies[digest]


def _carried(record: DecisionRecord, verdict: Decision | None, answer: str) -> tuple[Outcome, str]:
    """Return whether a decision is what its strategy said."""
    if verdict is None:
        return _opened(record, canonical.load(answer))
    if evidence.overruled(verdict, record.reason, record.facts):
        return Outcome.OVERRULED, ""
    same = _said(DecisionRecord.of(verdict)) == _said(record)
    if same and evidence.stands(verdict, record.facts):
        return Outcome.VERIFIED, ""
    return Outcome.DIFFERENT, _DIFFERS


def _opened(record: DecisionRecord, said: object) -> tuple[Outcome, str]:
    """Return whether a decision about a new bid is what its strategy said."""
    if record.price is not None:
        return (Outcome.VERIFIED, "") if record.price == said else (Outcome.DIFFERENT, _DIFFERS)
    if isinstance(said, Price):
        held = "wanted_to" in record.facts
        return (Outcome.OVERRULED, "") if held else (Outcome.DIFFERENT, _DIFFERS)
    wanted = Reason.TOO_EXPENSIVE if said is None else Reason.STRATEGY_FAILED
    return (Outcome.VERIFIED, "") if record.reason == wanted.value else (Outcome.DIFFERENT, _DIFFERS)


_DIFFERS = "the stored decision is not what its strategy said"


def _said(record: DecisionRecord) -> tuple[object, ...]:
    return (
        *(record.target, record.server, record.order, record.reason, record.action),
        *(record.price, record.previous_price, record.due),
    )


def _between(then: str, now: str) -> str:
    """Return what was said then and is said now, from shortly before they part."""
    at = next((i for i, (a, b) in enumerate(zip(then, now, strict=False)) if a != b), 0)
    start = max(0, at - 30)
    return f"said then ...{then[start : at + 50]}, says now ...{now[start : at + 50]}"
