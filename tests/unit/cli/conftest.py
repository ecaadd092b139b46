"""Where a command looks for its configuration, and an environment that says nothing else."""

from pathlib import Path

import pytest

from bidder.wiring import open_database


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where a configuration is to stand; its token is in the environment, and no other word."""
    monkeypatch.setenv("UNIT_TOKEN", "canary-token-value")
    for name in ("BIDDER_CONFIG", "BIDDER_EXCHANGE_URL", "BIDDER_DATABASE_URL", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "config.yaml"


@pytest.fixture
def config(place: Path, request: pytest.FixtureRequest) -> Path:
    """Return the configuration that its file calls ``GOOD``, beside a database without any record."""
    place.write_text(request.module.GOOD)
    open_database(f"sqlite:///{place.parent / 'bidder.db'}").dispose()
    return place
