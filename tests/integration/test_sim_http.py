"""The simulated exchange over real HTTP on loopback."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime

import httpx
import pytest

from bidder.clock import ScaledClock
from bidder.errors import BadInput
from bidder.sim import server
from bidder.sim.faults import Fault, FaultScript, Kind
from bidder.sim.server import build_exchange, running_sim, sim_serve_main

AUTH = {"auth": "sim-token"}
SERVE = """
import sys
from bidder.sim.server import sim_serve_main
sys.exit(sim_serve_main(port=0, speed=50, servers=20))
"""


async def test_requests_over_one_kept_connection() -> None:
    """Market, book, order, cancel: at 100 times the pace of the wall clock."""
    async with (
        running_sim(build_exchange(servers=30, rivals=False), speed=100) as sim,
        httpx.AsyncClient(base_url=sim.base_url, headers=AUTH) as http,
    ):
        market = (await http.get("/marketplace")).json()
        free = next(item for item in market["servers"] if not item["rented"])
        coin = free["allowed_coins"][0]
        await asyncio.sleep(0.06)
        creation = {
            "currency": coin,
            "image": "cloreai/ubuntu20.04-jupyter",
            "renting_server": free["id"],
            "type": "spot",
            "spotprice": free["price"]["spot"][coin],
        }
        assert (await http.post("/create_order", json=creation)).json() == {"code": 0}
        await asyncio.sleep(0.1)
        (order,) = (await http.get("/my_orders")).json()["orders"]
        await asyncio.sleep(0.02)
        cancelled = await http.post("/cancel_order", json={"id": order["id"]})

        assert cancelled.json() == {"code": 0}
        assert cancelled.headers["content-type"] == "application/json"
        assert [truth["live"] for truth in sim.exchange.ground_truth()] == [False]


async def test_a_get_with_a_body_is_understood() -> None:
    """server_config takes its name in the body of a GET."""
    async with running_sim(build_exchange(servers=5, rivals=False)) as sim, httpx.AsyncClient() as http:
        answer = await http.request(
            "GET", f"{sim.base_url}/server_config", headers=AUTH, json={"server_name": "rig-1"}
        )

        assert answer.json()["config"]["name"] == "rig-1"


async def test_both_sides_of_a_demo_agree_on_the_time() -> None:
    """The answer to a start is enough to build the same clock in another process."""
    async with running_sim(build_exchange(servers=5)) as sim, httpx.AsyncClient() as http:
        body = {"speed": 300, "targets": []}
        answer = (await http.post(f"{sim.control_url}/_sim/start", json=body)).json()
        ours = ScaledClock(
            speed=answer["speed"],
            start=datetime.fromisoformat(answer["start"]),
            anchor=answer["anchor"],
        )

        assert abs((ours.now() - sim.clock.now()).total_seconds()) < 3
        report = (await http.get(f"{sim.control_url}/_sim/report")).json()["report"]
        assert report["requests"] == 0


@pytest.mark.parametrize("kind", [Kind.CLOSE_BEFORE, Kind.CLOSE_AFTER])
async def test_a_broken_connection_breaks_on_the_wire(kind: Kind) -> None:
    """The client sees no answer at all; the next request goes through."""
    faults = FaultScript([Fault(kind=kind, endpoint="wallets", nth=1)])
    exchange = build_exchange(servers=5, rivals=False)
    async with running_sim(exchange, faults=faults, speed=1000) as sim, httpx.AsyncClient() as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"{sim.base_url}/wallets", headers=AUTH)

        await asyncio.sleep(0.01)
        assert (await http.get(f"{sim.base_url}/wallets", headers=AUTH)).json()["code"] == 0


async def test_a_delayed_answer_is_carried_out_at_once() -> None:
    """The client may give up on an order that exists."""
    faults = FaultScript([Fault(kind=Kind.DELAY, endpoint="create_order", nth=1, seconds=60)])
    exchange = build_exchange(servers=5, rivals=False)
    async with running_sim(exchange, faults=faults) as sim, httpx.AsyncClient() as http:
        stall = next(
            stall
            for stall in exchange.market.stalls.values()
            if stall.open_to_bids and not stall.hosted_by_us
        )
        coin = next(coin for coin in stall.floor if stall.listing.takes(coin))
        creation = {
            "currency": coin,
            "image": "x",
            "renting_server": stall.server_id,
            "type": "spot",
            "spotprice": float(stall.floor[coin]),
        }
        with pytest.raises(httpx.ReadTimeout):
            await http.post(f"{sim.base_url}/create_order", headers=AUTH, json=creation, timeout=0.3)

        assert len(sim.exchange.ground_truth()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_announces_itself_and_ends_with_0(number: signal.Signals) -> None:
    """The first line names host, port and token; a signal ends it in good order."""
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[:2] == ["listening", "on"]
        assert words[3:] == ["token", "sim-token"]
        answer = httpx.get(f"http://{words[2]}/v1/wallets", headers=AUTH)
        assert answer.json()["code"] == 0
        os.kill(process.pid, number)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_port_in_use_is_bad_input() -> None:
    """One line that says which, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(BadInput, match=f"port {port} is in use; "):
            sim_serve_main(port=port, servers=5)


@pytest.mark.parametrize("bad", [{"speed": 0.0}, {"servers": 0}, {"port": 70000}])
def test_nonsense_is_bad_input(bad: dict[str, float]) -> None:
    """Before anything is opened."""
    with pytest.raises(BadInput):
        sim_serve_main(**{"servers": 5, **bad})  # type: ignore[arg-type]  # on purpose


def test_answers_are_not_held_back_for_an_acknowledgement() -> None:
    """asyncio sets TCP_NODELAY on TCP sockets that say so; else each answer takes 40 ms more."""
    with server.listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_calendar_at_speed_one_is_the_machines() -> None:
    """Orders then carry times that make sense beside the daemon's own."""
    exchange = build_exchange(servers=5, start=datetime.now(UTC))

    assert abs((exchange.now - datetime.now(UTC)).total_seconds()) < 5
