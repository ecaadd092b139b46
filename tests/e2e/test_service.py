"""The daemon as systemd sees it: ready, alive, reloading, stopping, on a real notify socket."""

import json
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from manager import Manager, managed
from processes import ask, daemon, run_here, sim, stop, wait_for, write_config


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """Yield a service manager that listens."""
    listening = Manager(tmp_path / "notify")
    yield listening
    listening.close()


def named(log: Path, event: str) -> list[dict[str, Any]]:
    """Return the log's events of one name."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return [each for each in lines if each["event"] == event]


def live(root: str) -> set[int]:
    """Return the account's live orders as the exchange knows them."""
    return {order["id"] for order in ask(root, "/_sim/orders")["orders"] if order["live"]}


def test_a_service_says_when_it_is_ready_alive_and_ending(tmp_path: Path, manager: Manager) -> None:
    """READY comes with the first settled read, WATCHDOG goes on, STATUS says holds and pays."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root), tmp_path / "log"
        with managed(config, log, manager, watchdog_seconds=8.0) as process:
            manager.wait_for("READY=1", "STATUS=")
            assert not any("READY=1" in said for said in manager.said[:-1])
            assert any("EXTEND_TIMEOUT_USEC=" in said for said in manager.said)
            assert ask(root, "/_sim/report")["report"] is None
            said = manager.wait_for("STATUS=live: holds 5 of 5 servers, pays ")
            assert "USD per day" in said
            assert manager.hear(10).count("WATCHDOG=1") >= 4
            assert stop(process) == 0
        manager.wait_for("STOPPING=1")


def test_a_service_whose_exchange_is_down_is_alive_but_not_ready(
    tmp_path: Path, manager: Manager
) -> None:
    """It asks for more time to start and says why, instead of being restarted for nothing."""
    config, log = write_config(tmp_path, "http://127.0.0.1:9"), tmp_path / "log"
    with managed(config, log, manager) as process:
        manager.wait_for("STATUS=starting: our orders are not read yet", "no connection")
        heard = manager.hear(3)
        assert any("WATCHDOG=1" in said and "EXTEND_TIMEOUT_USEC=" in said for said in heard)
        assert not any("READY=1" in said for said in manager.said)
        assert stop(process) == 0


def test_a_frozen_daemon_stops_feeding_the_watchdog(tmp_path: Path, manager: Manager) -> None:
    """The sign of life comes from trading: a process that merely exists gives none."""
    with sim("--speed", "20") as root:
        config, log = write_config(tmp_path, root), tmp_path / "log"
        with managed(config, log, manager) as process:
            manager.wait_for("READY=1")
            process.send_signal(signal.SIGSTOP)
            manager.hear(0.5)
            assert manager.hear(3) == []
            process.send_signal(signal.SIGCONT)
            manager.wait_for("WATCHDOG=1")
            assert stop(process) == 0


def test_a_pass_that_hangs_is_not_fed_for_on_and_on(tmp_path: Path, manager: Manager) -> None:
    """The last sign of life comes within a quarter of the watchdog's period, which begins with it."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        config = write_config(tmp_path, f"http://127.0.0.1:{mute.getsockname()[1]}")
        with managed(config, tmp_path / "log", manager, watchdog_seconds=8.0):
            with mute.accept()[0]:  # the request of a pass that now hangs
                manager.hear(3)
                assert not any("WATCHDOG=1" in said for said in manager.hear(3.5))
            assert any("WATCHDOG=1" in said for said in manager.said)


def test_a_good_configuration_is_taken_up_without_a_gap(tmp_path: Path, manager: Manager) -> None:
    """SIGHUP: a new target is filled, a removed one's orders stay and are shown, nothing restarts."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root), tmp_path / "log"
        with managed(config, log, manager) as process:
            manager.wait_for("STATUS=live: holds 5 of 5")
            before = live(root)
            renamed = config.read_text().replace("name: ada\n    want: 2", "name: zoe\n    want: 1")
            config.write_text(renamed)
            process.send_signal(signal.SIGHUP)
            manager.wait_for("RELOADING=1", "MONOTONIC_USEC=")
            manager.wait_for("READY=1", "STATUS=configuration reloaded")
            wait_for(lambda: len(live(root)) == 6, of="the new target's server")
            assert before < live(root), "the removed target's orders stay"
            assert process.poll() is None
            shown = wait_for(lambda: _strangers(config), of="the orders that nobody looks after")
            assert {order["target"] for order in shown} == {"ada"}
            assert stop(process) == 0
        assert len(named(log, "daemon.started")) == 1
        (event,) = named(log, "config.reloaded")
        assert (event["added"], event["removed"]) == (["zoe"], ["ada"])


def test_a_hangup_before_the_daemon_runs_is_kept_for_it(tmp_path: Path) -> None:
    """SIGHUP while the configuration is being read for the first time: read once more, not died of."""
    config, log, token = (
        write_config(tmp_path, "http://127.0.0.1:9"),
        tmp_path / "log",
        tmp_path / "token",
    )
    config.write_text(config.read_text().replace("token_env: E2E_TOKEN", "token_file: ./token"))
    os.mkfifo(token)
    with daemon(config, log) as process, token.open("w") as written:  # open once the daemon reads it
        process.send_signal(signal.SIGHUP)
        token.unlink()
        token.write_text("a-token")
        token.chmod(0o600)
        config.write_text(config.read_text() + "log: {level: debug}\n")
        written.write("a-token")
        written.close()
        wait_for(lambda: named(log, "config.reloaded"), of="the second reading")
        assert stop(process) == 0
    (event,) = named(log, "config.reloaded")
    assert (event["changed"], event["keys"]) == ([], ["log"])


def _strangers(config: Path) -> Any:
    ran = run_here("status", "-c", str(config), "--json")
    return ran.document["strangers"] if ran.code == 0 else None


def _held(config: Path) -> int:
    ran = run_here("status", "-c", str(config), "--json")
    return sum(target["held"] for target in ran.document["targets"])


REFUSED = [
    (("usd: 6", "usd: six"), "strategies[0].ceiling.usd: is not a number"),
    (("name: e2e", "name: other"), "a running daemon cannot change account.name"),
    (("database: ", "database: other-"), "a running daemon cannot change database"),
    (("mode: live", "mode: paper"), "a running daemon cannot change mode"),
    (("token_env: E2E_TOKEN", "token_env: OTHER"), "a running daemon cannot change the API token"),
    (("strategies:", "strategy:"), "strategy"),
]


def test_a_configuration_that_cannot_be_taken_up_is_refused_whole(
    tmp_path: Path, manager: Manager
) -> None:
    """The reason stands in log and status, trading goes on as before, and a mended file is taken."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root), tmp_path / "log"
        good = config.read_text().replace('database: "', "database: ").replace('.db"', ".db")
        config.write_text(good)
        with managed(config, log, manager) as process:
            manager.wait_for("READY=1")
            (copy,) = tmp_path.glob("taken-up-*.yaml")
            assert stat.S_IMODE(copy.stat().st_mode) == 0o600
            for change, said in REFUSED:
                config.write_text(good.replace(*change).replace("want: 2", "want: 1"))
                process.send_signal(signal.SIGHUP)
                manager.wait_for("RELOADING=1")
                manager.wait_for("READY=1", "STATUS=reload refused: ", said)
                assert said in named(log, "config.refused")[-1]["reason"]
                assert copy.read_text() == good
            manager.wait_for("STATUS=live: ", "reload refused: ")
            manager.wait_for("holds 5 of 5")
            config.write_text(good + "log: {level: debug}\n")
            process.send_signal(signal.SIGHUP)
            manager.wait_for("READY=1", "STATUS=configuration reloaded")
            wait_for(lambda: copy.read_text() == config.read_text(), of="the new copy")
            process.send_signal(signal.SIGHUP)
            manager.wait_for("READY=1", "STATUS=configuration reloaded: ", "has not changed")
            assert stop(process) == 0
        assert "Traceback" not in log.read_text()


def test_a_file_that_cannot_be_used_silences_and_disarms_nobody(
    tmp_path: Path, manager: Manager
) -> None:
    """The daemon trades on, is healthy and shown, and the panic command reaches it."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root), tmp_path / "log"
        with managed(config, log, manager) as process:
            manager.wait_for("STATUS=live: holds 5 of 5")
            config.write_text(config.read_text().replace("strategies:", "\tstrategies:"))
            process.send_signal(signal.SIGHUP)
            manager.wait_for("READY=1", "STATUS=reload refused: ")
            assert run_here("check", "-c", str(config)).code == 2
            health = run_here("health", "-c", str(config))
            assert (health.code, "tab" in health.err) == (0, True), health.err
            assert "going by what the daemon took up last" in health.err
            # The picture of the latest pass is kept every few seconds only.
            wait_for(lambda: _held(config) == 5, of="the picture of what is held")
            cancelled = run_here("cancel", "--all", "-c", str(config))
            assert cancelled.code == 0, cancelled.err
            assert live(root) == set()
            assert stop(process) == 0
