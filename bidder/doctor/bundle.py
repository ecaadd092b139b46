"""A bundle to attach to a bug report: everything that helps, nothing that is secret.

What goes in is chosen name by name; and all of it passes the same filter as the log, so that a
secret which got where it does not belong stays behind as well.
"""

import io
import json
import platform
import sqlite3
import sys
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Engine

from bidder.config import KEYS
from bidder.config.confidential import as_yaml
from bidder.doctor.examine import Report
from bidder.doctor.findings import Finding
from bidder.doctor.records import opened
from bidder.errors import BidderError
from bidder.store import checkup, upkeep
from bidder.store.queries import Queries

# The newest rows of each table, as many as tell a story.
_ROWS: Mapping[str, int] = {
    "decisions": 500,
    "intents": 300,
    "orders": 200,
    "order_prices": 300,
    "books": 500,
    "wallets": 50,
    "rates": 50,
    "clock_rules": 1,
    "step_samples": 200,
    "raises": 200,
    "requests": 100,
    "account_state": 1,
    "lease": 1,
}
# Where rented servers are to be reached is nobody's business.
_ADDRESSES = frozenset(("pub_cluster", "tcp_ports", "http_port"))
_ABOUT = """\
What `bidder doctor --bundle` gathered for a bug report.

{entries}
In it are: numbers of orders and servers, bids, prices, balances and decisions; names of strategies,
images and this machine; paths of files. Not in it are: the token, passwords, keys, commands and
environment variables of what runs on the servers, addresses of receivers of notices, deposit
addresses, and how to reach rented servers. Look through it before you attach it.
"""
_UNREAD = """\
The configuration could not be read, so its secrets are not known and could not be looked for.
"""
_MEANINGS: Mapping[str, str] = {
    "doctor.json": "every check with its state, finding, remedy and facts",
    "config.yaml": "the configuration without comments; each secret is (hidden)",
    "versions.json": "the program, its libraries, Python, SQLite, the system",
    "snapshot.json": "the daemon's latest pass",
    "schema.txt": "the database's schema as it stands",
    "rows/*.json": "the newest rows of each table",
}
_KEYS = frozenset(part.removesuffix("[]") for key in KEYS for part in key.path.split("."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A bundle on disk: its files by name, and what could not be put in."""

    file: Path
    bytes: int
    entries: tuple[str, ...]
    missing: tuple[str, ...]


def write_bundle(report: Report, target: Path) -> Written:
    """Write the bundle; it appears under its name only when it is whole, for its owner alone.

    Raises:
        BadInput: ``target`` exists or cannot be written.
    """
    missing: list[str] = []
    files = dict(_files(report, missing))
    lines = [f"{name}: {meaning}\n" for name, meaning in _MEANINGS.items() if _is_in(name, files)]
    lines += [f"missing: {each}\n" for each in missing]
    about = _ABOUT.format(entries=report.redactor.text("".join(lines)))
    files = {"README.txt": about if report.knows_secrets else about + _UNREAD, **files}
    with upkeep.appearing(target) as part, tarfile.open(part, "w:gz") as archive:
        for name, text in files.items():
            _add(archive, f"bidder-doctor/{name}", text.encode("utf-8", "replace"), report)
    return Written(
        file=target, bytes=target.stat().st_size, entries=tuple(files), missing=tuple(missing)
    )


def _is_in(name: str, files: Mapping[str, str]) -> bool:
    return name in files or (name == "rows/*.json" and any(each.startswith("rows/") for each in files))


def _add(archive: tarfile.TarFile, name: str, content: bytes, report: Report) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), 0o600, int(report.at.timestamp())
    archive.addfile(entry, io.BytesIO(content))


def _files(report: Report, missing: list[str]) -> Iterator[tuple[str, str]]:
    yield "doctor.json", _json(report.document())
    if report.survey.shown is None:
        missing.append("the configuration: it is no YAML, so its secrets could not be found")
    else:
        yield "config.yaml", _config(report.survey.shown, report)
    yield "versions.json", _json(versions())
    if report.settings is None:
        missing.append("the database: the configuration does not say which")
        return
    with opened(report.settings) as found:
        if isinstance(found, Finding):
            missing.append(f"the database: {found.finding}")
            return
        yield from _of_database(found, report, missing)


def _of_database(engine: Engine, report: Report, missing: list[str]) -> Iterator[tuple[str, str]]:
    assert report.settings is not None
    account = report.settings.account
    try:
        yield "schema.txt", report.redactor.text(checkup.schema(engine))
        snapshot = Queries(engine, account).snapshot()
        if snapshot is not None:
            yield "snapshot.json", _redacted(_without_addresses(dict(snapshot.values)), report)
    except BidderError as exc:
        missing.append(str(exc))
    for name, limit in _ROWS.items():
        try:
            rows = checkup.newest_rows(engine, account, name, limit=limit)
        except (BidderError, ValueError, TypeError, KeyError, AttributeError) as exc:
            # What cannot be read of a broken file must not keep the rest of it back.
            missing.append(
                f"rows of {name}: {exc if isinstance(exc, BidderError) else type(exc).__name__}"
            )
            continue
        lines = [json.dumps(report.redactor(None, "", dict(row)), ensure_ascii=False) for row in rows]
        yield f"rows/{name}.json", "[\n" + ",\n".join(lines) + "\n]\n"


def _without_addresses(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_addresses(each) for key, each in value.items() if key not in _ADDRESSES}
    if isinstance(value, list):
        return [_without_addresses(each) for each in value]
    return value


def _redacted(document: dict[str, Any], report: Report) -> str:
    # Each part by itself: the filter looks only so deep.
    return _json({key: report.redactor(None, "", {key: each})[key] for key, each in document.items()})


def _config(shown: str, report: Report) -> str:
    """Return the configuration without secrets; what is blacked out in it is still text, no list."""

    def clean(node: Any) -> Any:
        if isinstance(node, dict):
            # A key of ours is no secret, however short a password is that looks like a part of it.
            return {key if key in _KEYS else clean(key): clean(each) for key, each in node.items()}
        if isinstance(node, list):
            return [clean(each) for each in node]
        return report.redactor.text(node) if isinstance(node, str) else node

    return as_yaml(clean(yaml.safe_load(shown)))


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n"


def versions() -> dict[str, Any]:
    """Return which versions of everything are at work."""
    names = sorted(
        {_bare(each) for each in metadata.requires("bidder") or () if "extra ==" not in each}
        | {"psycopg", "pyarrow"}
    )
    return {
        "bidder": metadata.version("bidder"),
        "python": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: _version(name) for name in names},
    }


def _bare(requirement: str) -> str:
    for position, letter in enumerate(requirement):
        if not (letter.isalnum() or letter in "-_."):
            return requirement[:position]
    return requirement


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
