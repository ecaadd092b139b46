"""Fixtures that more than one folder of tests uses."""

import logging
import os
from collections.abc import Iterator

import pg
import pytest
import structlog


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the killed processes: they wait for minutes, and others can work meanwhile."""
    items.sort(key=lambda item: "crash" not in item.path.parts)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Yield the URL of a PostgreSQL server; skip where there is none, but fail in CI."""
    reason = pg.why_absent()
    if reason is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"PostgreSQL is missing: {reason}")
        pytest.skip(f"PostgreSQL is missing: {reason}")
    with pg.server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Yield the URL of an empty database of this test's own."""
    with pg.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Undo what a test set up for the log: its stream is closed when the test is over."""
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers[:] = [
        handler for handler in logging.getLogger().handlers if type(handler) is not logging.StreamHandler
    ]
    logging.captureWarnings(False)
