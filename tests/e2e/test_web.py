"""The pages of a real daemon: health, readiness, a scrape that the documents agree with, the guard."""

import http.client
import json
import re
import socket
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import yaml
from processes import PATIENCE, bidder, daemon, sim, stop, wait_for, write_config
from prometheus_client.parser import text_string_to_metric_families

from bidder.domain.ids import AccountName
from bidder.domain.policy import Mode
from bidder.domain.regret import Regret, Tally
from bidder.store.store import Store
from bidder.wiring import open_database

DOCS = Path(__file__).parents[2] / "docs"
_NAME = re.compile(r"\b(?:bidder|process)_[a-z_]+\b")
_TOKEN = "a-token-for-the-readers"


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(port: int, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    """Return status, body and headers of one address."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    except OSError:
        return 0, "", {}
    finally:
        connection.close()


def scraped(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """Return every sample by its name and the values of its labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(get(port, "/metrics")[1]):
        for sample in family.samples:
            labels = tuple(sample.labels[key] for key in sorted(sample.labels))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_a_daemon_tells_how_it_is(tmp_path: Path) -> None:
    """Alive at once, ready once it trades; the scrape, the status and the documents agree."""
    port = free_port()
    with sim("--speed", "20") as root:
        more = (
            f"web: {{listen: '127.0.0.1:{port}'}}\nbudget: {{usd_per_day: 1000}}\n"
            "rails: {max_usd_if_unattended: 9000}"
        )
        config, log = write_config(tmp_path, root, more=more), tmp_path / "log"
        _remember_yesterday(tmp_path / "bidder.db")
        with daemon(config, log) as process:
            wait_for(lambda: get(port, "/healthz")[0] == 200, of="a sign of life")
            wait_for(lambda: get(port, "/readyz")[0] == 200, of="readiness")
            wait_for(lambda: scraped(port).get("bidder_rival_usd_per_day"), of="a rival")
            wait_for(
                lambda: scraped(port)["bidder_positions"].get(("running", "ada")), of="a running server"
            )
            samples = wait_for(lambda: _with_spend(port), of="what was spent")
            _agrees_with_the_documents(set(samples))
            assert samples["bidder_servers_wanted"] == {("ada",): 2, ("ampere",): 3}
            assert samples["bidder_ready"] == {(): 1}
            assert samples["bidder_budget_limit_usd"] == {("day", ""): 1000}
            assert samples["bidder_budget_multiplier"] == {("day", ""): 0}
            assert samples["bidder_unattended_limit_usd"] == {(): 9000}
            assert 0 < samples["bidder_unattended_usd"][()] <= 9000
            assert samples["bidder_paying_usd_per_day"][()] > 0
            assert samples["bidder_requests_total"]["create_order", "ok"] >= 1
            assert samples["bidder_pass_seconds_count"][()] == samples["bidder_passes_total"][()]
            assert samples["bidder_store_commit_seconds_count"][()] > 0
            assert sum(samples["bidder_decisions"].values()) >= 2
            assert samples["bidder_regret_paid_ratio"] == {("ada",): 1.5}

            assert "could still be spent (limit 9000 USD)." in get(port, "/")[1]
            page, shown = get(port, "/")[1], bidder("status", "-c", str(config), "--json").document
            assert "Budget of all strategies for this day" in page
            assert [budget["state"] for budget in shown["budgets"]] == ["free"]
            for target in shown["targets"]:
                assert f"<h2>{target['name']}: " in page
                assert all(str(order["order"]) in page for order in target["orders"])
            assert stop(process) == 0
        assert "Traceback" not in log.read_text()


def _remember_yesterday(database: Path) -> None:
    """Keep what the day before cost, as a daemon that ran then would have."""
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    held = timedelta(days=1)
    engine = open_database(f"sqlite:///{database}")
    regret = Regret(
        begin=day,
        end=day + held,
        mode=Mode.LIVE,
        target="ada",
        wanted=held,
        ours=Tally(held=held, paid=Decimal(3)),
        best=Tally(held=held, paid=Decimal(2), worth=Decimal(1)),
    )
    Store(engine, AccountName("e2e")).save_regrets(day, [regret])
    engine.dispose()


def _with_spend(port: int) -> dict[str, dict[tuple[str, ...], float]] | None:
    samples = scraped(port)
    return samples if "bidder_spend" in samples and "bidder_rival_usd_per_day" in samples else None


def _agrees_with_the_documents(samples: set[str]) -> None:
    text = (DOCS / "monitoring.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \| (gauge|counter|histogram) \|", text, re.MULTILINE)
    documented = {
        f"{name}{end}"
        for name, kind in rows
        for end in {"gauge": ("",), "counter": ("_total",)}.get(kind, ("_bucket", "_count", "_sum"))
    }
    ours = {name for name in samples if name.startswith("bidder_") and not name.endswith("_created")}
    assert {name for name in documented if name.startswith("bidder_")} == ours
    assert documented <= samples

    dashboard = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((DOCS / "prometheus-alerts.yaml").read_text(encoding="utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    for rule in alerts:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    asked += [rule["expr"] for rule in alerts]
    used = {name for expression in asked for name in _NAME.findall(expression)}
    assert len(used) > 20
    assert used <= samples


def test_pages_on_other_addresses_need_their_token(tmp_path: Path) -> None:
    """With a token nothing is told without it; every answer carries the careful headers."""
    port = free_port()
    with sim("--speed", "20", "--no-rivals") as root:
        more = f"web: {{listen: '0.0.0.0:{port}', token: '{_TOKEN}'}}"
        config, log = write_config(tmp_path, root, more=more), tmp_path / "log"
        with daemon(config, log) as process:
            wait_for(lambda: get(port, "/healthz")[0] == 401, of="a closed door")
            for path in ("/", "/metrics", "/readyz", "/style.css", "/nothing"):
                for given in ("", "Bearer ", "Bearer wrong", f"Basic {_TOKEN}", "Bearer \xe9", _TOKEN):
                    status, body, headers = get(port, path, authorization=given)
                    assert (status, body) == (401, "a token is needed\n")
                    assert headers["www-authenticate"].startswith("Bearer")
            right = {"authorization": f"Bearer {_TOKEN}"}
            assert get(port, "/healthz", **right)[0] == 200
            status, body, headers = get(port, "/", **right)
            assert status == 200
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers
            assert _TOKEN not in body + get(port, "/metrics", **right)[1]
            assert "end-to-end-token" not in body
            assert get(port, "/nothing", **right)[0] == 404
            assert stop(process) == 0
        assert _TOKEN not in log.read_text()


def test_a_page_elsewhere_cannot_read_by_a_name_of_its_own(tmp_path: Path) -> None:
    """Without a token only this machine's own names are answered; a taken port may be free soon."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        more = f"web: {{listen: 'localhost:{port}'}}"
        config, log = write_config(tmp_path, "http://127.0.0.1:9", more=more), tmp_path / "log"
        ran = bidder("run", "-c", str(config))
        assert ran.code == 1  # systemd and Docker start the daemon again
        assert f"port {port} is in use" in ran.err
    with daemon(config, log) as process:
        wait_for(lambda: get(port, "/healthz")[0] == 200, of="a sign of life")
        assert get(port, "/healthz", host=f"localhost:{port}")[0] == 200
        assert get(port, "/metrics", host=f"evil.example:{port}")[0] == 421
        status, why, _ = get(port, "/readyz")
        assert status == 503
        assert "our orders are not read yet" in why
        assert "the exchange gives no answer" in why
        assert get(port, "/")[0] == 200
        assert stop(process) == 0
