"""The ``strategies`` list -> targets, one by one and then against each other."""

import re
from datetime import timedelta
from decimal import Decimal
from itertools import combinations

from bidder.config import baselines, money, own, values
from bidder.config import launch as launches
from bidder.config.budgets import read_budget
from bidder.config.money import Amount
from bidder.config.moving import read_moving
from bidder.config.probes import read_probe
from bidder.config.reader import Section, as_branch
from bidder.config.requirements import read_requirements
from bidder.config.secrets import Surroundings
from bidder.config.tree import Branch, Items, Node, Scalar
from bidder.domain import overlap
from bidder.domain.money import Currency, Price, Rates
from bidder.domain.policy import (
    AdaptiveParams,
    Ceiling,
    DeadlineParams,
    FixedParams,
    Launch,
    Per,
    Renewal,
    StrategyParams,
    Target,
    TrackParams,
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_MOST_STRATEGIES = 200
_STRATEGIES = (
    "track",
    "adaptive",
    "fixed",
    "deadline",
    "track_recreate",
    "top_plus_tick",
    "autopilot",
    "autospotting",
    "nicehash",
    "nicehash_literal",
    "min_bid",
    "own",
)
_WITH_SETTINGS = (
    "track",
    "adaptive",
    "fixed",
    "deadline",
    "track_recreate",
    "autopilot",
    "autospotting",
    "own",
)
_SECOND, _HOUR, _DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def name(scalar: Scalar) -> str:
    """Return a name that is safe in file names, tables and logs."""
    if not _NAME.match(scalar.text):
        raise values.Unusable(
            "is not a usable name", "use up to 64 letters, digits, '-', '_' and '.', such as cheap-3090"
        )
    return scalar.text


def read_targets(top: Section, rates: Rates, around: Surroundings) -> tuple[Target, ...]:
    """Return the targets; errors are noted, so the result counts only if there are none."""
    node = top.node("strategies")
    problems = around.problems
    if node is None or (isinstance(node, Scalar) and node.is_null):
        top.add("strategies", "there is no strategy", "list at least one; see config.example.yaml")
        return ()
    if not isinstance(node, Items) or not 0 < len(node.items) <= _MOST_STRATEGIES:
        remedy = f"write 1 to {_MOST_STRATEGIES} entries that start with '- name: ...'"
        top.add("strategies", "a list of strategies is wanted here", remedy)
        return ()
    read: list[tuple[Section, Target | None]] = []
    for entry in node.items:
        branch = as_branch(entry, problems)
        if branch is None:
            if isinstance(entry, Scalar) and entry.is_null:
                problems.add("the entry is empty", line=entry.line, key=entry.path, remedy="remove it")
            continue
        section = Section(branch, "strategies[]", problems)
        read.append((section, _target(section, top.node("launch"), rates, around)))
    _check_names([section for section, _ in read])
    _check_overlaps([(section, target) for section, target in read if target is not None])
    return tuple(target for _, target in read if target is not None)


def _target(section: Section, default: Node | None, rates: Rates, around: Surroundings) -> Target | None:
    before = around.problems.count
    called = section.required("name", name, "give each strategy a name of its own")
    want = section.read("want", values.whole(1, 1000), 1)
    ceiling = _ceiling(section, rates)
    value = per_day(section, "value", rates) if section.has("value") else None
    budget = read_budget(section, usual="{usd_per_day: 5}")
    restart = section.read("restart", values.duration(timedelta(0), _DAY), timedelta(minutes=6))
    currencies = _pay_with(section, rates)
    requirements = read_requirements(section)
    renewal = _renewal(section)
    if requirements.min_mrl is not None and renewal.before >= requirements.min_mrl:
        section.section("renew").add(
            "before",
            "is not shorter than the rental that servers.mrl_hours asks for",
            "renew later, or ask for a longer mrl_hours",
            values.spelled(renewal.before),
        )
    params = _params(section, ceiling, rates, around)
    moving = read_moving(section, params)
    if isinstance(params, DeadlineParams) and budget.amounts():
        section.add(
            "budget",
            "does not belong to strategy: deadline",
            "remove it: a job is bounded by gpu_hours, its ceilings, and the budget of all strategies",
        )
    launch = _launch(section, default, around)
    probe = read_probe(section, launch)
    enabled = section.read("enabled", values.flag, True)
    if around.problems.count > before or called is None or ceiling is None or launch is None:
        return None
    _warn_about(section, ceiling, currencies, rates)
    if isinstance(params, DeadlineParams) and requirements.max_gpus != requirements.min_gpus:
        section.problems.warn(
            f"a job counts on {requirements.min_gpus} GPUs in each server, the fewest that fit; name one"
            " number as gpus: or it may rent on demand sooner than it needs to",
            line=section.line_of("servers"),
            key=section.path("servers"),
        )
    return Target(
        name=called,
        want=want,
        ceiling=ceiling,
        launch=launch,
        requirements=requirements,
        params=params,
        currencies=currencies,
        renewal=renewal,
        moving=moving,
        value=value,
        restart=restart,
        enabled=enabled,
        probe=probe,
        budget=budget,
    )


def _launch(section: Section, default: Node | None, around: Surroundings) -> Launch | None:
    branch = launches.merged(
        default,
        section.node("launch"),
        section.path("launch"),
        section.line_of("launch"),
        around.problems,
    )
    return launches.read_launch(Section(branch, "strategies[].launch", around.problems), around)


def _ceiling(section: Section, rates: Rates) -> Ceiling | None:
    branch = section.open_section("ceiling")
    if branch is None or not branch.entries:
        if not isinstance(section.node("ceiling"), (Items, Scalar)) or _empty(section.node("ceiling")):
            section.add(
                "ceiling", "there is no ceiling", "add the most to pay per day: ceiling: {usd: 5}"
            )
        return None
    return per_day(section, "ceiling", rates)


def per_day(section: Section, key: str, rates: Rates) -> Ceiling | None:
    """Return an amount per day, for a server or for each GPU."""
    branch = section.open_section(key)
    if branch is None or not branch.entries:
        section.add(key, "names no amount", f"write exactly one, such as {key}: {{usd: 5}}")
        return None
    amount = _one_amount(section, key, branch, frozenset({"per"}))
    per = _per(section, key, branch)
    if amount is None:
        return None
    price = money.price_per_day(amount, rates, section.problems)
    return None if price is None else Ceiling(price=price, per=per)


def _empty(node: Node | None) -> bool:
    return isinstance(node, Scalar) and node.is_null


def _per(section: Section, key: str, branch: Branch) -> Per:
    only = {"per": branch.entries["per"]} if "per" in branch.entries else {}
    words = Section(
        Branch(entries=only, key_lines=branch.key_lines, line=branch.line, path=branch.path),
        f"{section.pattern}.{key}",
        section.problems,
    )
    return Per(words.read("per", values.choice("server", "gpu"), "server"))


def _one_amount(section: Section, key: str, branch: Branch, skip: frozenset[str]) -> Amount | None:
    before = section.problems.count
    given = money.amounts(branch, section.problems, skip=skip)
    if section.problems.count > before:
        return None
    if len(given) != 1:
        problem = "names no amount" if not given else "names more than one currency"
        section.add(key, problem, f"write exactly one, such as {key}: {{usd: 5}}")
        return None
    return given[0]


def _pay_with(section: Section, rates: Rates) -> tuple[Currency, ...]:
    found: list[Currency] = []
    for written in section.list_of("pay_with", values.text):
        currency = Currency.named(written.strip())
        if not money.rated(currency, rates):
            money.note_unrated(
                written, section.problems, line=section.line_of("pay_with"), key=section.path("pay_with")
            )
        elif currency in found:
            section.add("pay_with", "the same currency twice", "keep it once", written)
        else:
            found.append(currency)
    return tuple(found)


def _renewal(section: Section) -> Renewal:
    renew, usual = section.section("renew"), Renewal()
    return Renewal(
        before=renew.read("before", values.duration(timedelta(0), 30 * _DAY), usual.before),
        overlap=renew.read("overlap", values.flag, usual.overlap),
    )


def _strategy(scalar: Scalar) -> str:
    """Return the strategy's name, or the ``module:function`` of one of the owner's."""
    if ":" in scalar.text:
        return own.function_name(scalar)
    try:
        return values.choice(*_STRATEGIES)(scalar)
    except values.Unusable as exc:
        raise values.Unusable(exc.problem, f"{exc.remedy}, or module:function for your own") from None


def _params(
    section: Section, ceiling: Ceiling | None, rates: Rates, around: Surroundings
) -> StrategyParams:
    named = section.read("strategy", _strategy, None) if section.has("strategy") else "track"
    if named is None:
        return TrackParams()  # it was noted; what belongs to which strategy cannot be said
    kind = "own" if ":" in named else named
    belongs = {kind}
    if kind == "deadline":
        spot = section.section("deadline").read("spot", values.choice("track", "adaptive"), "track")
        belongs.add(spot)
    for other in _WITH_SETTINGS:
        if other not in belongs and section.has(other):
            section.add(
                other,
                f"does not belong to strategy: {kind}",
                f"set deadline.spot: {other}, or remove it"
                if kind == "deadline" and other in {"track", "adaptive"}
                else f"rename it to {kind}, or remove it",
            )
    if kind == "track":
        return _track(section.section("track"))
    if kind == "adaptive":
        return _adaptive(section.section("adaptive"))
    if kind == "fixed":
        return _fixed(section.section("fixed"), ceiling, rates)
    if kind == "own":
        return own.read_params(section, named, rates, around.folder) or TrackParams()
    if kind == "deadline":
        return _deadline(section, rates)
    return baselines.read_params(kind, section)


def _deadline(section: Section, rates: Rates) -> StrategyParams:
    job = section.section("deadline")
    usual = timedelta(minutes=10)
    hours = values.number_between(Decimal("0.01"), 10_000_000)
    gpu_hours = job.required("gpu_hours", hours, "say how much to compute, such as gpu_hours: 40")
    by = job.required("by", values.moment, "say by when, such as by: 2027-01-01T00:00Z")
    margin = job.read("margin", values.duration(timedelta(0), _DAY), usual)
    ceiling = None
    if job.has("on_demand_ceiling"):
        ceiling = per_day(job, "on_demand_ceiling", rates)
    else:
        remedy = "add the most to pay per day for a server on demand: on_demand_ceiling: {usd: 9}"
        job.add("on_demand_ceiling", "there is no ceiling for servers on demand", remedy)
    bidding: TrackParams | AdaptiveParams = _track(section.section("track"))
    if job.read("spot", values.choice("track", "adaptive"), "track") == "adaptive":
        bidding = _adaptive(section.section("adaptive"))
    if section.section("renew").read("overlap", values.flag, False):
        section.section("renew").add(
            "overlap", "does not belong to strategy: deadline", "remove it; a job waits, or rents"
        )
    if gpu_hours is None or by is None or ceiling is None:
        return bidding  # an error is noted: nobody trades by this
    return DeadlineParams(
        gpu_hours=gpu_hours, by=by, on_demand_ceiling=ceiling, bidding=bidding, margin=margin
    )


def _adaptive(adaptive: Section) -> AdaptiveParams:
    usual, zero = AdaptiveParams(), timedelta(0)
    return AdaptiveParams(
        raise_wait=adaptive.read("raise_wait", values.duration(zero, _DAY), usual.raise_wait),
        confirm=adaptive.read("confirm", values.flag, usual.confirm),
        half_life=adaptive.read("half_life", values.duration(_HOUR, 365 * _DAY), usual.half_life),
        head_start=adaptive.read("head_start", values.duration(zero, 30 * _DAY), usual.head_start),
    )


def _track(track: Section) -> TrackParams:
    usual, zero = TrackParams(), timedelta(0)
    upto_day, most = values.duration(zero, _DAY), Decimal("0.99")
    return TrackParams(
        raise_wait=track.read("raise_wait", upto_day, usual.raise_wait),
        confirm=track.read("confirm", values.flag, usual.confirm),
        margin_ticks=track.read("margin_ticks", values.whole(1, 1000), usual.margin_ticks),
        lower_patience=track.read("lower_patience", upto_day, usual.lower_patience),
        dead_band=track.read("dead_band", values.share(Decimal(0), most), usual.dead_band),
        war_raises=track.read("war_raises", values.whole(2, 1000), usual.war_raises),
        war_window=track.read("war_window", values.duration(_SECOND, _DAY), usual.war_window),
        war_pause=track.read("war_pause", values.duration(_SECOND, 30 * _DAY), usual.war_pause),
    )


def _fixed(fixed: Section, ceiling: Ceiling | None, rates: Rates) -> FixedParams:
    branch = fixed.open_section("price")
    if branch is None:
        return FixedParams()
    amount = _one_amount(fixed, "price", branch, frozenset())
    price = None if amount is None else money.price_per_day(amount, rates, fixed.problems)
    if price is None or amount is None:
        return FixedParams()
    if ceiling is not None and ceiling.per is Per.SERVER and _above(price, ceiling.price, rates):
        fixed.add("price", f"is above the ceiling of {ceiling.price}", "lower it", amount.scalar.text)
    return FixedParams(price=price)


def _above(price: Price, ceiling: Price, rates: Rates) -> bool:
    if price.currency == ceiling.currency:
        return price > ceiling
    if not (rates.knows(price.currency) and rates.knows(ceiling.currency)):
        return False  # what a bid may be is decided again, with the exchange's rates, for each bid
    return rates.to_usd(price) > rates.to_usd(ceiling)


def _warn_about(
    section: Section, ceiling: Ceiling, currencies: tuple[Currency, ...], rates: Rates
) -> None:
    paid = currencies or (Currency.BTC, Currency.CLORE)
    needed = {ceiling.price.currency, *paid} if set(paid) != {ceiling.price.currency} else set()
    missing = sorted(currency.short for currency in needed if not rates.knows(currency))
    if missing:
        section.problems.warn(
            f"a ceiling in {ceiling.price.currency.short} is compared with bids by rates; until the"
            f" exchange names them this is not traded; add rates: for {', '.join(missing)}",
            line=section.line_of("ceiling"),
            key=section.path("ceiling"),
        )
    if not section.has("servers"):
        section.problems.warn(
            "every server on the marketplace qualifies; add servers: to choose",
            line=section.line,
            key=section.branch.path,
        )


def _check_names(sections: list[Section]) -> None:
    first: dict[str, Section] = {}
    for section in sections:
        node = section.branch.entries.get("name")
        if not isinstance(node, Scalar) or not _NAME.match(node.text):
            continue
        earlier = first.setdefault(node.text.lower(), section)
        if earlier is not section:
            section.add(
                "name",
                f"the same name as {earlier.branch.path} (line {earlier.line_of('name')})",
                "give each strategy a name of its own; capitals do not count",
                node.text,
            )


def _check_overlaps(read: list[tuple[Section, Target]]) -> None:
    enabled = [(section, target) for section, target in read if target.enabled]
    for (one, first), (two, second) in combinations(enabled, 2):
        if overlap.may_overlap(first.requirements, second.requirements):
            two.add(
                "servers",
                f"'{second.name}' could bid on the same server as '{first.name}' (line {one.line})",
                "make gpu, gpus, countries or ids of the two differ, use not_ids or not_countries,"
                " or set enabled: false for one",
            )
