"""An account in a database on disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from clinic import CONFIG, Ward
from store_values import ACCOUNT, NOW

from bidder.domain.policy import Mode
from bidder.store.engine import open_engine
from bidder.store.lease import Lease
from bidder.store.store import Store
from bidder.wiring import open_database


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with the schema, made once: each test gets a copy."""
    file = tmp_path_factory.mktemp("database") / "bidder.db"
    engine = open_database(f"sqlite:///{file}")
    engine.dispose()
    return file


@pytest.fixture
def ward(tmp_path: Path, empty_database: Path) -> Iterator[Ward]:
    """Yield an account that is traded live; its daemon has just started."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    engine = open_engine(Path(shutil.copy(empty_database, tmp_path / "bidder.db")))
    lease = Lease(engine, ACCOUNT)
    store = Store(engine, ACCOUNT, fencing=lease.acquire(NOW), mode=Mode.LIVE)
    yield Ward(folder=tmp_path, store=store, lease=lease)
    engine.dispose()
