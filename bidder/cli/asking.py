"""Leave a command in the database and see it through: by the running daemon, or else ourselves."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from bidder.app.commands import DONE, ERRANDS, FAILED, UNREACHED
from bidder.app.handing_back import hand_back
from bidder.app.observation import Observation, read
from bidder.cli.failures import CommandFailed
from bidder.config import Settings
from bidder.domain.policy import Mode
from bidder.errors import ConfigError, LeaseHeld, Unreachable
from bidder.store.commands import forget_outcome, post_request, withdraw_request
from bidder.store.queries import Queries
from bidder.wiring import App, build_servant, daemon_runs, open_current, open_database

_LOOK_EVERY = 0.2
# A daemon may end while we wait for it; then the command is ours to carry out.
_TRY_LEASE_EVERY = 2.0
# So many reads without an answer, and nobody is there.
_MOST_FAILURES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a command ended: by ``daemon`` or by this ``command``, and its outcome's text.

    ``unreached``: nothing came back from the exchange that means anything.
    """

    source: str
    ok: bool
    text: str
    unreached: bool = False


def ask(
    settings: Settings, kind: str, argument: object, wait: float, *, keep_posted: bool = False
) -> Answer:
    """Return how a command ended.

    A command that was not carried out within ``wait`` seconds is taken back, unless ``keep_posted``:
    then whoever trades next still carries it out.

    Raises:
        CommandFailed: nobody carried it out in time.
        InvalidToken: the exchange refused the token.
        Unreachable: the exchange gave no usable answer.
    """
    # Before anything is made: without a token nobody but a daemon could carry it out. On paper it may
    # be without a token itself, and a refusal of an errand would end it.
    paper = settings.policy.mode is Mode.PAPER
    if (kind in ERRANDS and paper) or not daemon_runs(settings):
        _ = settings.require_token() if kind in ERRANDS else settings.trading_token()
    rest = "it stays posted" if keep_posted else "it was taken back"
    engine = open_database(settings.database_url)
    number = post_request(engine, settings.account, kind, argument, at=datetime.now(UTC))
    errand = _Errand(settings=settings, number=number, deadline=time.monotonic() + wait)
    done = False
    try:
        answer = asyncio.run(errand.see_through(engine))
        done = answer is not None
    except ConfigError as exc:
        raise CommandFailed(
            f"the daemon ended before it carried the command out; {rest}: {exc}"
        ) from exc
    finally:
        if not done and not keep_posted:
            withdraw_request(engine, settings.account, number, at=datetime.now(UTC))
        engine.dispose()
    if answer is not None:
        return answer
    raise CommandFailed(f"the command was not carried out within {wait:g} seconds; {rest}")


def observation(settings: Settings, wait: float) -> Observation | None:
    """Return what the running daemon knows; None where it ended before it could answer.

    Raises:
        CommandFailed: it did not answer within ``wait`` seconds, or has nothing to tell yet.
    """
    with open_current(settings) as engine:
        queries = Queries(engine, settings.account)
        now = datetime.now(UTC)
        number = post_request(engine, settings.account, "observe", at=now)
        deadline = time.monotonic() + wait
        try:
            while (request := queries.request(number)) is None or request.outcome is None:
                if time.monotonic() >= deadline:
                    raise CommandFailed(f"the running daemon has not answered within {wait:g} seconds")
                if queries.lease(datetime.now(UTC)) is None:
                    return None
                time.sleep(_LOOK_EVERY)
        finally:
            withdraw_request(engine, settings.account, number, at=datetime.now(UTC))
            forget_outcome(engine, settings.account, number)
    if request.outcome.startswith(f"{FAILED}no such command"):
        raise CommandFailed("the running daemon is of an earlier version; restart it")
    if not request.outcome.startswith(DONE):
        raise CommandFailed(request.outcome.removeprefix(FAILED))
    return read(request.outcome.removeprefix(DONE))


@dataclass(slots=True, kw_only=True)
class _Errand:
    settings: Settings
    number: int
    deadline: float

    async def see_through(self, engine: object) -> Answer | None:
        queries = Queries(engine, self.settings.account)  # type: ignore[arg-type]
        next_try = 0.0
        while True:
            if time.monotonic() >= next_try:
                next_try = time.monotonic() + _TRY_LEASE_EVERY
                try:
                    servant = build_servant(self.settings, engine)  # type: ignore[arg-type]
                except LeaseHeld:
                    pass
                else:
                    return await self._ourselves(servant, queries)
            answer = self._outcome(queries, "daemon")
            if answer is not None or time.monotonic() >= self.deadline:
                return answer
            await asyncio.sleep(_LOOK_EVERY)

    async def _ourselves(self, servant: App, queries: Queries) -> Answer | None:
        renew_at = time.monotonic()
        try:
            while True:
                if time.monotonic() >= renew_at:
                    servant.lease.renew(servant.lease_clock.now())
                    renew_at = time.monotonic() + 10
                report = await servant.trader.run_pass()
                answer = self._outcome(queries, "command")
                if answer is not None:
                    return answer
                if servant.trader.cut_off(_MOST_FAILURES):
                    seen = report.observed or report.acted
                    raise Unreachable("" if seen is None else seen.error)
                if time.monotonic() >= self.deadline:
                    return None
                await servant.clock.sleep(report.sleep.total_seconds())
        finally:
            trader = servant.trader
            await hand_back(servant.lease, store=trader.store, client=trader.client)

    def _outcome(self, queries: Queries, source: str) -> Answer | None:
        request = queries.request(self.number)
        if request is None or request.outcome is None:
            return None
        text = request.outcome
        ok = text.startswith(DONE)
        said = text.removeprefix(DONE).removeprefix(UNREACHED).removeprefix(FAILED)
        return Answer(source=source, ok=ok, text=said, unreached=text.startswith(UNREACHED))
