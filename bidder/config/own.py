"""Strategies of the owner's: ``module:function`` -> the function, looked at before it is believed in.

Naming a module runs it, with all the rights of the daemon: that is what the owner asks for. It is
looked for among what is installed, and then in the folder of the configuration, in this order, so
that no file there takes the place of a module that the program needs.
"""

import contextlib
import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bidder.config import money, values
from bidder.config.reader import Section, scalar_value
from bidder.config.tree import Branch, Items, Node, Scalar
from bidder.domain.evidence import CodeChanged
from bidder.domain.money import Rates
from bidder.domain.policy import OwnParams, Setting

_FUNCTION = re.compile(r"[A-Za-z_]\w{0,63}(?:\.[A-Za-z_]\w{0,63}){0,9}:[A-Za-z_]\w{0,63}\Z", re.ASCII)
# A number to whoever writes it, and text to YAML where it lacks a point or a sign.
_EXPONENT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+\Z")
_MOST_PARAMS, _LONGEST_NAME = 100, 64
_DECIDE = ("position", "params", "now")
_OPENING = ("quote", "params")
_NOT_PLAIN = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
# The code that runs, by module: what was imported once stays until the process ends.
_RUNNING: dict[str, str] = {}


class Loaded(NamedTuple):
    """A function of the owner's, and the SHA-256 of the file it stands in."""

    function: Callable[..., object]
    code: str


def function_name(scalar: Scalar) -> str:
    """Return a ``module:function``."""
    named = scalar.text.strip()
    if not _FUNCTION.match(named):
        raise values.Unusable(
            "is not a module and a function", "write module:function, such as my_rule:decide"
        )
    return named


def read_params(section: Section, named: str, rates: Rates, folder: Path) -> OwnParams | None:
    """Return a strategy of the owner's; None, with the problems noted, where it cannot be used."""
    inner, before = section.section("own"), section.problems.count
    place, key = section, "strategy"
    if named == "own":
        place, key = inner, "function"
        named = inner.required("function", function_name, "name it, such as my_rule:decide") or ""
    elif inner.has("function"):
        inner.add("function", "the function is named by strategy already", "remove one of the two")
    opening = inner.read("opening_bid", function_name, None)
    settings = _settings(inner, rates)
    if section.problems.count > before:
        return None
    decides = _loaded(place, key, named, _DECIDE, folder)
    opens = None if opening is None else _loaded(inner, "opening_bid", opening, _OPENING, folder)
    if decides is None or (opening is not None and opens is None):
        return None
    return OwnParams(
        function=named,
        decide=decides.function,
        opening=opening,
        opening_bid=None if opens is None else opens.function,
        settings=settings,
        code=_code(decides, opens),
    )


def load(named: str, folder: Path, arguments: tuple[str, ...] = _DECIDE) -> Loaded:
    """Return the function of a ``module:function``, importing its module.

    Raises:
        Unusable: there is none, its module cannot be imported, or it cannot be called so.
    """
    module_name, _, name = named.partition(":")
    module = _imported(module_name, folder)
    code = _code_of(module_name, getattr(module, "__file__", None))
    function = getattr(module, name, None)
    if function is None:
        near = ", ".join(sorted(_functions(module)))[:200]
        raise values.Unusable(
            f"the module {module_name} has no {name}",
            f"it has {near}" if near else "define the function there",
        )
    _check_callable(function, name, arguments)
    return Loaded(function, code)


def found_again(params: OwnParams, folder: Path) -> OwnParams:
    """Return the parameters of an earlier time with their functions.

    Raises:
        CodeChanged: the functions are not to be had, or their code is another one now.
    """
    try:
        decides = load(params.function, folder)
        opens = None if params.opening is None else load(params.opening, folder, _OPENING)
    except values.Unusable as exc:
        raise CodeChanged(exc.problem) from None
    if _code(decides, opens) != params.code:
        raise CodeChanged(f"the code of {params.function} is another one now")
    asks = None if opens is None else opens.function
    return replace(params, decide=decides.function, opening_bid=asks)


def _loaded(
    section: Section, key: str, named: str, arguments: tuple[str, ...], folder: Path
) -> Loaded | None:
    try:
        return load(named, folder, arguments)
    except values.Unusable as exc:
        section.add(key, exc.problem, exc.remedy, named)
        return None


def _imported(name: str, folder: Path) -> object:
    place = str(folder)
    if place not in sys.path:
        sys.path.append(place)  # last: nothing there takes the place of what is installed
    importlib.invalidate_caches()
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        # What a module prints must not get into a command's answer.
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        missing = exc.name or name
        if missing == name or name.startswith(f"{missing}."):
            raise values.Unusable(
                f"there is no module {missing}", f"install it, or put {missing}.py into {folder}"
            ) from None
        raise values.Unusable(
            f"its module {name} needs the module {missing}, which is not installed", f"install {missing}"
        ) from None
    except KeyboardInterrupt:
        raise
    except BaseException as exc:  # noqa: BLE001 - also SystemExit: whatever it does, it is the module
        # What a foreign error says may quote a secret: kind and place only.
        raise values.Unusable(
            f"importing {name} raised {type(exc).__name__}{_place(exc)}",
            f'mend it; python -c "import {name}" in {folder} shows all of it',
        ) from None
    finally:
        sys.dont_write_bytecode = before


def _place(exc: BaseException) -> str:
    if isinstance(exc, SyntaxError):
        return f" at {Path(exc.filename or '?').name}:{exc.lineno}"
    last = exc.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return "" if last is None else f" at {Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}"


def _code_of(name: str, file: str | None) -> str:
    """Return the hash of a module's file as it was when it was imported."""
    try:
        now = hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except OSError:
        now = ""
    running = _RUNNING.setdefault(name, now)
    if running != now:
        raise values.Unusable(
            f"the code of {name} has changed, and a running process keeps the old one",
            "restart the daemon for that, or take the change back",
        )
    return running


def _code(decides: Loaded, opens: Loaded | None) -> str:
    if opens is None or opens.code == decides.code:
        return decides.code
    return hashlib.sha256((decides.code + opens.code).encode()).hexdigest()


def _functions(module: object) -> list[str]:
    return [name for name, _ in inspect.getmembers(module, inspect.isfunction) if name[0] != "_"]


def _check_callable(function: object, name: str, arguments: tuple[str, ...]) -> None:
    wanted = f"write def {name}({', '.join(arguments)}): ..."
    if not callable(function) or inspect.isclass(function):
        raise values.Unusable(f"{name} is no function", wanted)
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & _NOT_PLAIN:
        raise values.Unusable(
            f"{name} is asynchronous or a generator", wanted.replace("def", "a plain def")
        )
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        listed = ", ".join(arguments)
        raise values.Unusable(f"{name} cannot be called with ({listed})", wanted) from None


def _settings(inner: Section, rates: Rates) -> tuple[tuple[str, Setting], ...]:
    branch = inner.open_section("params")
    if branch is None:
        return ()
    if len(branch.entries) > _MOST_PARAMS or any(len(name) > _LONGEST_NAME for name in branch.entries):
        inner.add(
            "params",
            f"more than {_MOST_PARAMS} params, or a name of more than {_LONGEST_NAME} characters",
            "keep them in a file of your own, and name its path",
        )
        return ()
    return tuple((name, _setting(node, inner, rates)) for name, node in branch.entries.items())


def _setting(node: Node, inner: Section, rates: Rates) -> Setting:
    match node:
        case Scalar(is_null=True):
            return None
        case Scalar():
            return scalar_value(node, _value, inner.problems)
        case Branch():
            return _amount(node, inner, rates)
        case Items():
            inner.problems.add(
                "a list is not handed on",
                line=node.line,
                key=node.path,
                remedy="write one value, or an amount per day such as {usd: 4.50}",
            )
            return None


def _value(scalar: Scalar) -> Setting:
    if scalar.plain and _EXPONENT.match(scalar.text):
        return values.number(scalar)
    if not scalar.plain or scalar.kind in {"str", "timestamp", "value"}:
        return scalar.text
    if scalar.kind == "bool":
        return values.flag(scalar)
    number = values.number(scalar)
    return int(number) if scalar.kind == "int" else number


def _amount(branch: Branch, inner: Section, rates: Rates) -> Setting:
    before = inner.problems.count
    given = money.amounts(branch, inner.problems, skip=frozenset())
    if inner.problems.count > before:
        return None
    if len(given) != 1:
        inner.problems.add(
            "is not one amount",
            line=branch.line,
            key=branch.path,
            remedy="write exactly one: {usd: 4.50}",
        )
        return None
    return money.price_per_day(given[0], rates, inner.problems)
