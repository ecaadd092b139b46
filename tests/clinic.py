"""An account in a database on disk, and the doctor who looks at it."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from documented import disagreements
from store_values import NOW, make_pass

from bidder.app.snapshot import moment
from bidder.clock import VirtualClock
from bidder.doctor.examine import examine
from bidder.store.lease import Lease
from bidder.store.store import Store

CONFIG = """
mode: live
account: {name: main, token_env: UNIT_TOKEN}
exchange: {url: "http://127.0.0.1:9/v1"}
database: bidder.db
rates: {BTC: 69000, CLORE: 0.11}
rails: {max_usd_if_unattended: 1000}
strategies:
  - name: a
    ceiling: {usd: 3}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""


@dataclass(slots=True, kw_only=True)
class Ward:
    """One account: what its daemon wrote down, and what the doctor says of it."""

    folder: Path
    store: Store
    lease: Lease
    environ: dict[str, str] = field(default_factory=lambda: {"UNIT_TOKEN": "canary-token-value"})

    @property
    def config(self) -> Path:
        """Return the configuration file."""
        return self.folder / "config.yaml"

    def picture(self, **values: Any) -> None:
        """Write down a pass of this moment with this snapshot."""
        taken = {"at": moment(NOW), "mode": "live", "targets": [], **values}
        self.store.record_pass(make_pass(snapshot=taken))

    def look(self, *, after: timedelta = timedelta(0), transport: Any = None) -> dict[str, Any]:
        """Return the doctor's findings by name; without a transport the exchange is not asked."""
        clock = VirtualClock(NOW + after)
        report = asyncio.run(
            examine(self.config, self.environ, clock, offline=transport is None, transport=transport)
        )
        document = {"schema": 1, **report.document(), "bundle": None}
        assert disagreements(document, "doctor") == []
        assert "canary" not in str(document)
        for check in document["checks"]:
            assert check["state"] == "ok" or check["remedy"], check
            assert "could not be judged" not in check["finding"], check
        return {check["name"]: check for check in document["checks"]}
