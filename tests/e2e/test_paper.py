"""Paper trading by a real process: killed, continued, shown, commanded, with a token and without."""

from pathlib import Path
from typing import Any

from documented import disagreements
from processes import ask, bidder, daemon, run_here, sim, start_daemon, stop, wait_for, write_config


def orders(config: Path) -> dict[int, Any]:
    """Return the live orders by their numbers."""
    ran = run_here("orders", "-c", str(config), "--json")
    return {order["order"]: order for order in ran.document["orders"]} if ran.code == 0 else {}


def held(config: Path) -> dict[int, Any]:
    """Return the live orders as soon as three of them run."""
    found = orders(config)
    return found if sum(bool(order["active"]) for order in found.values()) >= 3 else {}


def test_a_killed_process_continues_its_paper_orders(tmp_path: Path) -> None:
    """After kill -9 the same orders stand, cost more, and are shown, explained and cancelled."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root, mode="paper"), tmp_path / "log"
        ask(root, "/_sim/start", {"speed": 20, "targets": []})
        first = start_daemon(config, log)
        try:
            before = wait_for(lambda: held(config), of="servers held on paper")
        finally:
            first.kill()
            first.wait(20)
        with daemon(config, log) as process:
            after = wait_for(lambda: further(config, before), of="the same orders, dearer")
            assert after.keys() >= before.keys()
            marked(config)
            number = max(after)
            ran = bidder("cancel", f"P{-number}", "-c", str(config))
            assert ran.code == 0, ran.err
            assert number not in orders(config)
            assert stop(process) == 0
        assert ask(root, "/_sim/orders")["orders"] == []
        assert ask(root, "/_sim/report")["report"]["orders_created"] == 0
        assert "Traceback" not in log.read_text()


def further(config: Path, before: dict[int, Any]) -> dict[int, Any]:
    """Return the orders once one of those before has cost more than it had."""
    found = orders(config)
    dearer = any(
        float(found[number]["spend"]["amount"]) > float(order["spend"]["amount"])
        for number, order in before.items()
        if number in found
    )
    return found if dearer else {}


def marked(config: Path) -> None:
    """Every looking command marks what is on paper, for the eye and in its JSON."""
    document = wait_for(lambda: bidder("status", "-c", str(config), "--json").document, of="status")
    assert document["mode"] == "paper"
    assert {total["mode"] for total in document["spend"]} == {"paper"}
    assert disagreements(document, "status") == []
    assert "PAPER" in bidder("status", "-c", str(config)).out
    assert "(paper)" in bidder("orders", "-c", str(config)).out
    explained = bidder("explain", "P1", "-c", str(config), "--json").document
    assert explained["order"]["order"] == -1
    assert explained["order"]["paper"] is True
    assert [sent["kind"] for sent in explained["sent"]][:1] == ["place"]
    assert disagreements(explained, "explain") == []
    books = bidder("history", "-c", str(config), "--json").document["books"]
    assert any(book["paper"] for book in books)
    assert bidder("explain", "P999", "-c", str(config)).code == 1
    assert bidder("explain", "x1", "-c", str(config)).code == 2


def test_without_any_token_the_marketplace_suffices(tmp_path: Path) -> None:
    """No token anywhere: the daemon holds servers on paper, marked as assumed, and says why."""
    with sim("--speed", "20", "--no-rivals") as root:
        config, log = write_config(tmp_path, root, mode="paper"), tmp_path / "log"
        text = config.read_text().replace("token_env: E2E_TOKEN", "token_env: NO_SUCH_TOKEN")
        config.write_text(text)
        ask(root, "/_sim/start", {"speed": 20, "targets": []})
        checked = bidder("check", "-c", str(config))
        assert checked.code == 0
        assert "only the marketplace" in checked.err
        assert bidder("wallets", "-c", str(config)).code == 2
        with daemon(config, log) as process:
            found = wait_for(lambda: held(config), of="servers held on paper")
            paused = bidder("pause", "-c", str(config))
            assert paused.code == 0, paused.err
            assert stop(process) == 0
        assert all(order["assumed"] for order in found.values() if order["active"])
        assert "paper.no_token" in log.read_text()
        assert ask(root, "/_sim/report")["report"]["orders_created"] == 0
