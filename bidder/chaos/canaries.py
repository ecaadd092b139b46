"""Secrets that are planted in every field that may hold one, to see that none of them gets out.

They are planted in ``Settings``, as a configuration file would, and the log hides what those call a
secret: a field that is forgotten there is a leak here. What a day of trading does not use by itself has
its natural place in ``Carriers``: the pages that a token guards, a receiver of notices that cannot be
reached and quotes its own address, a database server whose URL holds a password and that is gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from bidder.app.daemon import Daemon
from bidder.app.report import PassReport
from bidder.config import Settings
from bidder.config.secrets import Token
from bidder.config.settings import LogSettings, fingerprint, normalised
from bidder.config.web import WebSettings
from bidder.domain.notices import Event, Level, Notice, Receiver
from bidder.domain.policy import Launch, Policy
from bidder.errors import BidderError
from bidder.notify.courier import Mishaps
from bidder.notify.sending import AppriseNotifier, Notifier, Undelivered
from bidder.wiring import App, open_database

# In each of them, and in nothing else: one search finds whichever it is.
MARK = "canary"
# One field, one secret; some with what JSON, a repr or a URL would spell otherwise.
PLANTED = {
    "token": "canary-token-8841",
    "ssh_password": "canarypassword",
    "env": 'canary-environment "5127"\nand-a-second-canary-line',
    "command": "canary-command --with 'a canary-argument'",
    "jupyter_token": "canary-jupyter-2290",
    "ssh_key": "ssh-ed25519 AAAAcanarykey6603 owner@canary-host",
    "web_token": "canary-web-token-7315",
    "notice_address": "chaosvoid://user:canary-notice-4471@nowhere.invalid/canary-path-9936",
    "database_url": "postgresql://bidder:canary-database-3058@/bidder?host=/nonexistent",
}
TOKEN = PLANTED["token"]
CANARIES = tuple(PLANTED.values())


def launch_of(image: str) -> Launch:
    """Return a launch with a canary in each of its secret fields."""
    return Launch(
        image=image,
        ssh_password=PLANTED["ssh_password"],
        env=(("SECRET", PLANTED["env"]),),
        command=PLANTED["command"],
        jupyter_token=PLANTED["jupyter_token"],
        ssh_key=PLANTED["ssh_key"],
    )


def settings_of(policy: Policy, url: str) -> Settings:
    """Return the settings of a file that names this policy, with canaries in all the rest."""
    return Settings(
        path=Path("chaos.yaml"),
        account=policy.account,
        token=Token(TOKEN),
        exchange_url=url,
        database_url=PLANTED["database_url"],
        log=LogSettings(level="debug", format="json"),
        policy=policy,
        fingerprint=fingerprint(policy, url),
        web=WebSettings(host="127.0.0.1", port=0, token=PLANTED["web_token"]),
        receivers=(Receiver(place="notices[0].to", line=1, address=PLANTED["notice_address"]),),
    )


@dataclass(slots=True, kw_only=True)
class Carriers:
    """What carries secrets beside trading, and is asked once in a while for what it shows."""

    settings: Settings
    ways: tuple[tuple[Receiver, Notifier], ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find the way to the receiver of notices, as the daemon's start does."""
        secrets = self.settings.secret_values
        self.ways = tuple(
            # Without the process that apprise is loaded in: what it answers is what matters here.
            (receiver, AppriseNotifier(receiver.address, secrets=secrets, ask=_refuses))
            for receiver in self.settings.receivers
            if receiver.address is not None
        )

    def shown(self) -> Iterator[tuple[str, str]]:
        """Yield what the configuration shows of itself where it is printed or hashed."""
        settings = self.settings
        yield "the settings", repr(settings)
        yield "what is hashed", normalised(settings.policy, settings.exchange_url)
        yield "the database shown", settings.database_shown

    def tell(self, now: datetime) -> None:
        """Send a notice to each receiver, and log that it does not get there, as the courier does."""
        notice = Notice(event=Event.TEST, level=Level.INFO, at=now, title="a test", text="a test")
        for receiver, notifier in self.ways:
            try:
                notifier.send(notice)
            except Undelivered as exc:
                Mishaps(receiver.place).failed(notice, str(exc), None, now)

    def refused_by_the_database(self) -> str:
        """Return what a start says where the database server that the file names is gone."""
        try:
            open_database(self.settings.database_url).dispose()
        except BidderError as exc:
            return str(exc)
        return ""

    async def pages(self, app: App, report: PassReport) -> str:
        """Return what a visitor sees of the status page and the metrics, with the token and without."""
        from bidder.web.metrics import Metrics
        from bidder.web.pages import make_pages
        from bidder.web.source import Source

        daemon = Daemon(trader=app.trader, lease=app.lease, clock=app.clock, lease_clock=app.lease_clock)
        source = Source(daemon=daemon, spend_totals=tuple)
        metrics = Metrics(source)
        source.passed(report)
        metrics.passed(report)
        web = self.settings.web
        assert web is not None
        site = httpx.ASGITransport(app=make_pages(source, metrics, web.token))
        said = []
        async with httpx.AsyncClient(transport=site, base_url="http://127.0.0.1") as visitor:
            for token in (web.token, "another"):
                for path in ("/", "/metrics"):
                    answer = await visitor.get(path, headers={"authorization": f"Bearer {token}"})
                    said.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return "\n".join(said)


def _refuses(message: dict[str, Any]) -> dict[str, Any]:
    """Answer as a service that takes nothing and complains with its whole address."""
    return {"sent": False, "error": f"no answer from {message['to']}"}
