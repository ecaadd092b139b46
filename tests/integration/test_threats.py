"""The claims of ``docs/threats.md`` that no other test makes, and that the page names real tests."""

import ast
import asyncio
import json
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import store_values
import typer
from sqlalchemy import text
from starlette.types import ASGIApp
from virtual import begin

from bidder.app.daemon import Daemon
from bidder.cli.main import app, main
from bidder.clock import VirtualClock
from bidder.domain.ids import AccountName
from bidder.exchange.client import ExchangeClient, open_http
from bidder.exchange.limiter import Limiter
from bidder.sim.server import DEFAULT_START
from bidder.store.engine import open_engine, transaction
from bidder.store.lease import Lease
from bidder.store.schema import upgrade
from bidder.store.store import Store
from bidder.web.metrics import Metrics
from bidder.web.pages import make_pages
from bidder.web.source import Moment, Source
from bidder.wiring import open_database

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "threats.md"
_NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`")
HOSTILE = (
    *("\x1b[2J\x1b[31m", "\x9b2J", "\u202egnp.exe", "[red]x[/red]", "$(touch owned)", "`touch owned`"),
    *("; touch owned", "../../owned", "{{ 7 * 7 }}", "%(x)s", "{0.__class__}", "\r\nowned: yes"),
)
CONFIG = """
account: {name: main, token_env: UNIT_TOKEN}
database: bidder.db
rates: {BTC: 69000}
strategies:
  - name: a
    ceiling: {usd: 3}
    launch: {image: nvidia/cuda}
"""


def test_every_test_that_the_page_names_exists() -> None:
    """A claim without its test is a wish."""
    named = _NAMED.findall(PAGE.read_text(encoding="utf-8"))
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not re.search(
            rf"^(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE
        )
    ]

    assert missing == []
    assert len(named) > 20


def bare_claims(page: str) -> list[str]:
    """Return the claims of a page that something cannot be done which no test is named for."""
    items = re.split(r"\n(?=- |\n)", page)
    claims = [claim for item in items for claim in re.split(r"(?=\*\*[Cc]annot\*\*)", item)[1:]]
    return [claim for claim in claims if not _NAMED.search(claim)]


def test_every_claim_that_something_cannot_be_done_names_a_test() -> None:
    """Each "cannot", wherever it stands in its item, has one before the next."""
    assert bare_claims(PAGE.read_text(encoding="utf-8")) == []
    assert bare_claims("- **Cannot** fly.\n- It **cannot** swim,\n  nor run.\n- Who **can** walk.") == [
        "**Cannot** fly.",
        "**cannot** swim,\n  nor run.",
    ]
    assert bare_claims("- **Cannot** fly\n  (`tests/a.py::test_b`), and **cannot** swim.") == [
        "**cannot** swim."
    ]


# What turns text into code or into a command line.
_CALLS = frozenset(("eval", "exec", "compile", "__import__"))
_METHODS = frozenset(
    (
        *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
        *(
            "asyncio.create_subprocess_shell",
            "pickle.load",
            "pickle.loads",
            "marshal.loads",
            "shelve.open",
        ),
        *("yaml.load", "yaml.unsafe_load", "yaml.full_load"),
        *("importlib.import_module", "runpy.run_path", "runpy.run_module"),
    )
)
# Where the owner's configuration names a strategy of the owner's.
_BY_THE_OWNER = {"bidder/config/own.py": ["importlib.import_module"]}


def dangers(tree: ast.AST) -> Iterator[str]:
    """Yield what in a module could run text."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in _CALLS or called in _METHODS:
            yield called
        for keyword in node.keywords:
            if keyword.arg == "shell" and ast.unparse(keyword.value) != "False":
                yield f"{called} with a shell"


def test_the_program_has_no_means_to_run_text() -> None:
    """No shell, no interpreter, no pickle, no YAML constructor; a module only by the owner's word."""
    found = {}
    for file in sorted((ROOT / "bidder").rglob("*.py")):
        seen = list(dangers(ast.parse(file.read_text(encoding="utf-8"))))
        if seen:
            found[str(file.relative_to(ROOT))] = seen

    assert found == _BY_THE_OWNER
    assert list(dangers(ast.parse("eval('1'); subprocess.run(x, shell=True); os.system(x)"))) == [
        "eval",
        "subprocess.run with a shell",
        "os.system",
    ]


def forged(folder: Path) -> Path:
    """Return a configuration whose database holds hostile text wherever it takes text."""
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    engine = open_engine(f"sqlite:///{folder / 'bidder.db'}")
    upgrade(engine)
    lease = Lease(engine, AccountName("main"))
    store = Store(engine, AccountName("main"), fencing=lease.acquire(store_values.NOW))
    store.load(store_values.NOW)
    for number in range(1, 1 + len(HOSTILE)):
        store.settle((), [store_values.make_holding(number)], at=store_values.NOW)
    lease.release()
    with transaction(engine, writing=True) as connection:
        for number, hostile in enumerate(HOSTILE, start=1):
            connection.execute(
                text("UPDATE orders SET image = :x, target = :x WHERE order_id = :n"),
                {"x": hostile, "n": number},
            )
    engine.dispose()
    return config


def test_a_forged_database_steers_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever was written into it, the commands that look print text."""
    monkeypatch.setenv("UNIT_TOKEN", "canary-token")
    config = forged(tmp_path)
    for command in (["orders"], ["status"], ["history"], ["explain", "1"], ["orders", "--ended"]):
        for extra in ([], ["--json"]):
            assert main([*command, "-c", str(config), *extra]) == 0
            out, err = capsys.readouterr()
            assert all(line.isprintable() for line in (out + err).split("\n"))
            assert "canary" not in out + err


def test_hostile_names_in_the_database_touch_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands, paths and templates in a name are shown as they stand; no file appears."""
    monkeypatch.setenv("UNIT_TOKEN", "canary-token")
    monkeypatch.chdir(tmp_path)
    config = forged(tmp_path)
    before = {path.name for path in tmp_path.rglob("*")} | {
        path.name for path in tmp_path.parent.iterdir()
    }

    assert main(["orders", "-c", str(config), "--json"]) == 0

    shown = {order["target"] for order in json.loads(capsys.readouterr().out)["orders"]}
    after = {path.name for path in tmp_path.rglob("*")} | {
        path.name for path in tmp_path.parent.iterdir()
    }
    assert {name for name in after - before if "owned" in name} == set()
    assert {"{{ 7 * 7 }}", "$(touch owned)", "{0.__class__}"} <= shown


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_the_token_nowhere(status: int) -> None:
    """The client follows none: one request, to the host that the configuration names."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, headers={"location": "http://elsewhere/v1/wallets"}, content=b"{}")

    async def call() -> None:
        clock = VirtualClock(DEFAULT_START)
        http = open_http("http://exchange/v1", "canary-token", transport=httpx.MockTransport(answer))
        client = ExchangeClient(http=http, limiter=Limiter(clock), clock=clock)
        with pytest.raises(Exception, match="wallets"):
            await client.wallets()
        await client.close()

    asyncio.run(call())

    assert asked == ["http://exchange/v1/wallets"]


def test_a_new_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    """The file and what lies beside it, whatever the umask lets through."""
    engine = open_database(f"sqlite:///{tmp_path / 'bidder.db'}")
    engine.dispose()

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["bidder.db"] == 0o600
    assert all(mode & 0o077 == 0 for mode in modes.values())


def test_no_command_takes_the_token_as_an_argument() -> None:
    """Arguments can be read by every user of the machine; the simulator's token is no secret."""
    options = [
        f"{name} {option}"
        for name, command in _commands(typer.main.get_command(app), "")
        for parameter in command.params
        for option in parameter.opts
    ]

    assert [option for option in options if "token" in option] == ["sim serve --token"]
    assert not any("password" in option or "secret" in option for option in options)


def _commands(command: object, name: str) -> Iterator[tuple[str, typer.core.TyperCommand]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name.strip(), command  # type: ignore[misc]  # a leaf is a command
        return
    for word, each in inner.items():
        yield from _commands(each, f"{name} {word}")


def pages_of_a_hostile_market() -> ASGIApp:
    """Return the pages of a daemon that holds servers whose names are markup and code."""
    day = begin(rivals=False)
    day.run(timedelta(minutes=10))
    trader = day.app.trader
    markup = "<script>alert(1)</script>{{ 7 * 7 }}"
    listings = {
        server: replace(listing, specs=replace(listing.specs, gpu=markup))
        for server, listing in trader.view.marketplace.listings.items()
    }
    market = replace(trader.view.marketplace, listings=listings)
    app = day.app
    daemon = Daemon(trader=trader, lease=app.lease, clock=app.clock, lease_clock=app.lease_clock)
    source = Source(daemon=daemon, spend_totals=tuple)
    view = replace(trader.view, marketplace=market)
    source.moment = Moment(report=day.reports[-1], view=view, policy=trader.policy)
    return make_pages(source, Metrics(source), None)


def asked_of(pages: ASGIApp, method: str, path: str) -> httpx.Response:
    """Return the pages' answer to one request."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=pages)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.request(method, path)

    return asyncio.run(ask())


def test_the_pages_show_what_the_exchange_says_as_text() -> None:
    """A name that is markup or a template is shown as it stands."""
    pages = pages_of_a_hostile_market()
    shown = asked_of(pages, "GET", "/")
    assert shown.status_code == 200
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}" in shown.text
    assert "<script" not in shown.text
    assert "alert(1)" not in asked_of(pages, "GET", "/metrics").text


def test_the_pages_can_only_be_read() -> None:
    """There is no address and no method that changes anything."""
    pages = pages_of_a_hostile_market()
    for path in ("/", "/healthz", "/readyz", "/metrics", "/style.css"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert asked_of(pages, method, path).status_code == 405
        assert asked_of(pages, "GET", path).status_code in {200, 503}
    assert asked_of(pages, "POST", "/cancel").status_code == 404
