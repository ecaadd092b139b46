"""``bidder run``: the daemon as a service."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from bidder.backtest.measuring import in_child
from bidder.cli.opening import read_settings, say_warnings
from bidder.config import Settings, load_settings
from bidder.config.needs import EVERYTHING
from bidder.footprint import give_back_large_blocks
from bidder.service import build_service
from bidder.wiring import build_daemon


def run_service(config: Path, *, cancel_on_exit: bool, reload_wanted: asyncio.Event) -> None:
    """Run the daemon until it is told to stop; raises what ends trading otherwise.

    ``reload_wanted`` is set where the configuration is to be read again as soon as the daemon runs.
    """

    def as_asked(settings: Settings) -> Settings:
        if not cancel_on_exit:
            return settings
        return replace(settings, policy=replace(settings.policy, cancel_on_exit=True))

    give_back_large_blocks()
    settings = as_asked(read_settings(config, for_daemon=True, needs=EVERYTHING))
    say_warnings(settings)
    app = build_daemon(settings)

    def reread() -> Settings:
        return as_asked(load_settings(config, os.environ, needs=EVERYTHING))

    async def serve() -> None:
        measure = in_child(settings.database_url)
        service = build_service(
            app, settings, reread=reread, reload_wanted=reload_wanted, measure=measure
        )
        await service.run()

    try:
        asyncio.run(serve())
    finally:
        app.engine.dispose()
