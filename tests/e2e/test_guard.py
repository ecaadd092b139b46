"""`bidder guard` as a process of its own, beside a daemon that lives and after one that was killed."""

import signal
from pathlib import Path

import pytest
from processes import ask, bidder, daemon, sim, wait_for, write_config


@pytest.mark.postgres
def test_on_postgresql_a_daemon_that_lives_or_has_just_died_is_left_alone(
    tmp_path: Path, postgres_url: str
) -> None:
    """The signs of life are read from that database, and the dead holder's lease keeps nobody out."""
    log = tmp_path / "daemon.log"
    with sim() as root:
        config = write_config(tmp_path, root, database=postgres_url, more="guard: {then: cancel}")
        with daemon(config, log) as process:
            wait_for(lambda: ask(root, "/_sim/orders")["orders"], of="an order")
            beside = bidder("guard", "-c", str(config), "--json")
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        after = bidder("guard", "-c", str(config), "--json")
        orders = ask(root, "/_sim/orders")["orders"]

    assert (beside.code, after.code) == (0, 0), beside.err + after.err
    assert beside.document["finding"] == "alive"
    assert after.document["finding"] == "quiet"
    assert (beside.document["sent"], after.document["sent"]) == ([], [])
    assert orders
    assert all(order["live"] for order in orders)
