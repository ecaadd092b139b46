"""The examination, top to bottom: gather everything once, then let each check judge it."""

import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from bidder.app.snapshot import moment
from bidder.clock import Clock
from bidder.config import Settings, load_settings
from bidder.config.confidential import Survey, survey
from bidder.config.needs import NOTHING
from bidder.doctor import exchange, lessons, money, own, trading, writes
from bidder.doctor.case import NO_RECORDS, OFFLINE, Case
from bidder.doctor.findings import Finding, State, worst
from bidder.doctor.probing import Readings, probe, recorded
from bidder.doctor.records import Records, opened, read_records
from bidder.errors import BadInput, BidderError, LeaseHeld
from bidder.exchange.client import Transport
from bidder.telemetry import Redactor
from bidder.wiring import build_notifiers

# In the order in which they are shown; what others rest on comes first.
_CHECKS: Mapping[str, Callable[[Case], Finding]] = {
    "configuration": own.configuration,
    "secrets": lambda case: own.secrets(case.survey, str(case.settings.path)),
    "database": own.database,
    "lease": trading.lease,
    "daemon": trading.daemon,
    "exchange": exchange.reach,
    "token": exchange.token,
    "last write": writes.last_write,
    "clock": exchange.clock,
    "limits": exchange.limits,
    "wallets": money.wallets,
    "unattended": money.unattended,
    "intents": trading.intents,
    "obstacles": trading.obstacles,
    "rules": lessons.rules,
}
NAMES = tuple(_CHECKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the doctor found. ``settings`` is None where the configuration cannot be used.

    ``bad_input`` is then why; ``redactor`` hides every secret that the configuration knows.
    """

    at: datetime
    findings: tuple[Finding, ...]
    survey: Survey
    redactor: Redactor
    settings: Settings | None = None
    bad_input: str = ""

    @property
    def state(self) -> State:
        """Return the worst state of all checks."""
        return worst(self.findings)

    @property
    def knows_secrets(self) -> bool:
        """Return whether the configuration could be read for its secrets at all."""
        return self.survey.shown is not None

    def document(self) -> dict[str, Any]:
        """Return the report as a JSON-ready object without any secret."""
        settings = self.settings
        # What is one of few words of the program's own says nothing, whatever a password may be.
        return {
            "account": self.redactor.document(None if settings is None else settings.account),
            "mode": None if settings is None else settings.policy.mode.value,
            "at": moment(self.at),
            "state": self.state.value,
            "checks": [
                self.redactor.document(each.document()) | {"name": each.name, "state": each.state.value}
                for each in self.findings
            ],
        }


async def examine(
    config: Path,
    environ: Mapping[str, str],
    clock: Clock,
    *,
    offline: bool = False,
    transport: Transport | None = None,
) -> Report:
    """Return what is found of the account that a configuration describes.

    Reads only, but for the lease and the time of the last request, which it keeps as any command
    does that asks the exchange. Whatever is wrong is a finding; nothing is raised.
    """
    looked = survey(config, environ)
    try:
        settings = load_settings(config, environ, needs=NOTHING)
        build_notifiers(settings)
    except BadInput as exc:
        findings = (own.bad_configuration(exc), own.secrets(looked, str(config)))
        return Report(
            at=clock.now(),
            findings=findings,
            survey=looked,
            redactor=Redactor(looked.secrets),
            bad_input=str(exc),
        )
    case = await _gathered(settings, looked, clock, offline=offline, transport=transport)
    return Report(
        at=case.now,
        findings=tuple(_judged(name, check, case) for name, check in _CHECKS.items()),
        survey=looked,
        redactor=Redactor((*settings.secret_values, *looked.secrets)),
        settings=settings,
    )


async def _gathered(
    settings: Settings, looked: Survey, clock: Clock, *, offline: bool, transport: Transport | None
) -> Case:
    with opened(settings) as found:
        engine, trouble = (None, found) if isinstance(found, Finding) else (found, None)
        records: Records | None = None
        if engine is not None:
            read = read_records(engine, settings, clock.now())
            records, trouble = (None, read) if isinstance(read, Finding) else (read, None)
        case = Case(
            settings=settings,
            survey=looked,
            now=clock.now(),
            records=records,
            trouble=trouble,
            readings=_remembered(records),
        )
        return await _asked(case, engine, clock, offline=offline, transport=transport)


def _remembered(records: Records | None) -> Readings:
    try:
        return recorded(None if records is None else records.snapshot)
    except (ValueError, TypeError, AttributeError):
        return Readings(asked=False)  # written by somebody else


async def _asked(
    case: Case, engine: Engine | None, clock: Clock, *, offline: bool, transport: Transport | None
) -> Case:
    """Return the case with the exchange's own answers, where it may be asked."""
    absent = case.trouble is not None and bool(case.trouble.facts.get("absent"))
    memory = case.settings.database_url == "sqlite://"
    if offline:
        return replace(case, unasked=OFFLINE)
    if case.held:
        return replace(case, unasked="a daemon has the requests for itself")
    if case.records is None and not absent and not memory:
        return replace(case, unasked=NO_RECORDS)
    try:
        readings = await probe(case.settings, engine, clock, transport=transport)
    except LeaseHeld:
        return replace(case, unasked="a daemon started just now")
    except BidderError as exc:
        return replace(case, unasked=str(exc))
    return replace(case, readings=readings, now=clock.now())


def _judged(name: str, check: Callable[[Case], Finding], case: Case) -> Finding:
    try:
        return check(case)
    except Exception as exc:  # noqa: BLE001 - whoever is ill needs the doctor: one check must not end the others
        return Finding(
            name=name,
            state=State.UNKNOWN,
            finding=f"It could not be judged: {_place(exc)}.",
            remedy="please report it, with a bundle (--bundle FILE.tar.gz)",
        )


def _place(exc: Exception) -> str:
    """Name the kind and the place only: the message of a foreign error may quote a secret."""
    last = traceback.extract_tb(exc.__traceback__)[-1]
    return f"{type(exc).__name__} at {os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119 - a name for the eye
