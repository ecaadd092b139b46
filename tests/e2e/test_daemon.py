"""The daemon as a process: start, stop, start again, and what it does when it may not trade."""

import json
import signal
from pathlib import Path
from typing import Any

from processes import ask, bidder, daemon, run_here, sim, stop, wait_for, write_config


def events(log: Path) -> list[dict[str, Any]]:
    """Return the log's events; every line is one JSON object."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def named(log: Path, event: str) -> list[dict[str, Any]]:
    """Return the events of one name."""
    return [each for each in events(log) if each["event"] == event]


def live(root: str) -> set[int]:
    """Return the account's live orders as the exchange knows them."""
    return {order["id"] for order in ask(root, "/_sim/orders")["orders"] if order["live"]}


def test_a_second_start_goes_on_where_the_first_one_stopped(tmp_path: Path) -> None:
    """SIGTERM and SIGINT end it with 0 and leave the orders; the next start knows them all."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root), tmp_path / "log"
        with daemon(config, log) as first:
            wait_for(lambda: len(live(root)) >= 2, of="two orders")
            assert stop(first) == 0
        left = live(root)
        assert len(left) >= 2, "orders stay as they are"
        with daemon(config, log) as second:
            wait_for(lambda: len(live(root)) == 5, of="all five orders")
            second.send_signal(signal.SIGINT)
            assert second.wait(20) == 0
        assert left <= live(root)
        assert len(named(log, "daemon.started")) == 2
        assert named(log, "daemon.started")[1]["orders"] + named(log, "daemon.started")[1][
            "open_intents"
        ] >= len(left)
        assert all("exception" not in event for event in events(log))


def test_cancel_on_exit_leaves_nothing_behind(tmp_path: Path) -> None:
    """The option cancels what this daemon holds before it goes."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root), tmp_path / "log"
        with daemon(config, log, "--cancel-on-exit") as process:
            wait_for(lambda: len(named(log, "intent.adopted")) >= 2, of="two known orders")
            assert stop(process) == 0
        doubtful = named(log, "daemon.stopped")[0]["open_intents"]
        assert len(live(root)) <= doubtful


def test_a_refused_token_ends_trading_with_three(tmp_path: Path) -> None:
    """A clear message, a code of its own, and no hammering."""
    with sim() as root:
        config = write_config(tmp_path, root)
        ask(root, "/_sim/start", {"speed": 1, "targets": []})
        ran = bidder("run", "-c", str(config), token="revoked-token-value")
        assert ran.code == 3
        errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "token" in errors[0]
        assert "Traceback" not in ran.err
        assert "revoked-token-value" not in ran.err + ran.out
        assert ask(root, "/_sim/report")["report"]["requests"] == 1
        assert bidder("wallets", "-c", str(config), token="revoked-token-value").code == 3


def test_an_exchange_that_is_down_is_waited_for(tmp_path: Path) -> None:
    """The daemon goes on trying at a slower and slower pace, says so, and stops when told to."""
    config, log = write_config(tmp_path, "http://127.0.0.1:9"), tmp_path / "log"
    with daemon(config, log) as process:
        wait_for(lambda: len(named(log, "read.failed")) >= 3, of="three attempts")
        assert process.poll() is None
        assert stop(process) == 0
    assert all(event["result"] == "not_sent" for event in named(log, "read.failed"))


def test_paper_mode_trades_and_sends_nothing(tmp_path: Path) -> None:
    """Servers are held on paper; the exchange sees no request that changes anything."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root, mode="paper"), tmp_path / "log"
        ask(root, "/_sim/start", {"speed": 20, "targets": []})
        with daemon(config, log) as process:
            found = wait_for(lambda: running(config), of="a server held on paper")
            assert stop(process) == 0
        assert all(order["mode"] == "paper" and order["order"] < 0 for order in found)
        assert ask(root, "/_sim/orders")["orders"] == []
        assert ask(root, "/_sim/report")["report"]["orders_created"] == 0


def running(config: Path) -> Any:
    """Return the orders once one of them runs."""
    ran = run_here("orders", "-c", str(config), "--json")
    orders = ran.document["orders"] if ran.code == 0 else []
    return orders if any(order["active"] for order in orders) else None


def test_trading_goes_on_for_hundreds_of_passes(tmp_path: Path) -> None:
    """No pass is ever dropped: the daemon still reads after a long time of nothing to do."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root), tmp_path / "log"
        with daemon(config, log) as process:
            first = wait_for(lambda: status(config), of="a first picture")
            wait_for(lambda: status(config)["pass_id"] >= first["pass_id"] + 25, of="25 more passes")
            assert stop(process) == 0


def status(config: Path) -> Any:
    """Return what `bidder status` shows once there is something."""
    ran = run_here("status", "-c", str(config), "--json")
    return ran.document if ran.code == 0 and ran.document["at"] is not None else None
