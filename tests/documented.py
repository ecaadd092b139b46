"""The table of all JSON keys in ``docs/commands.md``, and whether a document agrees with it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs" / "commands.md"
_ROW = re.compile(r"^\|([^|]*)\|([^|]*)\|([^|]*)\|([^|]*)\|$")
_SCALARS: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "count": (int,),
    "number": (int, float),
    "bool": (bool,),
}
_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


def read_table() -> dict[str, dict[str, str]]:
    """Return, for each command and each shared object, its keys and their types."""
    text = DOCS.read_text(encoding="utf-8").split("## JSON", 1)[1]
    found: dict[str, dict[str, str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        row = _ROW.match(line)
        if row is None or row[1].strip() in {"in", "---"}:
            continue
        if row[1].strip():
            current = re.findall(r"[`*]([^`*]+)[`*]", row[1])
            for name in current:
                assert name not in found, f"{name} is documented twice"
                found[name] = {}
        key, kind = row[2].strip().strip("`"), row[3].strip()
        for name in current:
            if key:
                found[name][key] = kind
            else:
                found[name].update(found[kind])
    return found


def disagreements(document: Any, command: str) -> list[str]:
    """Return what a command's document has that its table has not, and the reverse."""
    table = read_table()
    keys = {"schema": "count", **table[command]}
    problems = _object(document, keys, table, command)
    if isinstance(document, dict) and document.get("schema") != 1:
        problems.append(f"{command}: schema is {document.get('schema')!r}")
    return problems


def _object(value: Any, keys: dict[str, str], table: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no object"]
    problems = [f"{where}.{key}: not documented" for key in value.keys() - keys.keys()]
    problems += [f"{where}.{key}: documented, but absent" for key in keys.keys() - value.keys()]
    for key in keys.keys() & value.keys():
        problems += _value(value[key], keys[key], table, f"{where}.{key}")
    return problems


def _value(value: Any, kind: str, table: Any, where: str) -> list[str]:
    if value is None:
        return []
    if kind.startswith("["):
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        return [
            problem
            for number, each in enumerate(value)
            for problem in (
                _value(each, kind[1:-1], table, f"{where}[{number}]")
                if each is not None
                else [f"{where}[{number}]: null in a list"]
            )
        ]
    if kind in table:
        return _object(value, table[kind], table, where)
    if kind == "time":
        good = isinstance(value, str) and _TIME.match(value) is not None
    elif kind == "facts":
        good = isinstance(value, dict) and all(
            each is None or isinstance(each, str | int | float) for each in value.values()
        )
    elif kind == "bool":
        good = isinstance(value, bool)
    else:
        good = isinstance(value, _SCALARS[kind]) and not isinstance(value, bool)
    return [] if good else [f"{where}: {value!r} is not of type {kind}"]
