"""An exchange whose every text is a path, a command, a template or an escape, and who trades on it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from itertools import count, cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from virtual import Day, begin

from bidder.cli.main import main
from bidder.demo.transport import SimTransport
from bidder.sim import answers
from bidder.wiring import build_app, open_database

HOSTILE = (
    *("\x1b[2J\x1b[31mowned", "\x9b2Jowned", "\u202eowned.exe", "[red]owned[/red]", "$(touch owned)"),
    *(
        "`touch owned`",
        "; touch owned",
        "| touch owned",
        "../../owned",
        "/tmp/owned",
        "file:///tmp/owned",
    ),
    *("{{ 7 * 7 }}", "{% include 'owned' %}", "%(owned)s", "{0.__class__}", "${jndi:ldap://owned}"),
    *("\r\nowned: yes", "__import__('os').system('touch owned')", "owned\x00", "-owned", "~/owned"),
)
# Without these nobody could trade: which card and which coin is meant, and what the answer says.
_NEEDED = frozenset({"gpu", "gpu_array", "currency", "name", "allowed_coins", "visibility"})
# Writing of any kind, by the flags with which a file is opened.
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_OF_FILES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.truncate", "shutil.")
_OF_PROCESSES = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.")
_OF_THE_NETWORK = ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.bind")
_watching: list[list[str]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    written = event == "open" and isinstance(arguments[0], str | bytes) and arguments[2] & _WRITES
    if written or event.startswith((*_OF_FILES, *_OF_PROCESSES, *_OF_THE_NETWORK)):
        _watching[-1].append(f"{event} {arguments[:1]}")
    elif event in ("exec", "compile") and "owned" in repr(arguments):
        _watching[-1].append(f"{event} {arguments!r}")


@cache
def _stand_guard() -> None:
    sys.addaudithook(_audit)  # for good: nobody can take it away again


@contextmanager
def overseen() -> Iterator[list[str]]:
    """Yield what is written, run, looked up or connected to meanwhile; not SQLite's own files."""
    _stand_guard()
    _watching.append([])
    try:
        yield _watching[-1]
    finally:
        _watching.pop()


def test_the_overseer_sees_what_it_is_there_for(tmp_path: Path) -> None:
    """A file, a program and a name that is looked up."""
    with overseen() as done:
        (tmp_path / "owned").write_text("", encoding="utf-8")
        subprocess.run(["true"], check=True)
        socket.getaddrinfo("127.0.0.1", 80)

    seen = " ".join(done)
    assert all(event in seen for event in ("open ", "subprocess.Popen", "socket.getaddrinfo"))


class Hostile(httpx.AsyncBaseTransport):
    """Carries requests to the exchange, and answers with its numbers and with texts of its own."""

    def __init__(self, day: Day) -> None:
        """Stand before the exchange of ``day``."""
        self._wire = SimTransport(day.exchange, day.clock)
        self._texts = cycle(HOSTILE)
        self._changes = count(1)
        self.refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse every other change with a hostile reason, and answer the rest with hostile texts."""
        if request.method == "POST" and next(self._changes) % 2:
            self.refused += 1
            document: dict[str, Any] = {"code": 6, "error": next(self._texts)}
            return httpx.Response(200, content=answers.encoded(document))
        answer = await self._wire.handle_async_request(request)
        document = self._poisoned(answers.decoded(await answer.aread()))
        # A field of no meaning, and a server and a wallet of which nothing is known.
        document[next(self._texts)] = next(self._texts)
        for server in document.get("servers", ())[:1]:
            strange = {**server["specs"], "gpu": f"1x {next(self._texts)}"}
            document["servers"].append({**server, "id": 999_999, "specs": strange})
        for wallet in document.get("wallets", ())[:1]:
            document["wallets"].append({**wallet, "name": next(self._texts)})
        headers = {"server": "../../owned", "location": "file:///tmp/owned"}
        return httpx.Response(answer.status_code, headers=headers, content=answers.encoded(document))

    def _poisoned(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self._poisoned(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self._poisoned(each, name) for each in value]
        return next(self._texts) if isinstance(value, str) and name not in _NEEDED else value


def entries(folder: Path) -> set[str]:
    """Return everything that lies in a folder, at any depth."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def looking(config: Path, orders: list[int]) -> Iterator[list[str]]:
    """Yield the commands that show what the daemon saw and did."""
    shown = [["orders"], ["orders", "--ended"], ["status"], ["history"], ["report"]]
    for command in [*shown, *(["explain", str(order)] for order in orders)]:
        for extra in ([], ["--json"]):
            yield [*command, "-c", str(config), *extra]


def test_hostile_names_touch_no_file_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon trades on it for some passes, and the commands show what it saw as plain text."""
    here, data = tmp_path / "here", tmp_path / "data"
    here.mkdir()
    data.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    day = begin()
    wire = Hostile(day)
    engine = open_database(f"sqlite:///{data / 'bidder.db'}")
    day.app = build_app(
        policy=day.policy,
        base_url="http://sim.invalid/v1",
        token=day.exchange.token,
        engine=engine,
        clock=day.clock,
        transport=wire,
    )
    config = here / "config.yaml"
    config.write_text(
        f"mode: live\naccount: {{name: {day.policy.account}}}\ndatabase: {data / 'bidder.db'}\n"
        "strategies: [{name: a, ceiling: {usd: 3}, launch: {image: a/b}}]\n"
    )
    before = entries(tmp_path.parent)

    with overseen() as done:
        day.run(timedelta(minutes=8))
        orders = [order["id"] for order in day.live()]
        capsys.readouterr()
        codes = {main(command) for command in looking(config, orders)}
        printed = "".join(capsys.readouterr())

    new = entries(tmp_path.parent) - before
    assert orders
    assert wire.refused
    assert codes == {0}
    assert done == []
    assert {path for path in new if not path.startswith(f"{tmp_path.name}/data/bidder.db")} == set()
    assert [line for line in printed.split("\n") if not line.isprintable()] == []
    assert {"$(touch owned)", "../../owned"} <= {text for text in HOSTILE if text in printed}
    engine.dispose()
