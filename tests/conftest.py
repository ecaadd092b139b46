"""Fixtures that more than one folder of tests uses."""

import logging
import os
from collections.abc import Iterator
from itertools import islice

import pg
import pytest
import structlog
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# For another interpreter, which is asked whether it does the same, not whether a rule holds.
settings.register_profile("few", settings.get_profile("untimed"), max_examples=10)
settings.load_profile("untimed")

# What takes longest, longest first, by a part of its name: it waits for processes of its own.
LONG = ("tests/crash/", "e2e/test_commands.py", "e2e/test_notices.py", "e2e/test_paper.py", "tests/e2e/")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let every worker begin with its share of what takes longest; others then work meanwhile.

    Each worker is given an equal run of the list, and takes from the end of another's when it is done.
    """
    workers: int = getattr(config, "workerinput", {"workercount": 1})["workercount"]
    ranks = {item: _rank(item) for item in items}
    long = sorted((item for item in items if ranks[item] < len(LONG)), key=lambda item: ranks[item])
    others = iter([item for item in items if ranks[item] == len(LONG)])
    dealt: list[pytest.Item] = []
    for worker in range(workers):
        share = (len(items) - len(dealt)) // (workers - worker)
        begin = long[worker::workers]
        dealt += [*begin, *islice(others, max(0, share - len(begin)))]
    items[:] = [*dealt, *others]


def _rank(item: pytest.Item) -> int:
    return next((rank for rank, part in enumerate(LONG) if part in item.nodeid), len(LONG))


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
