"""The way from a file and an environment to ``Settings``, top to bottom."""

import urllib.parse
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from bidder.config import money, values
from bidder.config.budgets import read_budget, warn_about_budgets
from bidder.config.guard import read_guard
from bidder.config.needs import EVERYTHING, Needs
from bidder.config.notices import read_receivers
from bidder.config.problems import Problems
from bidder.config.reader import Section
from bidder.config.secrets import (
    DOCKER_SECRETS,
    Surroundings,
    Unreadable,
    find_token,
    read_bytes,
    token_remedy,
    warn_if_exposed,
)
from bidder.config.settings import LogFormat, LogSettings, Settings, fingerprint
from bidder.config.targets import name, read_targets
from bidder.config.tree import MAX_BYTES, Scalar, parse
from bidder.config.web import read_web
from bidder.domain.ids import AccountName
from bidder.domain.intents import LEFT_OUT
from bidder.domain.money import Currency, Money, Rates
from bidder.domain.policy import Mode, Pace, Policy, Rails, Retention, Target

EXCHANGE_URL: Final = "https://api.clore.ai/v1"
_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def load_settings(
    path: Path,
    environ: Mapping[str, str],
    *,
    docker_secrets: Path = DOCKER_SECRETS,
    needs: Needs = EVERYTHING,
    copy: Path | None = None,
    option: str = "-c",
) -> Settings:
    """Return the settings that a file and the environment come to.

    A secret that is not there is an error where ``needs`` names it, and else one of ``unresolved``.
    ``copy`` is read in the place of the file; relative paths in it mean the same as in the file.
    ``option`` is what the file was named with, for who named one that cannot be read.

    Raises:
        ConfigProblems: anything is wrong; everything that is wrong is in it, one line each.
    """
    problems = Problems(str(path if copy is None else copy))
    text = _read(path if copy is None else copy, problems, option)
    tree = None if text is None else parse(text, problems)
    problems.raise_any()
    assert text is not None
    assert tree is not None
    around = Surroundings(
        folder=_folder(path),
        environ=environ,
        problems=problems,
        docker_secrets=docker_secrets,
        needs=needs,
    )
    top = Section(tree, "", problems)
    account = top.section("account")
    account_name = AccountName(account.read("name", name, "default"))
    token, token_missing = find_token(account, around)
    if account.has("token"):
        warn_if_exposed(path, str(path), problems, line=account.line_of("token"), key="account.token")
    exchange_url = _exchange_url(top.section("exchange"), around)
    log = _log(top.section("log"))
    web = read_web(top, around)
    policy = _policy(top, account_name, around)
    receivers = read_receivers(top, around)
    guard = read_guard(top, policy.static_rates, receivers, policy.targets)
    database_url = _database_url(top, around, policy.mode)
    problems.raise_any()
    return Settings(
        path=path,
        account=account_name,
        token=token,
        exchange_url=exchange_url,
        database_url=database_url,
        log=log,
        policy=policy,
        fingerprint=fingerprint(policy, exchange_url),
        warnings=problems.warnings,
        token_missing=token_missing,
        token_remedy=token_remedy(account),
        web=web,
        receivers=receivers,
        guard=guard,
        # Defaults that several strategies share are read once for each.
        unresolved=tuple(dict.fromkeys(around.unresolved)),
        text=text,
    )


def _read(path: Path, problems: Problems, option: str) -> bytes | None:
    try:
        return read_bytes(path, MAX_BYTES)
    except Unreadable as exc:
        problems.add(
            str(exc),
            remedy=f"name the configuration with {option} FILE; config.example.yaml is a start",
        )
        return None


def _folder(path: Path) -> Path:
    try:
        return path.absolute().parent
    except OSError:  # the working directory is gone
        return path.parent


def _policy(top: Section, account: AccountName, around: Surroundings) -> Policy:
    rates = _rates(top)
    rails = _rails(top.section("rails"), rates)
    targets = read_targets(top, rates, around)
    top.section("launch")  # its values are read where they are used; this notes the unknown keys
    budget = read_budget(top, usual="{usd_per_day: 20}")
    _warn_about_rails(rails, targets, top)
    _warn_about_rates(rates, targets, top)
    warn_about_budgets(budget, targets, top)
    mode = Mode(top.read("mode", values.choice("paper", "live"), "paper"))
    if mode is Mode.PAPER and any(target.probe is not None for target in targets):
        top.problems.warn("on paper there is no workload to probe", line=top.line_of("mode"), key="mode")
    return Policy(
        account=account,
        mode=mode,
        targets=targets,
        rails=rails,
        pace=_pace(top.section("pace")),
        static_rates=rates,
        adopt=top.read("adopt", values.flag, False),
        cancel_on_exit=top.read("cancel_on_exit", values.flag, False),
        retention=_retention(top.section("retention")),
        budget=budget,
    )


def _retention(kept: Section) -> Retention:
    usual = Retention()
    # The breakers and the clock's evidence look back that far.
    least, most = 2 * _DAY, 3650 * _DAY
    return Retention(
        raw=kept.read("raw", values.duration(least, most), usual.raw),
        inputs=kept.read("inputs", values.duration(timedelta(0), most), usual.inputs),
        hourly=kept.read("hourly", values.duration_or_forever(least, most), usual.hourly),
        daily=kept.read("daily", values.duration_or_forever(least, most), usual.daily),
    )


def _rates(top: Section) -> Rates:
    branch = top.open_section("rates")
    if branch is None:
        return Rates()
    found = {}
    for given in money.amounts(branch, top.problems, skip=frozenset()):
        if not Decimal("1e-12") <= given.amount <= Decimal("1e9"):
            top.problems.add(
                "is no sensible rate",
                line=given.scalar.line,
                key=given.scalar.path,
                value=given.scalar.text,
                remedy="write what one unit is worth in USD, such as BTC: 69000",
            )
        elif given.currency == Currency.USD and given.amount != 1:
            top.problems.add(
                "one USD is worth one USD",
                line=given.scalar.line,
                key=given.scalar.path,
                value=given.scalar.text,
                remedy="remove it",
            )
        else:
            found[given.currency] = given.amount
    return Rates(found)


def _rails(rails: Section, rates: Rates) -> Rails:
    usual = Rails()
    most = money.MOST_USD_PER_DAY * 100
    usd = rails.read("max_usd_per_day", money.positive, None)
    if usd is not None and usd > most:
        rails.add(
            "max_usd_per_day", f"is absurd: more than {most} USD per day", "check the decimal point"
        )
    unattended = rails.read("max_usd_if_unattended", money.positive, None)
    if unattended is not None and unattended > most * 365:
        rails.add("max_usd_if_unattended", "is absurd", "check the decimal point")
    return Rails(
        max_orders=rails.read("max_orders", values.whole(1, 100_000), usual.max_orders),
        max_usd_per_day=usd,
        max_usd_if_unattended=unattended,
        # One creation in five seconds is what the exchange allows at most.
        max_creations_per_hour=rails.read(
            "max_creations_per_hour", values.whole(1, 720), usual.max_creations_per_hour
        ),
        max_creations_per_server_hour=rails.read(
            "max_creations_per_server_hour", values.whole(1, 720), usual.max_creations_per_server_hour
        ),
        min_runway=rails.read("min_runway", values.duration(timedelta(0), 365 * _DAY), usual.min_runway),
        min_balance=_min_balance(rails, rates),
        allow_above_on_demand=rails.read(
            "allow_above_on_demand", values.flag, usual.allow_above_on_demand
        ),
    )


def _min_balance(rails: Section, rates: Rates) -> tuple[Money, ...]:
    branch = rails.open_section("min_balance")
    if branch is None:
        return ()
    kept = []
    for given in money.amounts(branch, rails.problems, skip=frozenset(), zero=True):
        if not money.rated(given.currency, rates):
            money.note_unrated(given.name, rails.problems, line=given.scalar.line, key=given.scalar.path)
        kept.append(Money(given.amount, given.currency))
    return tuple(kept)


def _pace(pace: Section) -> Pace:
    usual = Pace()
    every = values.duration(_SECOND, _DAY)
    marketplace = pace.read("marketplace_every", every, usual.marketplace_every)
    if marketplace < timedelta(seconds=60):
        pace.problems.warn(
            "the list is about 2 MB and the exchange asks to be read less often; 60s or more is polite",
            line=pace.line_of("marketplace_every"),
            key=pace.path("marketplace_every"),
        )
    grace = pace.read("settle_grace", values.duration(10 * _SECOND, _DAY), usual.settle_grace)
    if grace < LEFT_OUT:
        # Only a warning: a simulator that lists everything at once needs no more.
        pace.problems.warn(
            "an order may be listed a minute late and an answer be half a minute old: given up for lost"
            f" sooner than {LEFT_OUT.total_seconds():.0f}s, it may be ordered and paid for twice",
            line=pace.line_of("settle_grace"),
            key=pace.path("settle_grace"),
        )
    return Pace(
        marketplace_every=marketplace,
        orders_every=pace.read("orders_every", every, usual.orders_every),
        wallets_every=pace.read("wallets_every", every, usual.wallets_every),
        book_stale_after=pace.read("book_stale_after", every, usual.book_stale_after),
        alarm_after=pace.read("alarm_after", values.duration(10 * _SECOND, _DAY), usual.alarm_after),
        settle_grace=grace,
    )


def _log(log: Section) -> LogSettings:
    formats: dict[str, LogFormat] = {"auto": "auto", "json": "json", "console": "console"}
    return LogSettings(
        level=log.read("level", values.choice("debug", "info", "warning", "error"), "info"),
        format=formats[log.read("format", values.choice(*formats), "auto")],
    )


def _warn_about_rails(rails: Rails, targets: tuple[Target, ...], top: Section) -> None:
    wanted = sum(target.want for target in targets if target.enabled)
    if rails.max_orders is not None and rails.max_orders < wanted:
        top.problems.warn(
            f"allows {rails.max_orders} orders while the strategies want {wanted} servers",
            line=top.line_of("rails"),
            key="rails.max_orders",
        )
    if targets and not any(target.enabled for target in targets):
        top.problems.warn("every strategy is disabled", line=top.line_of("strategies"), key="strategies")


def _warn_about_rates(rates: Rates, targets: tuple[Target, ...], top: Section) -> None:
    """Warn where no bid of a strategy can be valued by what is here, also in its ceiling's own coin."""
    for target in targets:
        paid = any(map(rates.knows, target.currencies)) if target.currencies else True
        if target.enabled and not (paid and rates.knows(target.ceiling.price.currency)):
            top.problems.warn(
                f"strategy {target.name} bids nothing before the exchange tells a rate, which it may not"
                " do; add one for each coin of its ceiling and its `pay_with`",
                line=top.line_of("strategies"),
                key="rates",
            )


def _exchange_url(exchange: Section, around: Surroundings) -> str:
    override = around.environ.get("BIDDER_EXCHANGE_URL", "").strip()
    if override:
        scalar = Scalar(text=override, kind="str", plain=False, line=0, path="BIDDER_EXCHANGE_URL")
        try:
            url = _url(scalar)
        except values.Unusable as exc:
            around.problems.add(
                exc.problem, key="environment variable BIDDER_EXCHANGE_URL", remedy=exc.remedy
            )
            return EXCHANGE_URL
        exchange.read("url", _url, EXCHANGE_URL, secret=True)
    else:
        url = exchange.read("url", _url, EXCHANGE_URL, secret=True)
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        around.problems.warn("the token travels unencrypted over http", key="exchange.url")
    return url


def _url(scalar: Scalar) -> str:
    url = scalar.text.strip()
    wrong = values.Unusable("is not the URL of an API", f"write one like {EXCHANGE_URL}")
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        raise wrong from None
    if not usable or any(not "!" <= letter <= "~" for letter in url):
        raise wrong
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise values.Unusable("holds a login, a query or a fragment", f"write one like {EXCHANGE_URL}")
    return url.rstrip("/")


def _database_url(top: Section, around: Surroundings, mode: Mode) -> str:
    override = around.environ.get("BIDDER_DATABASE_URL", "").strip()
    state = around.environ.get("STATE_DIRECTORY", "").split(":")[0]
    default = str(Path(state) / "bidder.db") if state else "bidder.db"
    written = top.read("database", lambda scalar: values.text(scalar).strip(), default, secret=True)
    url = _sql_url(override or written, around)
    key = "environment variable BIDDER_DATABASE_URL" if override else "database"
    line = None if override else top.line_of("database")
    if url is None:
        around.problems.add(
            "is neither a path nor a usable database URL",
            line=line,
            key=key,
            remedy="write a path such as bidder.db, or postgresql://user:password@host/name",
        )
        return ""
    if url == "sqlite://":
        if mode is Mode.LIVE:
            around.problems.add(
                "a database in memory forgets open orders when the program ends",
                line=line,
                key=key,
                remedy="name a file",
            )
        around.problems.warn("a database in memory is lost when the program ends", line=line, key=key)
    return url


def _sql_url(written: str, around: Surroundings) -> str | None:
    if any(ord(letter) < 32 for letter in written):
        return None
    scheme, separator, rest = written.partition("://")
    if not separator:
        return f"sqlite:///{around.resolve(written)}"
    scheme = scheme.lower()
    if scheme in {"postgres", "postgresql", "postgresql+psycopg"}:
        return f"postgresql+psycopg://{rest}" if rest.strip("/") else None
    if scheme not in {"sqlite", "sqlite+pysqlite"}:
        return None
    if rest in {"", "/", "/:memory:"}:
        return "sqlite://"
    if not rest.startswith("/"):
        return None
    return f"sqlite:///{around.resolve(rest[1:])}"
