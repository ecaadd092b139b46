"""``bidder advise``: what to bid so that a server stays ours, and whether such promises were kept."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bidder.cli.amounts import read_share, refuse
from bidder.cli.failures import ExitCode, complain
from bidder.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile
from bidder.errors import BadInput

if TYPE_CHECKING:
    from bidder.backtest.material import Known, Material
    from bidder.domain.advice import Advice, Calibrated

_DAY = timedelta(days=1)
_USUAL = (0.5, 0.8, 0.9, 0.95)


def advise(
    context: typer.Context,
    gpu: Annotated[
        str | None, typer.Option(help="The kind of GPU, such as 4090 or 'RTX 3080 TI'.")
    ] = None,
    keep: Annotated[str, typer.Option(help="For how long the server should stay.")] = "24h",
    probability: Annotated[
        str, typer.Option(metavar="SHARE", help="How likely it should stay for so long.")
    ] = "95%",
    confidence: Annotated[
        str,
        typer.Option(metavar="SHARE", help="How sure the promise must be; 50%: the bare share."),
    ] = "95%",
    days: Annotated[int, typer.Option(min=1, max=3660, help="How far back to look.")] = 30,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Instead of the history: recorded prices, as for backtest."),
    ] = None,
    market: Annotated[
        str | None, typer.Option(help="With --trace: which of the file's markets.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> int:
    """Say what to bid to keep a server for so long, what that costs, and what else there is.

    From the recorded history of all servers of the kind, or from a trace. With it comes a table of
    promises that would have been made in the past, and how many of them were kept.
    """
    from bidder.cli import advising_shown, output

    if trace is not None:
        refuse(context, "--trace", {"days"})
    elif market is not None:
        raise BadInput("--market goes with --trace FILE only; leave it out")
    held = _duration(keep)
    likely = read_share("--probability", probability, least="0.01", most="0.999")
    sure = read_share("--confidence", confidence, least="0.5", most="0.999")
    material = _material(gpu, held, days, trace, market, config)
    document = _document(material, held, likely, sure)
    for each in material.warnings:
        complain(each, kind="warning")
    if as_json:
        output.say_json(document)
    else:
        advising_shown.show(document)
    return ExitCode.DONE


def _duration(text: str) -> timedelta:
    from bidder.config import values
    from bidder.config.tree import Scalar

    scalar = Scalar(text=text, kind="str", plain=False, line=0, path="--keep")
    try:
        return values.duration(timedelta(minutes=10), timedelta(days=365))(scalar)
    except values.Unusable as exc:
        raise BadInput(f"--keep {exc.problem} (got {text!r}); {exc.remedy}") from None


def _material(
    gpu: str | None,
    keep: timedelta,
    days: int,
    trace: Path | None,
    market: str | None,
    config: Path,
) -> "Material":
    from bidder.backtest import material
    from bidder.backtest.traces import read_trace
    from bidder.cli.opening import read_settings
    from bidder.wiring import open_queries

    if (gpu is None) == (trace is None):
        raise BadInput("say what to advise on: either --gpu 4090 from the history, or --trace FILE")
    if trace is not None:
        return material.of_trace(read_trace(trace, market))
    assert gpu is not None
    settings = read_settings(config)
    with open_queries(settings) as queries:
        return material.of_history(queries, gpu, days, keep, settings.policy.static_rates)


def _document(
    material: "Material", keep: timedelta, probability: float, confidence: float
) -> dict[str, Any]:
    from bidder.app.snapshot import moment
    from bidder.domain import advice

    servers = [known.readings for known in material.servers]
    now = material.end
    found = advice.advise(servers, keep, probability, now, confidence=confidence)
    best = advice.most(servers, keep, now, confidence=confidence)
    wanted = sorted({*_USUAL, probability})
    others = [advice.advise(servers, keep, each, now, confidence=confidence) for each in wanted]
    shown = found or best
    return {
        "gpu": material.gpu,
        "keep_seconds": keep.total_seconds(),
        "probability": probability,
        "confidence": confidence,
        "from": moment(material.begin),
        "to": moment(material.end),
        "servers_watched": len(material.servers),
        "watched_days": round(sum(known.watched / _DAY for known in material.servers), 3),
        "bid": _advice(found, material),
        "why": None if found is not None else _too_short(material, keep, probability, confidence),
        "most": _advice(best, material),
        "probabilities": [
            {"probability": each, "bid": _advice(other, material)}
            for each, other in zip(wanted, others, strict=True)
        ],
        "on_demand": _on_demand(material.servers, keep),
        "servers": _servers(material, shown, keep, confidence),
        "classes": [
            {
                "gpu": kind,
                "servers_watched": len(known),
                "watched_days": round(sum(each.watched / _DAY for each in known), 3),
                "bid": _advice(
                    advice.advise(
                        [k.readings for k in known], keep, probability, now, confidence=confidence
                    ),
                    material,
                ),
                "on_demand": _on_demand(known, keep),
            }
            for kind, known in material.others
        ],
        "calibration": [
            _calibrated(each)
            for span in _spans(keep)
            for each in advice.calibrate(servers, span, wanted, now, confidence=confidence)
        ],
        "warnings": list(material.warnings),
    }


def _spans(keep: timedelta) -> list[timedelta]:
    # Shorter promises are of the same make, and there are more of them to be judged by.
    shorter = [keep / part for part in (4, 24) if keep / part >= timedelta(minutes=10)]
    return [keep, *shorter]


def _advice(found: "Advice | None", material: "Material") -> dict[str, Any] | None:
    from bidder.app import snapshot
    from bidder.domain.history import price_above
    from bidder.domain.money import Currency, Rates

    if found is None:
        return None
    rates = material.rates.over(Rates({Currency.USD: Decimal(1)}))
    usd = price_above(found.above, Currency.USD, rates).amount
    return {
        "usd_per_gpu_day": _amount(usd),
        "bids": [
            snapshot.money(price_above(found.above, currency, rates))
            for currency in sorted(rates.usd_per_unit)
        ],
        "probability": found.probability,
        "observed_share": round(found.found.share, 4),
        "promised_share": round(found.found.lower, 4),
        "observations": round(found.found.observations, 1),
        "expected_seconds": round(found.expected.total_seconds()),
        "expected_usd": _amount(usd * Decimal(repr(found.expected / _DAY))),
        "most_usd": _amount(usd * Decimal(repr(found.keep / _DAY))),
    }


def _too_short(material: "Material", keep: timedelta, probability: float, confidence: float) -> str:
    from bidder.domain import advice

    needed = advice.observations_needed(probability, confidence)
    watched = sum(known.watched / _DAY for known in material.servers)
    return (
        f"the history is too short or too wild to promise that: {watched:.1f} server-days were watched,"
        f" and even if no bid was ever exceeded it takes about {needed * (keep / _DAY):.1f} in stretches"
        f" of {_spelled(keep)}; ask for less (--probability, --keep), or for less certainty"
        " (--confidence 0.5)"
    )


def _on_demand(servers: Sequence["Known"], keep: timedelta) -> dict[str, Any] | None:
    # One that cannot be won now is somebody else's, or offline.
    asked = [
        (known.on_demand, known.server)
        for known in servers
        if known.on_demand is not None and known.takes is not None
    ]
    if not asked:
        return None
    usd, server = min(asked, key=lambda each: each[0])
    return {
        "server": server,
        "usd_per_gpu_day": _amount(usd),
        "usd": _amount(usd * Decimal(repr(keep / _DAY))),
    }


def _servers(
    material: "Material", shown: "Advice | None", keep: timedelta, confidence: float
) -> list[dict[str, Any]]:
    """Return how the bid held on each server by itself, those where it held best first."""
    from bidder.domain import advice

    rows = []
    for known in material.servers:
        alone = (known.readings,)
        own = (
            None
            if shown is None
            else advice.at_bid(alone, shown.above, keep, shown.probability, material.end, confidence)
        )
        rows.append(
            {
                "server": known.server,
                "gpus": known.gpus,
                "watched_days": round(known.watched / _DAY, 3),
                "takes_usd_per_gpu_day": None if known.takes is None else _amount(known.takes),
                "on_demand_usd_per_gpu_day": None
                if known.on_demand is None
                else _amount(known.on_demand),
                "observed_share": None if own is None else round(own.found.share, 4),
                "observations": None if own is None else round(own.found.observations, 1),
            }
        )
    return sorted(rows, key=_best_first)


def _best_first(row: dict[str, Any]) -> tuple[float, Decimal]:
    takes = row["takes_usd_per_gpu_day"]
    share = -1.0 if row["observed_share"] is None else row["observed_share"]
    return -share, Decimal("Infinity") if takes is None else Decimal(takes)


def _calibrated(found: "Calibrated") -> dict[str, Any]:
    return {
        "keep_seconds": found.keep.total_seconds(),
        "probability": found.probability,
        "promises": found.promises,
        "kept": found.kept,
        "kept_share": None if found.share is None else round(found.share, 4),
        "agrees": found.likely,
        "refused": found.refused,
    }


def _spelled(span: timedelta) -> str:
    from bidder.config.values import spelled

    return spelled(span)


def _amount(amount: Decimal) -> str:
    from bidder.domain.money import plain

    return plain(round(amount, 6))
