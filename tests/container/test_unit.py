"""The units as docs/install.md installs them, started by systemd itself on the image's root.

Nothing of the unit files is changed. Where a test cannot wait for minutes, a drop-in of its own shortens
that one setting, as `systemctl edit` would.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from booted import CannotBoot, Machine, booted
from contained import Image
from processes import TOKEN, ask, sim, wait_for

pytestmark = pytest.mark.slow
UNITS = Path(__file__).parents[2] / "systemd"
_GUARD = "bidder-guard.service"
# Four feeds in it, so that a busy machine does not miss one.
_WATCHDOG = "[Service]\nWatchdogSec=12\nRestartSec=1\n"
_TIMER = "[Timer]\nOnBootSec=\nOnActiveSec=1s\nAccuracySec=1s\n"


@pytest.fixture(scope="module")
def exchange(image: Image) -> Iterator[str]:
    """Run the simulated exchange; yield its root."""
    with sim("--no-rivals", "--speed", "20") as root:
        yield root


@pytest.fixture(scope="module")
def machine(image: Image, exchange: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot systemd with everything installed and nothing started."""
    try:
        with booted(image.root, tmp_path_factory.mktemp("machine")) as machine:
            # The image's volume; where the service is installed there is none yet.
            assert machine.run("rmdir", "/var/lib/bidder").code == 0
            for unit in sorted(UNITS.iterdir()):
                machine.write(f"/etc/systemd/system/{unit.name}", unit.read_text(encoding="utf-8"))
            machine.write("/etc/bidder/clore-token", TOKEN + "\n", 0o600)
            configure(machine, exchange)
            yield machine
    except CannotBoot as exc:
        pytest.skip(f"systemd cannot be started here: {exc}")


def configure(machine: Machine, root: str, *, want: int = 2, more: str = "") -> None:
    """Write the configuration, without a secret, for the service's own user to read."""
    machine.write(
        "/etc/bidder/config.yaml",
        f"""
mode: live
exchange: {{url: "{root}/v1"}}
rates: {{BTC: 69000, CLORE: 0.11}}
guard: {{then: cancel, after: 30m}}
{more}
strategies:
  - name: ada
    want: {want}
    ceiling: {{usd: 6, per: gpu}}
    servers: {{gpu: RTX 4090}}
    launch: {{image: a/b}}
""",
    )


def shorten(machine: Machine, unit: str, text: str) -> None:
    """Lay a drop-in over a unit."""
    machine.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
    machine.systemctl("daemon-reload")


def live(root: str) -> set[int]:
    """Return the account's live orders as the exchange knows them."""
    return {order["id"] for order in ask(root, "/_sim/orders")["orders"] if order["live"]}


def events(machine: Machine) -> list[str]:
    """Return the names of the log's events."""
    lines = machine.journal().splitlines()
    return [json.loads(line)["event"] for line in lines if line.startswith("{")]


def test_a_start_returns_when_it_is_ready(machine: Machine, exchange: str) -> None:
    """READY reached; it runs as a user of its own, and its status says in one line what it does."""
    machine.systemctl("start", "bidder")

    assert machine.show("bidder", "ActiveState") == "active"
    assert "service.ready" in events(machine)
    assert machine.show("bidder", "Result") == "success"
    assert machine.show("bidder", "StatusText").startswith("live: ")
    wait_for(lambda: len(live(exchange)) == 2, of="two orders")
    wait_for(lambda: "holds 2 of 2" in machine.show("bidder", "StatusText"), of="a status that says so")
    assert TOKEN not in machine.journal() + machine.systemctl("show", "bidder")


def test_it_is_confined_as_the_unit_says(machine: Machine) -> None:
    """A user without rights, a system call filter, and namespaces in which nothing can be written."""
    pid = machine.show("bidder", "MainPID")
    lines = dict(
        line.split(":", 1) for line in machine.run("cat", f"/proc/{pid}/status").out.splitlines()
    )

    user = int(lines["Uid"].split()[0])
    assert 61184 <= user <= 65519, "one of those that exist only while a service runs"
    assert lines["CapBnd"].strip() == lines["CapEff"].strip() == "0" * 16
    assert (lines["NoNewPrivs"].strip(), lines["Seccomp"].strip()) == ("1", "2")
    assert machine.run("stat", "-c", "%u %a", "/var/lib/bidder/").out.split() == [str(user), "700"]


def test_the_commands_work_beside_it(machine: Machine) -> None:
    """As root, told where the database is: docs/install.md says how."""
    ran = machine.run(
        *("env", "STATE_DIRECTORY=/var/lib/bidder", "/opt/bidder/bin/bidder", "status", "--json"),
        *("-c", "/etc/bidder/config.yaml"),
    )

    assert ran.code == 0, ran.err
    assert ran.document["running"] is True


def test_a_reload_is_taken_up_or_refused(machine: Machine, exchange: str) -> None:
    """`systemctl reload` reads the configuration again; a bad one changes nothing, and is told."""
    configure(machine, exchange, want=3)
    machine.systemctl("reload", "bidder")
    wait_for(lambda: "config.reloaded" in events(machine), of="a reload")
    wait_for(lambda: "holds 3 of 3" in machine.show("bidder", "StatusText"), of="a third server")

    configure(machine, exchange, more="nonsense: 1")
    machine.systemctl("reload", "bidder")
    wait_for(lambda: "reload refused" in machine.show("bidder", "StatusText"), of="a refusal")
    assert machine.show("bidder", "ActiveState") == "active"
    configure(machine, exchange, want=3)
    machine.systemctl("reload", "bidder")
    wait_for(lambda: "refused" not in machine.show("bidder", "StatusText"), of="a reload")


def test_the_guard_runs_by_its_timer(machine: Machine, exchange: str) -> None:
    """Beside a living daemon a round ends at once: as the same user, and without touching an order."""
    before = live(exchange)
    shorten(machine, "bidder-guard.timer", _TIMER)
    machine.systemctl("start", "bidder-guard.timer")

    wait_for(
        lambda: machine.show(_GUARD, "ExecMainExitTimestampMonotonic") not in {"", "0"}, of="a round"
    )
    assert machine.show(_GUARD, "Result") == "success", machine.journal(_GUARD)
    assert machine.show(_GUARD, "ExecMainStatus") == "0"
    assert live(exchange) == before
    assert machine.show("bidder", "ActiveState") == "active"
    machine.systemctl("stop", "bidder-guard.timer")


def test_a_stop_leaves_the_orders_and_a_start_knows_them(machine: Machine, exchange: str) -> None:
    """It ends by itself with 0, its user goes, its state stays."""
    before = live(exchange)
    machine.systemctl("stop", "bidder")

    assert machine.show("bidder", "ActiveState") == "inactive"
    assert machine.show("bidder", "Result") == "success"
    assert machine.show("bidder", "ExecMainStatus") == "0"
    assert live(exchange) == before
    machine.systemctl("start", "bidder")
    wait_for(lambda: "holds 3 of 3" in machine.show("bidder", "StatusText"), of="its orders")
    assert live(exchange) == before


def test_a_reload_during_the_start_ends_nothing(machine: Machine, exchange: str) -> None:
    """SIGHUP kills a program that does not handle it yet: systemd sends none before READY."""
    before = live(exchange)
    machine.systemctl("stop", "bidder")
    machine.systemctl("start", "--no-block", "bidder")
    wait_for(lambda: machine.show("bidder", "MainPID") != "0", of="a process")
    started = machine.show("bidder", "MainPID")
    machine.systemctl("reload", "--no-block", "bidder")

    wait_for(lambda: "holds 3 of 3" in machine.show("bidder", "StatusText"), of="its orders")
    assert machine.show("bidder", "MainPID") == started
    assert machine.show("bidder", "NRestarts") == "0"
    assert live(exchange) == before


def test_the_watchdog_ends_a_wedged_daemon_and_starts_another(machine: Machine, exchange: str) -> None:
    """It is told where it hung, and the next one goes on with the same orders."""
    before = live(exchange)
    shorten(machine, "bidder.service", _WATCHDOG)
    machine.systemctl("restart", "bidder")
    wedged = machine.show("bidder", "MainPID")
    machine.systemctl("kill", "--signal=STOP", "bidder")

    wait_for(lambda: machine.show("bidder", "NRestarts") == "1", of="the watchdog")
    wait_for(lambda: machine.show("bidder", "ActiveState") == "active", of="another daemon")
    assert machine.show("bidder", "MainPID") not in {wedged, "0"}
    assert "Fatal Python error: Aborted" in machine.journal()
    wait_for(lambda: "holds 3 of 3" in machine.show("bidder", "StatusText"), of="its orders")
    assert live(exchange) == before


def test_a_wrong_configuration_is_not_tried_again(machine: Machine, exchange: str) -> None:
    """Exit code 2 needs a person: the start fails, and stays failed."""
    configure(machine, exchange, more="nonsense: 1")
    ran = machine.run("systemctl", "restart", "bidder")

    assert ran.code != 0
    assert machine.show("bidder", "ActiveState") == "failed"
    assert machine.show("bidder", "ExecMainStatus") == "2"
    assert machine.show("bidder", "NRestarts") == "0"
