"""What a configuration comes to: frozen settings around one ``Policy``."""

import dataclasses
import hashlib
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

from bidder.config import launch as launches
from bidder.config.addresses import secret_parts
from bidder.config.needs import Part, Unresolved
from bidder.config.problems import ConfigProblems
from bidder.config.secrets import Token
from bidder.config.web import WebSettings
from bidder.domain import money
from bidder.domain.ids import AccountName
from bidder.domain.notices import Receiver
from bidder.domain.policy import Mode, Policy, Target
from bidder.domain.unattended import WhenSilent
from bidder.errors import ConfigError

LogFormat = Literal["auto", "json", "console"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """How much is logged, and in which form."""

    level: str = "info"
    format: LogFormat = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One configuration file and the environment, read and checked.

    ``database_url`` may hold a password and is not part of the ``repr``; ``database_shown`` may be
    shown. ``fingerprint`` changes when anything that steers decisions changes, never with a secret.
    ``unresolved`` are the secrets that were left out because they were not needed. ``text`` is the file
    as it was read, with what its owner wrote into it, so it is not part of the ``repr`` either.
    """

    path: Path
    account: AccountName
    token: Token | None
    exchange_url: str
    database_url: str = field(repr=False)
    log: LogSettings
    policy: Policy
    fingerprint: str
    warnings: tuple[str, ...] = ()
    token_missing: str = ""
    token_remedy: str = ""
    web: WebSettings | None = None
    receivers: tuple[Receiver, ...] = ()
    guard: WhenSilent | None = None
    unresolved: tuple[Unresolved, ...] = ()
    text: bytes = field(default=b"", repr=False)

    def require_secrets(self) -> None:
        """Refuse settings from which a secret was left out: no server may be launched by them.

        Raises:
            ConfigProblems: a secret is unresolved.
        """
        if self.unresolved:
            raise ConfigProblems(tuple(each.error() for each in self.unresolved))

    def require_token(self) -> Token:
        """Return the token.

        Raises:
            ConfigError: there is none; the message says where to put it.
        """
        if self.token is not None:
            return self.token
        self._refuse_malformed_token()
        raise ConfigError(
            f"no API token: {self.token_missing}",
            file=str(self.path),
            key="account",
            remedy=self.token_remedy,
        )

    def trading_token(self) -> str | None:
        """Return the token to trade with; on paper there may be none, and only the marketplace is read.

        Raises:
            ConfigError: the mode is live and there is none.
        """
        if self.token is None and self.policy.mode is Mode.PAPER:
            self._refuse_malformed_token()
            return None
        return self.require_token().reveal()

    def _refuse_malformed_token(self) -> None:
        # One that is there and cannot be used is a mistake also where none is needed.
        for each in self.unresolved:
            if each.part is Part.TOKEN:
                raise each.error()

    @property
    def database_shown(self) -> str:
        """Return the database's URL without its password."""
        return without_password(self.database_url)

    @property
    def secret_values(self) -> tuple[str, ...]:
        """Return every secret value, for the log to black out."""
        found = [self.token.reveal()] if self.token is not None else []
        names = (self.account, *(target.name for target in self.policy.targets))
        for target in self.policy.targets:
            found.extend(launches.secrets_of(target.launch, names))
        if self.web is not None and self.web.token is not None:
            found.append(self.web.token)
        for receiver in self.receivers:
            if receiver.address is not None:
                found.extend(secret_parts(receiver.address, names))
        if "@" in self.database_url:
            login = self.database_url.split("://", 1)[-1].rsplit("@", 1)[0]
            found.extend(part for part in login.split(":", 1)[1:] if part)
        found.extend(query_secrets(self.database_url))
        return tuple(dict.fromkeys(found))


def without_password(url: str) -> str:
    """Return a URL whose user and password are blotted out."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.startswith("sqlite"):
        return url
    head, _, query = rest.partition("?")
    if "@" in query:  # a password with an odd character in it, on one side or the other
        return f"{scheme}://***"
    _, at, place = head.rpartition("@")
    return f"{scheme}://***@{place}" if at else f"{scheme}://{place}"


def query_secrets(url: str) -> tuple[str, ...]:
    """Return the passwords in a URL's query: ``postgresql://host/name?password=...`` is one too."""
    pairs = urllib.parse.parse_qsl(url.partition("?")[2])
    return tuple(value for name, value in pairs if "password" in name.lower() and value)


def fingerprint(policy: Policy, exchange_url: str) -> str:
    """Return a hash of everything that steers decisions, secrets left out."""
    return hashlib.sha256(normalised(policy, exchange_url).encode()).hexdigest()


def normalised(policy: Policy, exchange_url: str) -> str:
    """Return the text that is hashed: the same for the same policy, however it was written."""
    return json.dumps([exchange_url, _plain(policy)], sort_keys=True, ensure_ascii=True)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # Fields that are kept out of the repr are the secret ones.
        shown: dict[str, object] = {
            f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr
        }
        if isinstance(value, Target):
            shown["env_names"] = [name for name, _ in value.launch.env]
        return {"is": type(value).__name__, **shown}
    if isinstance(value, Decimal):
        return money.plain(value)
    if isinstance(value, timedelta):
        return str(value.total_seconds())
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, frozenset):
        return sorted((_plain(each) for each in value), key=str)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
