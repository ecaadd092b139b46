"""``bidder backtest`` on the daemon's own record."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from diaries import DAY, HOUR, MINUTE, Diary, steady

from bidder.cli.main import main
from bidder.wiring import open_database

GOOD = """
mode: live
account: {name: main, token_env: UNIT_TOKEN}
database: bidder.db
strategies:
  - name: render
    ceiling: {usd: 5}
    servers: {gpu: RTX 3090}
    launch: {image: nvidia/cuda}
"""


@pytest.fixture
def config(place: Path) -> Path:
    """Return a configuration beside a database in which nothing is recorded."""
    place.write_text(GOOD)
    open_database(f"sqlite:///{place.parent / 'bidder.db'}").dispose()
    return place


def ask(config: Path, *options: str) -> int:
    """Return the exit code of a backtest on the record."""
    command = ["backtest", "--from-history", "-c", str(config), "--value", "0.3", "--json"]
    return main([*command, "--strategies", "fixed", *options])


def test_a_record_of_long_ago_is_named_and_how_to_reach_it(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Doing as the message says ends well."""
    engine = open_database(f"sqlite:///{config.parent / 'bidder.db'}")
    begun = datetime.now(UTC).replace(second=0, microsecond=0) - 40 * DAY
    Diary(engine=engine, start=begun).watch(2 * HOUR, {7: steady("2")}, every=10 * MINUTE)
    engine.dispose()
    assert ask(config) == 2
    told = capsys.readouterr().err
    assert f"the latest is of {begun + 2 * HOUR - 10 * MINUTE:%Y-%m-%d %H:%M} UTC" in told
    days = re.search(r"--days (\d+) reaches it", told)
    assert days is not None
    assert ask(config, "--days", days[1]) == 0
    assert json.loads(capsys.readouterr().out)["market"] == "server 7"


def test_where_nothing_is_recorded_the_daemon_is_to_run_first(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However far one looks back."""
    assert ask(config) == 2
    assert "no book is recorded yet; run the daemon first" in capsys.readouterr().err


def test_a_configuration_with_no_possible_name_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where none is needed, one that cannot be looked for is as good as absent."""
    command = ["backtest", "-c", "x" * 300, "--trace", str(tmp_path / "none.json"), "--value", "1"]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "none.json" in told
    assert "should not happen" not in told
