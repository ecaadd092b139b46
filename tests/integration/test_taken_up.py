"""What a reload brings to a daemon at work is what a start would bring it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import structlog
from jobs import NAME, Run, job, server
from jobs import begin as begin_job
from virtual import begin

from bidder.app.alarms import Alarm
from bidder.app.paper import PaperClient
from bidder.app.report import PassReport
from bidder.config import Settings, load_settings
from bidder.demo.virtual import build_virtual
from bidder.domain.money import Currency, Rates
from bidder.domain.notices import Event, Level, Notice, Receiver
from bidder.domain.policy import AdaptiveParams, Mode, Policy
from bidder.domain.view import View
from bidder.notify.courier import Courier
from bidder.service import Service, build_service
from bidder.store.queries import Queries
from bidder.wiring import App

FILE = """
rates: {BTC: 69000, CLORE: 0.11}
strategies:
  - {name: x, ceiling: {usd: 3}, servers: {gpu: RTX 3090}, launch: {image: a/b, env: {KEY: {env: KEY}}}}
"""
AT_ONCE = AdaptiveParams(raise_wait=timedelta(0), head_start=timedelta(0))


def settings_with(folder: Path, policy: Policy) -> Settings:
    """Return the settings of a file with another policy."""
    file = folder / "config.yaml"
    file.write_text(FILE)
    settings = load_settings(file, {"KEY": "a-secret"})
    return replace(settings, policy=policy, account=policy.account)


async def reloaded(service: Service, ended: Callable[[], bool]) -> None:
    """Ask for the reload and wait until it has ended."""
    task = asyncio.create_task(service._reload_when_asked())
    service.reload_wanted.set()
    try:
        async with asyncio.timeout(30):
            while not ended():
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def take_up(app: App, folder: Path, after: Policy) -> None:
    """Have the daemon take up another policy, as a service does, up to its next pass."""
    before = settings_with(folder, app.trader.policy)
    found = replace(before, policy=after)
    service = build_service(app, before, reread=lambda: found, reload_wanted=asyncio.Event())
    asyncio.run(reloaded(service, lambda: app.trader.next_policy is not None))


def learning_again(run: Run, policy: Policy) -> View:
    """Return what a daemon that starts now with this policy knows."""
    run.app.lease.release()
    return build_virtual(policy, run.exchange, run.engine, run.clock).trader.view


def test_targets_that_a_reload_brings_learn_from_the_history(tmp_path: Path) -> None:
    """Adaptive ones and jobs, as at a start; what another target has learnt stays as it is."""
    run = begin_job(job(9, 40), server(), server(2, floor="2.5"))
    for begins in (0.2, 0.5, 0.8):
        run.at(begins, lambda r: r.rival("2.5", lasting=0.15))
    run.run(1.2)
    trader = run.app.trader
    first = trader.policy.targets[0]
    adaptive = replace(first, name="adaptive", params=AT_ONCE)
    after = replace(trader.policy, targets=(first, replace(first, name="second"), adaptive))
    known = trader.view.outlooks[NAME]

    take_up(run.app, tmp_path, after)
    trader._go_by_next_policy()

    fresh = learning_again(run, after)
    assert fresh.outlooks["second"].spells.ups > 4
    assert trader.view.outlooks["second"].spells.ups == pytest.approx(
        fresh.outlooks["second"].spells.ups, abs=0.1
    )
    assert trader.view.schools["adaptive"].earned == pytest.approx(fresh.schools["adaptive"].earned)
    assert len(set(fresh.schools["adaptive"].earned)) > 1, "the rules can be told apart"
    assert trader.view.outlooks[NAME] is known


def test_rates_that_a_reload_brings_reach_what_is_judged_on_paper(tmp_path: Path) -> None:
    """A currency of which the exchange says nothing is valued by the new rate."""
    day = begin(rivals=False, servers=24, shape=lambda policy: replace(policy, mode=Mode.PAPER))
    day.run(timedelta(seconds=30))
    client, silent = day.app.trader.client, Currency("DOGE-Blockchain")
    assert isinstance(client, PaperClient)
    known = dict(client.seen.rates.usd_per_unit)
    assert silent not in known
    rates = Rates({**day.policy.static_rates.usd_per_unit, silent: Decimal("0.2")})

    take_up(day.app, tmp_path, replace(day.policy, static_rates=rates))
    day.run(timedelta(seconds=2))

    assert client.seen.rates.usd_per_unit[silent] == Decimal("0.2")
    assert client.seen.rates.usd_per_unit.keys() >= known.keys()


def test_the_secrets_of_every_configuration_so_far_are_blacked_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An order may still run with one of long ago, and an error quote it."""
    day = begin(rivals=False, servers=24)
    policy, names = day.policy, ("first-secret", "second-secret", "third-secret", "fourth-secret")
    launch = policy.targets[0].launch
    found = [
        settings_with(
            tmp_path,
            replace(
                policy,
                targets=(
                    replace(policy.targets[0], launch=replace(launch, env=(("KEY", name),))),
                    *policy.targets[1:],
                ),
            ),
        )
        for name in names
    ]
    later = iter(found[1:])
    service = build_service(day.app, found[0], reread=lambda: next(later), reload_wanted=asyncio.Event())

    for settings in found[1:]:
        asyncio.run(reloaded(service, lambda wanted=settings: service.settings is wanted))  # type: ignore[misc]  # bound now
    capsys.readouterr()
    structlog.get_logger("bidder").warning("tried", error=" ".join(names))

    said = capsys.readouterr().err
    assert "tried" in said
    assert not [name for name in names if name in said]
    assert len(service.secrets) == len(set(service.secrets)) >= len(names)


class Kept:
    """A receiver that keeps what it gets."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.got: list[Notice] = []

    def send(self, notice: Notice) -> None:
        """Take a notice."""
        self.got.append(notice)

    def give_up(self) -> None:
        """Have nothing to give up."""


def test_on_paper_a_refused_reload_is_told_as_of_paper(tmp_path: Path) -> None:
    """As everything else that is told: its owner may have a live daemon as well."""
    day = begin(rivals=False, servers=24, shape=lambda policy: replace(policy, mode=Mode.PAPER))
    settings = settings_with(tmp_path, day.policy)
    live = replace(settings, policy=replace(day.policy, mode=Mode.LIVE))
    service = build_service(day.app, settings, reread=lambda: live, reload_wanted=asyncio.Event())
    receiver = Kept()
    service.courier = Courier([(Receiver(place="x", line=1, level=Level.INFO), receiver)])

    asyncio.run(reloaded(service, lambda: "refused" in service._said))
    service.courier.close(10)

    (notice,) = receiver.got
    assert notice.event is Event.RELOAD_REFUSED
    assert notice.title.startswith("ON PAPER: ")
    assert notice.facts["paper"] is True


def test_a_notice_that_quotes_what_was_sent_shows_no_secret(tmp_path: Path) -> None:
    """The exchange refuses in words of its own, which are told: they may hold a part of the launch."""
    day = begin(rivals=False, servers=24)
    first = day.policy.targets[0]
    secretive = replace(first, launch=replace(first.launch, env=(("KEY", "a-secret-of-old"),)))
    settings = settings_with(tmp_path, replace(day.policy, targets=(secretive,)))
    service = build_service(day.app, settings, reread=lambda: settings, reload_wanted=asyncio.Event())
    receiver = Kept()
    service.courier = Courier([(Receiver(place="x", line=1, level=Level.INFO), receiver)])
    alarm = Alarm(key="x:refused", text="strategy x: refused (bad env a-secret-of-old)")

    service.passed(PassReport(pass_id=1, at=day.clock.now(), alarms_raised=(alarm,)))
    service.courier.close(10)

    assert [notice.title for notice in receiver.got] == ["strategy x: refused (bad env [hidden])"]


@pytest.mark.parametrize("added", [b"", b"# another word"])
def test_a_reload_of_a_file_that_is_the_same_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], added: bytes
) -> None:
    """Where only the file is mounted into a container it stays the old one, whatever its owner wrote."""
    day = begin(rivals=False, servers=24)
    same = settings_with(tmp_path, day.policy)
    found = replace(same, text=same.text + added)
    service = build_service(day.app, same, reread=lambda: found, reload_wanted=asyncio.Event())

    asyncio.run(reloaded(service, lambda: "reloaded" in service._said))

    assert ("config.unchanged" in capsys.readouterr().err) is (not added)
    assert service._said.endswith(f"{same.path} has not changed") is (not added)


@pytest.mark.parametrize("gone", ["renamed", "disabled"])
def test_orders_that_a_reload_leaves_alone_are_told_and_shown(tmp_path: Path, gone: str) -> None:
    """They run and are paid, and no decision is taken about them any more."""
    run = begin_job(job(9, 40), server())
    run.run(0.2)
    (order,) = run.live()
    trader, first = run.app.trader, run.app.trader.policy.targets[0]
    left = replace(first, enabled=False) if gone == "disabled" else replace(first, name="other")

    take_up(run.app, tmp_path, replace(trader.policy, targets=(left,)))
    run.run(0.2)

    told = [n.title for n in run.notices if n.event is Event.BLOCKED]
    assert [order.order_id] == [o.order_id for o in run.live()]
    assert len([title for title in told if f"order {order.order_id} " in title]) == 1
    picture = Queries(run.engine, trader.policy.account).snapshot()
    assert picture is not None
    assert [each["order"] for each in picture.values["strangers"]] == [order.order_id]
    assert not any(each["orders"] for each in picture.values["targets"])
