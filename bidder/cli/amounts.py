"""Numbers, shares, durations and times in options, and which options of backtests go together."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

import typer

from bidder.errors import BadInput

_MOST = Decimal(1_000_000_000)
# Of prices far below any that were seen; what is too fine for a market is refused where that is known.
LEAST_TICK = Decimal("1e-15")
_LEAST_SHARE = Decimal("1e-6")


def refuse_others(context: typer.Context, market: str, fitting: Collection[str]) -> None:
    """Raise BadInput for an option that was given although this kind of market has no use for it."""
    refuse(context, market, {each.name for each in context.command.params} - set(fitting))


def refuse(context: typer.Context, market: str, unfit: Collection[str]) -> None:
    """Raise BadInput where one of these options was given; the option ``market`` rules it out."""
    for each in context.command.params:
        source = context.get_parameter_source(each.name)
        if each.name in unfit and source is not None and source.name == "COMMANDLINE":
            raise BadInput(f"{market} does not go with {each.opts[0]}; leave one of them out")


def read_number(option: str, text: str, *, least: Decimal = Decimal(0)) -> Decimal:
    """Return an option's number; raises BadInput."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(-1)
    if not (number.is_finite() and least <= number < _MOST):
        raise BadInput(
            f"{option} is not a usable number (got {text!r}); write one from {least:f} to below"
            f" {_MOST:f}, such as 0.13"
        )
    return number


def read_moment(option: str, text: str) -> datetime:
    """Return an option's time, in UTC where it names no zone; raises BadInput."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(
            f"{option} is no time (got {text!r}); write one such as 2024-01-31, or 2024-01-31T08:30Z"
        ) from None


def read_share(option: str, text: str, *, least: str, most: str) -> float:
    """Return an option's share, written as ``95%`` or ``0.95``; raises BadInput."""
    from bidder.config import values
    from bidder.config.tree import Scalar

    scalar = Scalar(text=text, kind="str", plain=False, line=0, path=option)
    try:
        share = values.share(Decimal(least), Decimal(most))(scalar)
    except values.Unusable:
        raise BadInput(
            f"{option} is not a usable share (got {text!r}); write one from {least} to {most},"
            " such as 0.95 or 95%"
        ) from None
    return float(share)


def read_foresight(text: str) -> timedelta:
    """Return how far a bidder sees ahead; raises BadInput."""
    from bidder.backtest.foresight import MOST
    from bidder.config import values
    from bidder.config.tree import Scalar

    scalar = Scalar(text=text, kind="str", plain=False, line=0, path="--foresight")
    try:
        return values.duration(timedelta(0), MOST)(scalar)
    except values.Unusable as exc:
        raise BadInput(f"--foresight {exc.problem} (got {text!r}); {exc.remedy}") from None


def read_step(text: str) -> tuple[Decimal, bool]:
    """Return the step, and whether it is a share of the median price."""
    if not text.endswith("%"):
        return read_number("--step", text, least=LEAST_TICK), False
    try:
        return read_number("--step", text[:-1], least=_LEAST_SHARE) / 100, True
    except BadInput:
        raise BadInput(
            f"--step is not a usable share (got {text!r}); write one from {_LEAST_SHARE:f}% to below"
            f" {_MOST:f}%, such as 1%"
        ) from None
