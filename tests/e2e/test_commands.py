"""Every command against the simulated exchange, beside a running daemon and without one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from documented import disagreements, read_table
from processes import TOKEN, Ran, ask, bidder, daemon, run_here, sim, stop, wait_for, write_config

SPEED = "30"


class Desk:
    """Runs commands with one configuration and holds each answer against the documentation."""

    def __init__(self, config: Path) -> None:
        """Start with nothing seen."""
        self.config = config
        self.seen: set[str] = set()

    def run(self, *command: str, code: int = 0, by: Callable[..., Ran] = bidder) -> Ran:
        """Run a command for the eye."""
        ran = by(*command, "-c", str(self.config))
        assert ran.code == code, f"{command}: {ran}"
        assert "Traceback" not in ran.err
        return ran

    def against(self, new: Path) -> Any:
        """Compare with a new configuration; the document agrees with the documentation."""
        return self.json("plan --against", str(new))

    def json(self, name: str, *arguments: str) -> Any:
        """Run a command with --json; return its document, which agrees with the documentation."""
        # That it can be run as a process is seen the first time.
        by = run_here if name in self.seen else bidder
        document = self.run(*name.split(), *arguments, "--json", by=by).document
        assert disagreements(document, name) == []
        self.seen.add(name)
        return document


def test_a_day_at_the_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an owner types from the first look to the last order, and what each command answers."""
    monkeypatch.setenv("E2E_TOKEN", TOKEN)
    with sim("--speed", SPEED) as root:
        desk = Desk(write_config(tmp_path, root))
        _before_the_first_start(desk)
        log = tmp_path / "daemon.log"
        with daemon(desk.config, log) as running:
            _beside_the_daemon(desk, root)
            assert stop(running) == 0, log.read_text()
        _without_the_daemon(desk, root)
        assert "Traceback" not in log.read_text()
        assert {*desk.seen, "demo", "chaos"} == {name for name in read_table() if name in COMMANDS}


COMMANDS = {
    *(
        "check",
        "plan",
        "plan --against",
        "health",
        "doctor",
        "status",
        "orders",
        "history",
        "explain",
        "cancel",
        "pause",
        "resume",
    ),
    *("wallets", "servers list", "servers config", "servers set", "demo", "chaos"),
}


def _before_the_first_start(desk: Desk) -> None:
    checked = desk.json("check")
    assert (checked["ok"], checked["token_found"]) == (True, True)
    assert desk.run("check").out.startswith(f"{desk.config} is good")
    assert "there is no database yet" in desk.run("status", code=2).err
    examined = {check["name"]: check["state"] for check in desk.json("doctor")["checks"]}
    assert (examined["exchange"], examined["token"], examined["database"]) == ("ok", "ok", "warning")
    plan = desk.json("plan")
    assert plan["source"] == "exchange"
    assert [action["action"] for action in plan["actions"]] == ["place"] * 5
    assert len({action["server"] for action in plan["actions"]}) == 5
    assert all(action["facts"]["ceiling"] for action in plan["actions"])
    compared = desk.against(desk.config)
    assert (compared["source"], compared["counts"]) == ("exchange", {"unchanged": 5})
    assert compared["history"]["from"] is None
    assert not (desk.config.parent / "bidder.db").exists(), "a plan leaves nothing behind"
    _bad_news(desk)


def _changed(desk: Desk, name: str, *changes: tuple[str, str]) -> Path:
    """Write the desk's configuration, changed, beside it."""
    text = desk.config.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = desk.config.with_name(name)
    path.write_text(text, encoding="utf-8")
    return path


def _bad_news(desk: Desk) -> None:
    """What is wrong with either file is told with that file's name."""
    bad = _changed(desk, "bad.yaml", ("want: 3", "want: many"))
    told = desk.run("plan", "--against", str(bad), code=2).err
    assert told.startswith(f"error: {bad}:")
    assert "strategies[1].want" in told
    both = bidder("plan", "-c", str(bad), "--against", str(desk.config.with_name("none.yaml")))
    assert both.code == 2
    assert [line.split(":")[1].strip() for line in both.err.splitlines()] == [
        str(bad),
        str(desk.config.with_name("none.yaml")),
    ]


def _beside_the_daemon(desk: Desk, root: str) -> None:
    database = desk.config.parent / "bidder.db"
    wait_for(database.exists, of="the database")
    orders = wait_for(lambda: _running(desk), of="orders that run")
    assert desk.json("orders")["orders"]
    status = desk.json("status")
    assert status["running"] is True
    assert desk.json("health")["healthy"] is True
    assert desk.run("health").out.startswith("healthy")
    assert status["holder"].startswith("process ")
    examined = {check["name"]: check["state"] for check in desk.json("doctor")["checks"]}
    assert {examined[name] for name in ("daemon", "lease", "exchange", "token", "wallets")} == {"ok"}
    assert status["mode"] == "live"
    assert sum(len(target["orders"]) for target in status["targets"]) >= 2
    first = orders[0]
    assert first["pub_cluster"]
    assert first["tcp_ports"]
    assert first["http_port"] == "8888"
    assert first["ends_at"] > first["created_at"]
    assert "clorecloud" in desk.run("orders").out
    assert str(first["order"]) in desk.run("status").out
    assert bidder("run", "-c", str(desk.config)).code == 4

    explained = desk.json("explain", str(first["order"]))
    assert explained["order"]["order"] == first["order"]
    placed = [d for d in explained["decisions"] if d["action"] == "place"]
    assert placed[0]["reason"] == "empty_slot"
    assert placed[0]["facts"]["floor"]
    assert next(sent["kind"] for sent in explained["sent"]) == "place"
    assert explained["prices"][0]["bid"] == placed[0]["price"]
    assert "empty_slot" in desk.run("explain", str(first["order"])).out

    books = desk.json("history", "--server", str(first["server"]))["books"]
    assert {book["server"] for book in books} == {first["server"]}
    assert desk.json("history", "--limit", "3")["books"]
    assert desk.json("plan")["source"] == "daemon"
    new = _changed(desk, "new.yaml", ("want: 2", "want: 1"), ("mode: live", "mode: live\nadopt: true"))
    compared = desk.against(new)
    assert (compared["source"], compared["requests"]) == ("daemon", 0)
    ended = [each for each in compared["changes"] if each["verdict"] == "end"]
    assert [each["target"] for each in ended] == ["ada"]
    assert compared["needs_restart"] == []
    shown = desk.run("plan", "--against", str(_changed(desk, "p.yaml", ("mode: live", "mode: paper"))))
    assert "A reload would be refused: mode changed" in shown.out
    assert "what the running daemon knew" in shown.out
    wallets = desk.json("wallets")
    assert wallets["source"] == "daemon"
    assert {wallet["currency"] for wallet in wallets["wallets"]} >= {"BTC", "CLORE"}
    hosted = desk.json("servers list")
    assert (hosted["source"], hosted["servers"][0]["name"]) == ("daemon", "rig-1")

    assert desk.json("pause")["carried_out_by"] == "daemon"
    assert desk.json("status")["paused"] is True
    assert desk.json("cancel", str(first["order"]))["ok"] is True
    assert first["order"] not in _live(root)
    assert "is not known" in desk.run("cancel", "999999999", code=1).err
    assert desk.json("resume")["ok"] is True


def _without_the_daemon(desk: Desk, root: str) -> None:
    assert desk.json("status")["running"] is False
    assert "no daemon holds the lease" in desk.run("health", code=1).err
    assert _live(root), "orders stay as they are when the daemon stops"
    assert "left to themselves" in desk.run("doctor", "--offline", code=1).out
    config = desk.json("servers config", "rig-1")
    assert config["source"] == "command"
    settings = ["--mrl", "48", "--on-demand", "0.0002", "--spot", "0.0001", "--available"]
    assert desk.json("servers set", "rig-1", *settings)["name"] == "rig-1"
    changed = desk.json("servers config", "rig-1")["server"]
    assert {price["amount"] for price in changed["on_demand"]} == {"0.0002"}
    assert desk.run("servers", "config", "nobody", code=1).err.startswith("error: server_config")
    assert desk.json("wallets")["source"] == "command"

    orders = desk.json("orders")["orders"]
    one = orders[0]["order"]
    answer = desk.json("cancel", str(one))
    assert (answer["carried_out_by"], answer["ok"]) == ("command", True)
    assert one not in _live(root)
    everything = desk.json("cancel", "--all")
    assert everything["ok"] is True
    assert _live(root) == set()
    assert desk.json("status")["paused"] is True
    ended = desk.json("orders", "--ended")["orders"]
    assert {one} < {order["order"] for order in ended}
    assert {order["end_cause"] for order in ended} == {"withdrawn"}
    assert desk.run("orders").out == "There are no orders.\n"
    assert desk.json("resume")["carried_out_by"] == "command"


def _running(desk: Desk) -> list[dict[str, Any]]:
    """Return the orders that run and have had their ports published, once there are four orders."""
    ran = run_here("orders", "-c", str(desk.config), "--json")
    if ran.code != 0:
        return []
    orders = ran.document["orders"]
    active = [order for order in orders if order["active"] and order["target"] == "ada"]
    return active if len(orders) >= 4 else []


def _live(root: str) -> set[int]:
    return {order["id"] for order in ask(root, "/_sim/orders")["orders"] if order["live"]}


def test_the_demo_prints_what_is_documented(tmp_path: Path) -> None:
    """One JSON object, on standard output alone, by the simulator's own count."""
    ran = bidder("demo", "--hours", "0.1", "--seed", "2", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert disagreements(ran.document, "demo") == []
    assert ran.document["rate_limit_refusals"] == 0
    assert ran.document["orders_created"] >= 5
    assert json.loads(ran.out)["simulated_hours"] >= 0.1
