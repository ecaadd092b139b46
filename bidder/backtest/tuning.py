"""Search a strategy's settings by backtests, and check on time that the search has not seen.

The study is Optuna's, kept in a database so that several machines can search together and a search
can go on later.
"""

import hashlib
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bidder.backtest import lineup, studies, units
from bidder.backtest.terms import Terms
from bidder.config import values
from bidder.config.tree import Scalar
from bidder.domain.policy import StrategyParams
from bidder.errors import BadInput

if TYPE_CHECKING:
    from optuna import Study, Trial

Settings = Mapping[str, Any]
# The share of the time that is searched on; the rest is to check on.
SEARCHED = 2 / 3
# Of the hash of the prices in a study's name.
_DIGITS = 12
# Where the price changes more rarely while the settings are checked, one odd hour decides.
_FEW_CHANGES = 100


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting: how its YAML value is drawn, and what it becomes in the strategy's parameters."""

    least: float
    most: float
    log: bool
    written: Callable[[float], Any]
    read: Callable[[Any], Any]


def _share(value: float) -> str:
    return f"{value * 100:.2f}%"


def _from_share(text: str) -> Decimal:
    return Decimal(text.removesuffix("%")) / 100


def _span(value: float) -> str:
    # To the minute where a second more or less is nothing.
    left, parts = round(value) if value < _LONG_SECONDS else round(value / 60) * 60, []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts.append(f"{count}{unit}" if count else "")
    return "".join(parts) or "0s"


def _from_span(text: str) -> timedelta:
    scalar = Scalar(text=text, kind="str", plain=False, line=0, path="")
    return values.duration(timedelta(0), timedelta.max)(scalar)


_LONG_SECONDS = 600
_SHARE = (_share, _from_share)
_SPAN = (_span, _from_span)
_WHOLE = (round, int)

KNOBS: Final[Mapping[str, Mapping[str, Knob]]] = {
    "adaptive": {
        "half_life": Knob(86_400, 60 * 86_400, True, *_SPAN),
        "head_start": Knob(0, 86_400, False, *_SPAN),
    },
    "track": {
        "dead_band": Knob(0, 0.05, False, *_SHARE),
        "lower_patience": Knob(0, 3600, False, *_SPAN),
        "margin_ticks": Knob(1, 20, False, *_WHOLE),
    },
    "track_recreate": {"factor": Knob(1, 20, True, *_WHOLE)},
    "autopilot": {
        "overpay": Knob(0, 0.1, False, *_SHARE),
        "grace": Knob(0, 1800, False, *_SPAN),
        "raise_every": Knob(0, 600, False, *_SPAN),
        "escalation": Knob(0.01, 0.9, True, *_SHARE),
    },
    "autospotting": {"buffer": Knob(0, 0.9, False, *_SHARE)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a trace to earn on, and what came before it."""

    points: tuple[Decimal, ...]
    start: datetime
    past: tuple[Decimal, ...] = ()

    def split(self, grid: timedelta, share: float) -> tuple["Stretch", "Stretch"]:
        """Return the first ``share`` of it, to search on, and the rest, to check on."""
        cut = int(len(self.points) * share)
        if not 0 < cut < len(self.points):
            raise BadInput("the cut is too short to be split; widen --from and --to")
        first = Stretch(points=self.points[:cut], start=self.start, past=self.past)
        rest = Stretch(
            points=self.points[cut:],
            start=self.start + cut * grid,
            past=(*self.past, *self.points[:cut]),
        )
        return first, rest

    @property
    def changes(self) -> int:
        """Return how often the price changes in it."""
        return sum(before != after for before, after in pairwise(self.points))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What a search came to: earnings of the usual and of the best settings, on both stretches."""

    strategy: str
    trials: int
    best: Settings
    searched: tuple[float, float]
    checked: tuple[float, float]

    @property
    def holds(self) -> bool:
        """Return whether the best settings earn more, also on the time they were not chosen by."""
        return self.searched[1] > self.searched[0] and self.checked[1] > self.checked[0]

    def yaml(self) -> str:
        """Return what to paste into the configuration."""
        lines = [f"strategy: {self.strategy}", f"{self.strategy}:"]
        return "\n".join([*lines, *(f"  {key}: {value}" for key, value in self.best.items())])


def knobs_of(strategy: str) -> Mapping[str, Knob]:
    """Return a strategy's knobs; raises BadInput where it has none."""
    found = KNOBS.get(strategy)
    if found is None:
        known = ", ".join(KNOBS)
        raise BadInput(f"--strategy {strategy!r} has no settings to search; choose from {known}")
    return found


def with_settings(strategy: str, settings: Settings) -> StrategyParams:
    """Return the strategy's parameters with these settings, written as in YAML."""
    usual = lineup.named((strategy,))[strategy]
    knobs = knobs_of(strategy)
    return replace(usual, **{key: knobs[key].read(value) for key, value in settings.items()})


def _usual(strategy: str, knobs: Mapping[str, Knob]) -> dict[str, float]:
    """Return a strategy's usual settings as a study counts them."""
    params, found = with_settings(strategy, {}), {}
    for key in knobs:
        value = getattr(params, key)
        found[key] = value.total_seconds() if isinstance(value, timedelta) else float(value)
    return found


def earned(strategy: str, settings: Settings, stretch: Stretch, terms: Terms) -> float:
    """Return what a strategy earns on a stretch."""
    params = with_settings(strategy, settings)
    past = stretch.past if lineup.learns(params) else ()
    return units.play(strategy, params, stretch.points, stretch.start, terms, past=past).utility


def search(
    strategy: str,
    whole: Stretch,
    terms: Terms,
    *,
    trials: int,
    workers: int,
    url: str | None,
    name: str,
    share: float = SEARCHED,
    progress: Callable[[int], None] | None = None,
) -> Tuned:
    """Search for ``trials`` backtests on ``workers`` cores, then check; ``url`` None keeps nothing.

    Raises:
        BadInput: the strategy has no settings, the stretch is too short, or the study is unusable.
    """
    knobs = knobs_of(strategy)
    first, rest = whole.split(terms.grid, share)
    study = studies.opened(url, f"{name}/{strategy}")
    if all(trial.state.name == "FAIL" for trial in study.trials):
        # So that what is found can be no worse.
        study.enqueue_trial(_usual(strategy, knobs))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        usual = pool.submit(earned, strategy, {}, first, terms)
        with closing(_trials(study, knobs, pool, strategy, first, terms, trials, workers)) as searching:
            for done, _ in enumerate(searching, 1):
                if progress is not None:
                    progress(done)
        best: dict[str, Any] = dict(study.best_trial.user_attrs["settings"])
        checks = [pool.submit(earned, strategy, chosen, rest, terms) for chosen in ({}, best)]
        return Tuned(
            strategy=strategy,
            trials=sum(trial.state.name == "COMPLETE" for trial in study.trials),
            best=best,
            searched=(usual.result(), float(study.best_value)),
            checked=(checks[0].result(), checks[1].result()),
        )


def question(market: str, whole: Stretch, terms: Terms) -> str:
    """Return what tells one question from another: trials of two must not be mixed.

    Another version may play the same settings otherwise, and a market may be recorded anew.
    """
    start, end = whole.start, whole.start + len(whole.points) * terms.grid
    span = f"{start:%Y-%m-%dT%H:%M} {end:%Y-%m-%dT%H:%M}"
    costs = f"{float(terms.restart_hours):.6g} {float(terms.creation_fee):.6g} {float(terms.tick):.6g}"
    asked = f"{market} {span} {terms.value:f} {float(terms.step):.6g} {costs}"
    prices = " | ".join(" ".join(map(str, part)) for part in (whole.past, whole.points))
    digest = hashlib.sha256(prices.encode()).hexdigest()[:_DIGITS]
    return f"{asked} {digest} {version('bidder')}"


def doubts(file: Path, whole: Stretch, grid: timedelta) -> tuple[str, ...]:
    """Return what makes a search on so little of a file doubtful, as sentences.

    Raises:
        BadInput: the price never changes, so that all settings earn the same.
    """
    first, rest = whole.split(grid, SEARCHED)
    for part, use in ((first, "search"), (rest, "check")):
        if not part.changes:
            raise BadInput(
                f"{file}: the price never changes in the time to {use} on, {len(part.points) * grid}"
                f" from {part.start.isoformat()}; widen --from and --to, or name a longer --trace"
            )
    if rest.changes >= _FEW_CHANGES:
        return ()
    few = (
        f"{file}: the price changes only {rest.changes} times in the time to check on,"
        f" {len(rest.points) * grid} from {rest.start.isoformat()}: chance may decide; widen --from and"
        f" --to, or name a longer --trace, for {_FEW_CHANGES} changes or more"
    )
    return (few,)


def _trials(
    study: "Study",
    knobs: Mapping[str, Knob],
    pool: ProcessPoolExecutor,
    strategy: str,
    stretch: Stretch,
    terms: Terms,
    count: int,
    workers: int,
) -> Generator[float, None, None]:
    """Keep every worker busy, and yield each trial's earnings as it ends."""
    running: dict[Future[float], Trial] = {}
    begun = 0
    try:
        while begun < count or running:
            while begun < count and len(running) < workers:
                trial = study.ask()
                settings = {key: _drawn(trial, key, knob) for key, knob in knobs.items()}
                trial.set_user_attr("settings", settings)
                running[pool.submit(earned, strategy, settings, stretch, terms)] = trial
                begun += 1
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                value = future.result()
                study.tell(running.pop(future), value)
                yield value
    finally:
        _give_up(study, running.values())


def _give_up(study: "Study", trials: Iterable["Trial"]) -> None:
    """Tell a study that nothing comes of these: draws would keep away from them for ever."""
    from optuna.trial import TrialState

    for trial in trials:
        study.tell(trial, state=TrialState.FAIL)


def _drawn(trial: "Trial", key: str, knob: Knob) -> Any:
    return knob.written(trial.suggest_float(key, knob.least, knob.most, log=knob.log))
