"""A configuration as it may be shown to strangers, and where its secrets lie.

What is shown is what is known to be harmless: the value of a key that the table of keys has and does
not call a secret. Everything else is hidden, unknown keys with their names too: a secret in the wrong
place must not be shown because it is in the wrong place. Comments are left out.
"""

import os
import stat
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from bidder.config import keys
from bidder.config.addresses import is_named, secret_parts
from bidder.config.problems import Problems
from bidder.config.secrets import DOCKER_SECRETS, Surroundings, Unreadable, read_bytes
from bidder.config.settings import query_secrets
from bidder.config.tree import MAX_BYTES, Branch, Items, Node, Scalar, parse
from bidder.config.variables import is_secret

HIDDEN: Final = "(hidden)"
_UNITS: Final = {key.path: key.unit for key in keys.KEYS}
_REFERENCES: Final = frozenset(("env", "file", "credential"))
_DEFAULT_PATH: Final = "/v1"
_SHORTEST_KEY: Final = 8
_VARIABLE: Final = "launch.env.<name>"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile:
    """A file that holds a secret, by the key that names it; ``exposed``: others may read it."""

    key: str
    path: Path
    exposed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One configuration file, looked at for its secrets.

    ``shown`` is the file without them, None where it is no YAML. ``secrets`` are their values as far
    as they can be found. ``inline`` is whether the file itself holds one.
    """

    shown: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    files: tuple[SecretFile, ...] = ()
    inline: bool = False
    exposed: bool = False


def as_yaml(document: Any) -> str:
    """Return a document as it is shown: block by block, in the owner's order."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=False)


def survey(path: Path, environ: Mapping[str, str]) -> Survey:
    """Return a file's survey; whatever is wrong with it, there is one."""
    problems = Problems(str(path))
    try:
        tree = parse(read_bytes(path, MAX_BYTES), problems)
    except Unreadable:
        tree = None
    if tree is None:
        return Survey(exposed=exposed(path))
    around = Surroundings(folder=path.absolute().parent, environ=environ, problems=problems)
    found = list(_secrets(tree, "", around, tuple(_names(tree))))
    shown = as_yaml(_shown(tree, "", around))
    texts = dict.fromkeys(text for each in found for text in each.texts)
    return Survey(
        shown=shown,
        secrets=tuple(texts),
        files=tuple(
            SecretFile(key=each.key, path=each.file, exposed=exposed(each.file))
            for each in found
            if each.file is not None
        ),
        inline=any(each.inline for each in found),
        exposed=exposed(path),
    )


def exposed(path: Path) -> bool:
    """Return whether other users may read a file; those that systemd and Docker provide are fine."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    if DOCKER_SECRETS in path.parents:
        return False
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRGRP | stat.S_IROTH))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Secret:
    """One place with a secret: its texts, and the file that they come from."""

    key: str
    texts: tuple[str, ...] = field(default=(), repr=False)
    file: Path | None = None
    inline: bool = False


def _pattern(pattern: str, key: str) -> str | None:
    """Return the pattern of a key in a section; None where it means nothing there."""
    prefix = f"{pattern}." if pattern else ""
    if prefix + key in _UNITS:
        return prefix + key
    # A name that the owner chooses: a currency, a port, a variable.
    return next((path for path in _UNITS if path.startswith(f"{prefix}<")), None)


def _shown(node: Node, pattern: str, around: Surroundings) -> Any:
    unit = _UNITS.get(pattern, "section")
    special = _SPECIAL.get(pattern)
    if special is not None:
        return special(node, around)
    if unit == "secret":
        return _reference(node, around)
    if isinstance(node, Scalar):
        return HIDDEN if unit in {"section", "list"} else None if node.is_null else node.text
    if isinstance(node, Items):
        return [_entry(each, pattern, unit, around) for each in node.items]
    if "section" not in unit:
        return HIDDEN
    return _branch(node, pattern, around)


def _branch(node: Branch, pattern: str, around: Surroundings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, child in node.entries.items():
        below = _pattern(pattern, key)
        if below is None:
            found["(unknown key)"] = HIDDEN
        else:
            found[key] = _shown(child, below, around)
    return found


def _entry(node: Node, pattern: str, unit: str, around: Surroundings) -> Any:
    if isinstance(node, Branch):
        inside = any(path.startswith(f"{pattern}[].") for path in _UNITS)
        return _branch(node, f"{pattern}[]", around) if inside else HIDDEN
    if isinstance(node, Scalar) and "list" in unit and unit != "list":
        return node.text
    return HIDDEN


def _reference(node: Node, around: Surroundings) -> Any:
    """Return a reference to a secret, where what it names is there; what is not may be the secret."""
    if not (isinstance(node, Branch) and len(node.entries) == 1):
        return HIDDEN
    ((kind, source),) = node.entries.items()
    if kind not in _REFERENCES or not isinstance(source, Scalar):
        return HIDDEN
    return {kind: source.text if _is_there(kind, source.text.strip(), around) else HIDDEN}


def _is_there(kind: str, named: str, around: Surroundings) -> bool:
    if kind == "env":
        return named in around.environ
    return kind == "file" and _is_file(around.resolve(named))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _url(node: Node, _around: Surroundings) -> Any:
    """Return the host of a URL: a login, a path or a query may hold a token."""
    if not isinstance(node, Scalar):
        return HIDDEN
    try:
        parts = urllib.parse.urlsplit(node.text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return HIDDEN
    if parts.scheme not in {"http", "https"} or not host:
        return HIDDEN
    at = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    path = parts.path.rstrip("/")
    return at + (path if path in {"", _DEFAULT_PATH} else f"/{HIDDEN}")


def _database(node: Node, _around: Surroundings) -> Any:
    if not isinstance(node, Scalar):
        return HIDDEN
    scheme, separator, _ = node.text.partition("://")
    if not separator or scheme.lower().startswith("sqlite"):
        return node.text
    known = scheme.lower().split("+")[0] in {"postgres", "postgresql"}
    return f"{scheme}://{HIDDEN}" if known else HIDDEN


def _token_env(node: Node, around: Surroundings) -> Any:
    named = isinstance(node, Scalar) and _is_variable(node.text.strip(), around)
    return node.text if isinstance(node, Scalar) and named else HIDDEN


def _is_variable(text: str, around: Surroundings) -> bool:
    """Return whether this names a variable; a token in its place has no underscore among capitals."""
    looks = text.isascii() and text.isidentifier() and text == text.upper() and "_" in text
    return text in around.environ or looks


def _token_file(node: Node, around: Surroundings) -> Any:
    there = isinstance(node, Scalar) and _is_file(around.resolve(node.text.strip()))
    return node.text if isinstance(node, Scalar) and there else HIDDEN


def _program(node: Node, _around: Surroundings) -> Any:
    """Return the program without its arguments: they may hold a password."""
    parts = node.items if isinstance(node, Items) else (node,)
    first = parts[0] if parts else None
    program = first.text if isinstance(first, Scalar) and _is_program(first.text) else HIDDEN
    return [program, *[HIDDEN] * (len(parts) - 1)]


def _is_program(text: str) -> bool:
    return text.startswith("/") and os.path.basename(text).isprintable() and _is_file(Path(text))  # noqa: PTH119 - a name for the eye


_SPECIAL: Final = {
    "account.token_env": _token_env,
    "account.token_file": _token_file,
    "exchange.url": _url,
    "database": _database,
    "notices[].command": _program,
}


def _names(tree: Branch) -> Iterator[str]:
    """Yield the names that the owner gave to the account and to strategies: they are shown."""
    account, strategies = tree.entries.get("account"), tree.entries.get("strategies")
    named = (account, *(strategies.items if isinstance(strategies, Items) else ()))
    for each in named:
        name = each.entries.get("name") if isinstance(each, Branch) else None
        if isinstance(name, Scalar):
            yield name.text.strip()


def _secrets(
    node: Node, pattern: str, around: Surroundings, names: tuple[str, ...]
) -> Iterator[_Secret]:
    unit = _UNITS.get(pattern, "section")
    if unit == "secret" or pattern in _SPECIAL:
        yield from _secret(node, pattern, around, names)
    elif isinstance(node, Items):
        for each in node.items:
            yield from _secrets(each, f"{pattern}[]", around, names)
    elif isinstance(node, Branch):
        for key, child in node.entries.items():
            below = _pattern(pattern, key)
            if below is not None:
                yield from _secrets(child, below, around, names)


def _secret(node: Node, pattern: str, around: Surroundings, names: tuple[str, ...]) -> Iterator[_Secret]:
    if isinstance(node, Branch):
        for kind, source in node.entries.items():
            if isinstance(source, Scalar):
                yield _referred(kind, source, pattern, around, names)
        return
    texts = tuple(
        each.text
        for each in (node.items if isinstance(node, Items) else (node,))
        if isinstance(each, Scalar) and each.text.strip()
    )
    if not texts:
        return
    match pattern:
        case "account.token_file":
            path = around.resolve(texts[0].strip())
            yield _Secret(key=node.path, texts=_inside(path), file=path if _is_file(path) else None)
        case "account.token_env":
            named = texts[0].strip()
            value = around.environ.get(named, "")
            yield _Secret(
                key=node.path,
                texts=(value,) if value else () if _is_variable(named, around) else texts,
            )
        case "database":
            found = _in_login(texts[0])
            yield _Secret(key=node.path, texts=found, inline=bool(found))
        case "exchange.url":
            keys_in_path = (part for part in texts[0].split("/")[3:] if len(part) >= _SHORTEST_KEY)
            yield _Secret(key=node.path, texts=(*_in_login(texts[0]), *keys_in_path))
        case "notices[].command":
            yield _Secret(key=node.path, texts=tuple(t for t in texts[1:] if not is_named(t, names)))
        case "notices[].to":
            yield _Secret(key=node.path, texts=secret_parts(texts[0].strip(), names), inline=True)
        case _ if pattern.endswith(_VARIABLE) and not is_secret(_variable(node), texts[0], names):
            return
        case _:
            yield _Secret(key=node.path, texts=texts, inline=True)


def _referred(
    kind: str, source: Scalar, pattern: str, around: Surroundings, names: tuple[str, ...]
) -> _Secret:
    named = source.text.strip()
    path: Path | None = None
    texts: tuple[str, ...] = (source.text,)
    if kind == "env" and named in around.environ:
        texts = (around.environ[named],)
    elif kind == "file" and _is_file(around.resolve(named)):
        path = around.resolve(named)
        texts = _inside(path)
    elif kind == "credential":
        folder = around.environ.get("CREDENTIALS_DIRECTORY", "")
        texts = _inside(Path(folder) / named) if folder and "/" not in named else texts
    if pattern == "notices[].to":
        texts = tuple(part for text in texts for part in secret_parts(text.strip(), names))
    return _Secret(key=source.path, texts=texts, file=path)


def _variable(node: Node) -> str:
    return node.path.rpartition(".env.")[2]


def _inside(path: Path) -> tuple[str, ...]:
    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8", "replace").strip()
    except Unreadable:
        return ()
    return (text, *text.splitlines()) if text else ()


def _in_login(url: str) -> tuple[str, ...]:
    """Return the password in a URL, and those in its query."""
    rest = url.partition("://")[2]
    login = rest.rpartition("@")[0]
    password = login.partition(":")[2]
    return (*((password,) if password else ()), *query_secrets(url))
