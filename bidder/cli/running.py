"""``bidder run``: the daemon as a service."""

import asyncio
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from bidder.backtest.measuring import in_child
from bidder.cli.early import Asked
from bidder.cli.opening import read_settings, say_warnings
from bidder.config import Settings, kept, load_settings
from bidder.config.needs import EVERYTHING
from bidder.errors import BidderError
from bidder.footprint import give_back_large_blocks
from bidder.service import build_service
from bidder.threads import Unawaited
from bidder.wiring import build_daemon

log = structlog.get_logger("bidder")


def run_service(config: Path, *, cancel_on_exit: bool, asked: Asked) -> None:
    """Run the daemon until it is told to stop; raises what ends trading otherwise.

    ``asked`` is what signals asked for before it runs.
    """

    def as_asked(settings: Settings) -> Settings:
        if not cancel_on_exit:
            return settings
        return replace(settings, policy=replace(settings.policy, cancel_on_exit=True))

    give_back_large_blocks()
    settings = as_asked(read_settings(config, for_daemon=True, needs=EVERYTHING))
    say_warnings(settings)
    # Neither a migration nor the lease is left halfway.
    with asked.undisturbed():
        app = build_daemon(settings)

    def reread() -> Settings:
        return as_asked(load_settings(config, os.environ, needs=EVERYTHING))

    def keep(settings: Settings) -> None:
        try:
            kept.keep(settings, os.environ)
        except OSError as exc:
            # Trading does not need it.
            log.warning("config.unkept", reason=str(exc))

    async def serve() -> None:
        asyncio.get_running_loop().set_default_executor(Unawaited())
        measure = in_child(settings.database_url)
        try:
            service = build_service(
                app, settings, reread=reread, reload_wanted=asked.reload, measure=measure, keep=keep
            )
            asked.end_if_asked()
        except BaseException:
            # Nobody trades: whoever mends what was wrong need not wait, nor be refused by a command.
            with suppress(BidderError):
                app.lease.release()
            raise
        keep(settings)
        await service.run()

    try:
        asked.end_if_asked()
        asyncio.run(serve())
    except SystemExit:
        # Stopped before there was a daemon that gives it back.
        with suppress(BidderError):
            app.lease.release()
        raise
    finally:
        app.engine.dispose()
