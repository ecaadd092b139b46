"""Real deliveries: apprise over loopback HTTP, and programs as processes."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bidder.domain.notices import Event, Level, Notice, Receiver
from bidder.errors import ConfigError
from bidder.notify.courier import Courier
from bidder.notify.sending import (
    AppriseNotifier,
    CommandHook,
    Undelivered,
    as_json,
    build_notifier,
    check_addresses,
)

NOTICE = Notice(
    event=Event.WON,
    level=Level.INFO,
    at=datetime(2026, 1, 5, 12, tzinfo=UTC),
    title="server 7 is yours",
    text="port 22: n1.example.com:10000",
    key="1",
    facts={"server": 7},
)
KEY = "very-secret-path-element"


@dataclass(slots=True)
class Inbox:
    """What a receiver on loopback got."""

    port: int = 0
    status: int = 200
    got: list[Any] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiving(status: int = 200, before: Callable[[], None] = lambda: None) -> Iterator[Inbox]:
    """Run an HTTP server on a free loopback port; ``before`` is called when a message has come."""
    inbox = Inbox(status=status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            inbox.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            before()
            inbox.came.set()
            self.send_response(inbox.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def receiver(address: str) -> Receiver:
    """Return a receiver of everything."""
    return Receiver(place="notices[0].to", line=3, address=address)


def to(port: int) -> AppriseNotifier:
    """Return the way to a local server."""
    return AppriseNotifier(f"json://127.0.0.1:{port}/{KEY}", secrets=(KEY,))


def test_apprise_delivers_title_text_and_level() -> None:
    """What the owner reads is what the notice says."""
    with receiving() as inbox:
        to(inbox.port).send(NOTICE)
    assert inbox.got[0]["title"] == "bidder: server 7 is yours"
    assert inbox.got[0]["message"] == NOTICE.text
    assert inbox.got[0]["type"] == "info"


def test_a_refusing_service_is_reported_without_the_address() -> None:
    """The error says what happened, and no part of the address that is a key."""
    with receiving(status=500) as inbox, pytest.raises(Undelivered) as caught:
        to(inbox.port).send(NOTICE)
    assert "500" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_secret_that_came_later_is_not_told_either() -> None:
    """A reload brings others: they are blacked out from then on, as are the earlier ones."""
    secrets = ["first-secret"]
    answer = {"sent": False, "error": "first-secret, second-secret"}
    way = AppriseNotifier("json://127.0.0.1", secrets=secrets, ask=lambda _: answer)
    secrets.append("second-secret")

    with pytest.raises(Undelivered) as caught:
        way.send(NOTICE)
    assert str(caught.value) == "[hidden], [hidden]"


def test_an_unknown_address_names_its_line_and_not_itself() -> None:
    """A mistake in the configuration is found before anything runs."""
    with pytest.raises(ConfigError) as caught:
        check_addresses([receiver("json://127.0.0.1"), receiver(f"nonsense://{KEY}")], file="c.yaml")
    assert "c.yaml:3: notices[0].to" in str(caught.value)
    assert KEY not in str(caught.value)


def test_the_address_stands_nowhere_that_others_can_read() -> None:
    """While a message is on its way no process has the address in arguments or environment."""
    seen = []

    def look() -> None:
        own = f"{os.getpid()}"
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if place.joinpath("stat").read_text("latin-1").rsplit(")", 1)[1].split()[1] == own:
                    seen.append(place.joinpath("cmdline").read_bytes())
                    seen.append(place.joinpath("environ").read_bytes())

    with receiving(before=look) as inbox:
        to(inbox.port).send(NOTICE)
    assert any(b"bidder.notify.deliver" in each for each in seen)
    assert not any(KEY.encode() in each for each in seen)


def test_what_sends_a_notice_is_not_kept_in_memory() -> None:
    """Neither a check of the addresses nor a delivery loads apprise into the process that asks."""
    with receiving() as inbox:
        address = f"json://127.0.0.1:{inbox.port}/x"
        ran = subprocess.run(
            [sys.executable, "-c", _CHECK_AND_SEND, address], check=True, capture_output=True, text=True
        )
    assert len(inbox.got) == 1
    assert ran.stdout.strip() == "False"


_CHECK_AND_SEND = """
import sys
from datetime import UTC, datetime
from bidder.domain.notices import Event, Level, Notice, Receiver
from bidder.notify.sending import build_notifier, check_addresses
receiver = Receiver(place="notices[0].to", line=1, address=sys.argv[1])
check_addresses([receiver], file="c.yaml")
notice = Notice(event=Event.TEST, level=Level.INFO, at=datetime.now(UTC), title="t", text="x")
build_notifier(receiver).send(notice)
print("apprise" in sys.modules)
"""


def test_a_module_in_the_working_folder_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies where the daemon runs is data, however it is called."""
    (tmp_path / "apprise.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    with receiving() as inbox:
        to(inbox.port).send(NOTICE)
    assert inbox.got
    assert not (tmp_path / "ran").exists()


def hook(program: str, *, timeout: float = 20) -> CommandHook:
    """Return a hook that runs a piece of Python."""
    return CommandHook((sys.executable, "-c", program), timeout_seconds=timeout)


def test_the_hook_gets_one_json_object(tmp_path: Path) -> None:
    """The event arrives on standard input, whole, however long."""
    place = tmp_path / "got"
    long = Notice(**{**{f: getattr(NOTICE, f) for f in NOTICE.__slots__}, "text": "x" * 300_000})
    hook(f"import sys; open({str(place)!r}, 'w').write(sys.stdin.read())").send(long)
    assert json.loads(place.read_text()) == as_json(long)


def test_the_hook_inherits_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the daemon's environment only what every program needs is handed on."""
    monkeypatch.setenv("CLORE_TOKEN", "token-value")
    monkeypatch.setenv("NOTIFY_URL", "json://secret")
    place = tmp_path / "env"
    hook(f"import os, json; json.dump(dict(os.environ), open({str(place)!r}, 'w'))").send(NOTICE)
    inherited = set(json.loads(place.read_text())) - {"LC_CTYPE"}
    assert inherited <= {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME"}


def test_a_hook_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    """After its time nothing of it runs, children included."""
    place = tmp_path / "child"
    program = (
        "import subprocess, sys, time;"
        f"p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"open({str(place)!r}, 'w').write(str(p.pid)); time.sleep(600)"
    )
    with pytest.raises(Undelivered, match="longer than"):
        hook(program, timeout=3).send(NOTICE)
    child = int(place.read_text())
    deadline = time.monotonic() + 20
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_hook_that_fails_or_floods_is_reported_in_few_words() -> None:
    """The exit code and the start of its output, not megabytes of it."""
    with pytest.raises(Undelivered, match="code 3") as caught:
        hook("import sys; sys.stdout.write('y' * 5_000_000); sys.exit(3)").send(NOTICE)
    assert len(str(caught.value)) < 2200
    with pytest.raises(Undelivered, match="/no/such/program"):
        CommandHook(("/no/such/program",), timeout_seconds=1).send(NOTICE)


def test_a_stuck_receiver_keeps_nobody_waiting() -> None:
    """Telling returns at once and closing in time, while the receiver never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, receiving() as inbox:
        port = silent.getsockname()[1]
        courier = Courier([(receiver("x://y"), to(port)), (receiver("x://y"), to(inbox.port))])
        courier.tell(NOTICE)
        assert inbox.came.wait(20), "the other receiver is told meanwhile"
        lost = courier.close(patience_seconds=0.1)
    assert lost >= 1
    assert len(inbox.got) == 1


def test_a_courier_of_a_failing_program_goes_on() -> None:
    """A failure is kept for another try, and counted as lost when there is none."""
    way = build_notifier(
        Receiver(
            place="notices[0].command", line=1, command=("/bin/false",), timeout=timedelta(seconds=5)
        )
    )
    courier = Courier([(receiver("x://y"), way)])
    courier.tell(NOTICE)
    assert courier.close(patience_seconds=0.5) == 1


def test_what_one_receiver_got_is_known_where_another_never_gets_it() -> None:
    """Also after losses: each notice that arrived is reported once."""
    broken = CommandHook(("/bin/false",), timeout_seconds=5)
    with receiving() as inbox:
        courier = Courier([(receiver("x://y"), broken), (receiver("x://y"), to(inbox.port))])
        courier.tell(NOTICE)
        assert inbox.came.wait(20)
        assert courier.close(patience_seconds=20) == 1
    assert courier.arrived() == (NOTICE,)
    assert courier.arrived() == ()


def test_closing_ends_a_program_that_hangs_and_its_children(tmp_path: Path) -> None:
    """No process of ours outlives us, and closing takes little longer than its patience."""
    place = tmp_path / "child"
    hanging = hook(
        "import subprocess, sys, time;"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"open({str(place)!r}, 'w').write(str(p.pid)); time.sleep(600)"
    )
    courier = Courier([(receiver("x://y"), hanging)])
    courier.tell(NOTICE)
    deadline = time.monotonic() + 20
    while not (place.exists() and place.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    child, began = int(place.read_text()), time.monotonic()
    assert courier.close(patience_seconds=0.2) == 1
    assert time.monotonic() - began < 2
    while _alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(child)
    with pytest.raises(Undelivered, match="given up"):
        hanging.send(NOTICE)


def test_a_program_that_fails_without_a_word_is_told_as_that() -> None:
    """No colon with nothing after it."""
    with pytest.raises(Undelivered, match=r"^ended with code 3; it said nothing$"):
        hook("raise SystemExit(3)").send(NOTICE)
