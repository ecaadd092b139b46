"""``bidder run``: the daemon as a service."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from bidder.backtest.measuring import in_child
from bidder.cli.opening import read_settings, say_warnings
from bidder.config import Settings, load_settings
from bidder.service import build_service
from bidder.wiring import build_daemon


def run_service(config: Path, *, cancel_on_exit: bool) -> None:
    """Run the daemon until it is told to stop; raises what ends trading otherwise."""

    def as_asked(settings: Settings) -> Settings:
        if not cancel_on_exit:
            return settings
        return replace(settings, policy=replace(settings.policy, cancel_on_exit=True))

    settings = as_asked(read_settings(config, for_daemon=True))
    say_warnings(settings)
    app = build_daemon(settings)

    def reread() -> Settings:
        return as_asked(load_settings(config, os.environ))

    async def serve() -> None:
        measure = in_child(settings.database_url)
        await build_service(app, settings, reread=reread, measure=measure).run()

    try:
        asyncio.run(serve())
    finally:
        app.engine.dispose()
