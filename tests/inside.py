"""What a container must do: trade, be healthy and confined, need little, and stop when it is told to."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import compose
from contained import ALWAYS, Container, Running
from processes import TOKEN, ask, wait_for


def lay_files(folder: Path, root: str, password: str = "") -> None:
    """Lay the files beside a compose file, for user 10001 to read as docs/container.md says."""
    config = {
        "mode": "live",
        "exchange": {"url": f"{root}/v1"},
        "rates": {"BTC": 69000, "CLORE": "0.11"},
        "strategies": [
            {
                "name": "ada",
                "want": 2,
                "ceiling": {"usd": 6, "per": "gpu"},
                "servers": {"gpu": "RTX 4090"},
                "launch": {"image": "a/b"},
            }
        ],
    }
    (folder / "config").mkdir(mode=0o755)
    (folder / "config" / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    (folder / "config" / "config.yaml").chmod(0o644)
    secrets = {"clore-token": TOKEN, "pgpass": f"postgres:5432:bidder:bidder:{password}"}
    for name, text in secrets.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
        os.chown(folder / name, 10001, 0)
        (folder / name).chmod(0o400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """What came of a run: the orders it held, and the seconds from its stop signal to its end."""

    orders: set[int]
    seconds_to_stop: float


def traded(container: Container, log: Path, root: str) -> Traded:
    """Run it until it holds what it wants, and stop it before an engine would kill it."""
    with container.running(log) as running:
        wait_for(lambda: len(live(root)) == 2, of="two orders")
        wait_for(running.healthy, of="health")
        wait_for(lambda: known(running) == live(root), of="orders that it knows")
        check_confinement(running)
        check_limits(running)
        began = time.monotonic()
        assert running.stop() == 0
        seconds = time.monotonic() - began
    assert seconds < grace(container)
    assert "Traceback" not in running.said
    return Traded(orders=live(root), seconds_to_stop=seconds)


def check_limits(running: Running) -> None:
    """It needs less than compose.yaml lets it have."""
    keys = running.container.keys
    most, unit = running.status("VmHWM")
    assert unit == "kB"
    assert int(most) * 1024 < compose.bytes_of(keys["mem_limit"])
    assert int(running.status("Threads")[0]) < keys["pids_limit"]


def grace(container: Container) -> float:
    """Return how many seconds an engine waits before it kills."""
    return compose.seconds(container.keys["stop_grace_period"])


def check_confinement(running: Running) -> None:
    """What compose.yaml takes from it, it does not have."""
    assert running.status("NSpid")[-1] == "1"
    assert running.status("Uid") == ["10001"] * 4
    assert running.status("Gid") == ["10001"] * 4
    assert not running.status("Groups")
    assert {running.status(f"Cap{each}")[0] for each in ("Inh", "Prm", "Eff", "Bnd")} == {"0" * 16}
    assert running.status("NoNewPrivs") == ["1"]
    variables = Path(f"/proc/{running.pid}/environ").read_text(encoding="utf-8")
    assert TOKEN not in variables
    mounted = Path(f"/proc/{running.pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    writable = {fields[4] for fields in map(str.split, mounted) if "rw" in fields[5].split(",")} - ALWAYS
    assert writable == {"/var/lib/bidder", *running.container.keys["tmpfs"]}


def known(running: Running) -> set[int]:
    """Return the orders that the daemon has on record as its own."""
    ran = running.run("orders", "--json")
    assert ran.code == 0, ran.err
    return {each["order"] for each in ran.document["orders"]}


def live(root: str) -> set[int]:
    """Return the account's live orders as the exchange knows them."""
    return {order["id"] for order in ask(root, "/_sim/orders")["orders"] if order["live"]}
