"""Where secrets come from: environment, files, systemd credentials, Docker secrets; never shown."""

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bidder.config import values
from bidder.config.needs import EVERYTHING, Needs, Part, Unresolved
from bidder.config.problems import Problems, one_line
from bidder.config.reader import Section
from bidder.config.tree import Branch, Node, Scalar

DOCKER_SECRETS: Final = Path("/run/secrets")
_MOST_BYTES: Final = 64 * 1024
_LONGEST_TOKEN: Final = 512
# Where the installation puts what the unit hands over; the same folder serves a command beside it.
BESIDE_THE_SERVICE: Final = "as root with CREDENTIALS_DIRECTORY=/etc/bidder"
_CREDENTIALS_REMEDY: Final = (
    "systemd gives them to a unit with LoadCredential=, and a command beside it finds them when run"
    f" {BESIDE_THE_SERVICE}, or use {{file: PATH}}"
)


class Token:
    """The API token; only ``reveal`` shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Keep the token out of sight."""
        self._value = value

    def reveal(self) -> str:
        """Return the token itself, for the request header only."""
        return self._value

    def __repr__(self) -> str:
        """Return text without the token."""
        return "Token(hidden)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Compare by value."""
        return isinstance(other, Token) and other._value == self._value

    def __hash__(self) -> int:
        """Hash by value."""
        return hash(self._value)

    def __reduce__(self) -> str:
        """Refuse to be pickled or copied into a dump.

        Raises:
            TypeError: always.
        """
        raise TypeError("a token is not written anywhere")


class Unreadable(Exception):
    """A file cannot be read; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a configuration is read in: its folder, the environment, and where problems go.

    ``needs`` says which secrets must be there; those that are missed by nobody end in ``unresolved``.
    """

    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    problems: Problems
    docker_secrets: Path = DOCKER_SECRETS
    needs: Needs = EVERYTHING
    unresolved: list[Unresolved] = field(default_factory=list)

    def resolve(self, written: str) -> Path:
        """Return the path that the owner wrote, relative to the configuration's folder."""
        try:
            path = Path(written).expanduser()
        except RuntimeError:  # a home folder that does not exist
            path = Path(written)
        return path if path.is_absolute() else self.folder / path


def read_bytes(path: Path, most: int) -> bytes:
    """Return at most ``most + 1`` bytes of a file.

    Raises:
        Unreadable: the operating system does not let us.
    """
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except FileNotFoundError:
        raise Unreadable("there is no such file") from None
    except IsADirectoryError:
        raise Unreadable("this is a directory, not a file") from None
    except PermissionError:
        raise Unreadable("this file may not be read by this user") from None
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "the name is not usable"
        raise Unreadable(f"this file cannot be read: {reason}") from None


def warn_if_exposed(path: Path, shown: str, problems: Problems, *, line: int | None, key: str) -> None:
    """Warn when users other than the owner may read a file with a secret."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        who = "everyone" if mode & stat.S_IROTH else "its group"
        problems.warn(
            f"{one_line(shown)} can be read by {who}; run: chmod 600 {one_line(shown)}",
            line=line,
            key=key,
        )


def secret_text(node: Node, around: Surroundings, part: Part) -> str | None:
    """Return a secret given inline or by a reference; None after an error, or where it is left out.

    The references are ``{env: NAME}``, ``{file: PATH}`` and, under systemd, ``{credential: NAME}``.
    """
    if isinstance(node, Scalar):
        if node.is_null or not node.text.strip():
            _refuse(
                node,
                around,
                "has no value",
                "give a value, {env: NAME} or {file: PATH}, or remove the key",
            )
            return None
        return node.text
    if isinstance(node, Branch) and len(node.entries) == 1:
        ((kind, source),) = node.entries.items()
        read = _REFERENCES.get(kind)
        if read is not None and isinstance(source, Scalar) and source.text.strip():
            try:
                return read(source, around)
            except _NotHere as exc:
                _miss(exc, kind, source, around, part)
                return None
    remedy = "write text, {env: NAME}, {file: PATH} or {credential: NAME}"
    _refuse(node, around, "is neither text nor a reference", remedy)
    return None


class _NotHere(Exception):
    """What a reference names is not to be had here; ``problem`` says why, ``remedy`` what to do."""

    def __init__(self, problem: str, remedy: str, *, credentials: bool = False) -> None:
        """Note whether it is for want of any credentials at all."""
        super().__init__(problem)
        self.problem, self.remedy, self.credentials = problem, remedy, credentials


def _miss(exc: _NotHere, kind: str, source: Scalar, around: Surroundings, part: Part) -> None:
    needs = around.needs
    if part in needs.parts and (needs.credentials or not exc.credentials):
        _refuse(source, around, exc.problem, exc.remedy)
        return
    around.unresolved.append(
        Unresolved(
            part=part,
            reference=f"{kind}: {source.text.strip()}",
            file=around.problems.file,
            line=source.line,
            key=one_line(source.path),
            problem=exc.problem,
            remedy=exc.remedy,
        )
    )


def _from_env(source: Scalar, around: Surroundings) -> str:
    name = source.text.strip()
    value = around.environ.get(name, "")
    shown = f"the environment variable {name}" if _is_variable(name) else "the variable of this name"
    # A variable that is not UTF-8 arrives with surrogates, which no request can carry.
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _NotHere(f"{shown} is not UTF-8 text", "correct it")
    if value.strip():
        return value
    raise _NotHere(f"{shown} is not set", "set it, or name another")


def _is_variable(name: str) -> bool:
    # Capitals only: what fails may be the secret itself, put into the wrong place, and is not shown.
    return name.isascii() and name.isidentifier() and name == name.upper()


def _from_file(source: Scalar, around: Surroundings) -> str:
    return _in_file(around.resolve(source.text.strip()))


def _from_credential(source: Scalar, around: Surroundings) -> str | None:
    folder, named = around.environ.get("CREDENTIALS_DIRECTORY", ""), source.text.strip()
    if "/" in named or named in {".", ".."}:
        _refuse(source, around, "is not the name of a credential", "write the name in LoadCredential=")
        return None
    if not folder:
        raise _NotHere("there are no credentials here", _CREDENTIALS_REMEDY, credentials=True)
    return _in_file(Path(folder) / named)


def _in_file(path: Path) -> str:
    try:
        value = read_bytes(path, _MOST_BYTES).decode("utf-8")
    except Unreadable as exc:
        raise _NotHere(str(exc), "correct the path") from None
    except UnicodeDecodeError:
        raise _NotHere("this file is not UTF-8 text", "correct the path") from None
    value = value.rstrip("\r\n")
    if not value.strip() or len(value) >= _MOST_BYTES:
        raise _NotHere("this file is empty or far too long", "correct the path")
    return value


_REFERENCES: Final[Mapping[str, Callable[[Scalar, Surroundings], str | None]]] = {
    "env": _from_env,
    "file": _from_file,
    "credential": _from_credential,
}


def _refuse(node: Node, around: Surroundings, problem: str, remedy: str) -> None:
    around.problems.add(problem, line=node.line, key=node.path, remedy=remedy)


def find_token(account: Section, around: Surroundings) -> tuple[Token | None, str]:
    """Return the API token, or None and where it was looked for; a malformed one is an error.

    Where one of the keys says where it is, it is looked for nowhere else.
    """
    inline = account.read("allow_inline_token", values.flag, False)
    given = [key for key in ("token", "token_env", "token_file") if account.has(key)]
    if "token" in given and not inline:
        remedy = "move it to the variable CLORE_TOKEN or to account.token_file"
        account.add("token", "a token does not belong in this file", remedy)
        return None, "account.token is refused"
    if len(given) > 1:
        account.add(given[1], "the token has two sources", f"keep one of: {', '.join(given)}")
        return None, "the token has two sources"
    if "token" in given:
        text = account.read("token", lambda scalar: scalar.text, None, secret=True)
        place = f"{account.problems.file}:{account.line_of('token')}: account.token"
        return (None, "") if text is None else _checked_token(text, place, around)
    if "token_file" in given:
        return _token_file(account, around)
    if "token_env" in given:
        return _token_env(account, around)
    return _token_found(around)


def token_remedy(account: Section) -> str:
    """Return how a token is given that was not found where the file's keys say it is."""
    if account.has("token_file"):
        # Neither is shown: a bare word may be the token itself, put into the wrong key.
        return (
            "write the token into that file (chmod 600),"
            " or remove account.token_file and export CLORE_TOKEN"
        )
    if account.has("token_env"):
        return "export that variable, or remove account.token_env and export CLORE_TOKEN"
    return (
        "export CLORE_TOKEN=..., or write the token into a file (chmod 600) and name it as"
        f" account.token_file, or beside a systemd service run this {BESIDE_THE_SERVICE}"
    )


def _token_env(account: Section, around: Surroundings) -> tuple[Token | None, str]:
    name = account.read("token_env", lambda scalar: scalar.text.strip(), "", secret=True)
    if not _is_variable(name):
        account.add("token_env", "is not the name of a variable", "write a name such as CLORE_TOKEN")
        return None, ""
    if name not in around.environ:
        return None, f"the environment variable {name} is not set"
    return _checked_token(around.environ[name], f"environment variable {name}", around)


def _token_file(account: Section, around: Surroundings) -> tuple[Token | None, str]:
    written = account.read("token_file", lambda scalar: scalar.text.strip(), "", secret=True)
    if not written:
        account.add("token_file", "has no value", "give a path")
        return None, ""
    path = around.resolve(written)
    # A bare word may be the token itself, put into the wrong key.
    shown = written if "/" in written or "." in written else "the file that account.token_file names"
    try:
        raw = read_bytes(path, _MOST_BYTES)
    except Unreadable as exc:
        missing = f"{one_line(shown)}: {exc}"
        around.problems.warn(missing, line=account.line_of("token_file"), key="account.token_file")
        return None, missing
    if around.docker_secrets not in path.parents:
        warn_if_exposed(
            path, shown, around.problems, line=account.line_of("token_file"), key="account.token_file"
        )
    return _checked_token(raw, one_line(shown), around)


def _token_found(around: Surroundings) -> tuple[Token | None, str]:
    if "CLORE_TOKEN" in around.environ:
        place = "environment variable CLORE_TOKEN"
        return _checked_token(around.environ["CLORE_TOKEN"], place, around)
    places = [around.docker_secrets / "clore_token"]
    credentials = around.environ.get("CREDENTIALS_DIRECTORY", "")
    if credentials:
        places.insert(0, Path(credentials) / "clore-token")
    for path in places:
        try:
            raw = read_bytes(path, _MOST_BYTES)
        except Unreadable:
            continue
        return _checked_token(raw, one_line(str(path)), around)
    return None, "the environment variable CLORE_TOKEN is not set"


def _checked_token(raw: str | bytes, place: str, around: Surroundings) -> tuple[Token | None, str]:
    """Return the token if it can be one: a single line of printable ASCII without blanks."""
    text = raw.decode("ascii", "replace") if isinstance(raw, bytes) else raw
    text = text.strip()
    problem = ""
    if not text:
        problem = "the token is empty"
    elif "\n" in text or "\r" in text:
        problem = "the token has more than one line"
    elif len(text) > _LONGEST_TOKEN:
        problem = "the token is far too long"
    elif not all("!" <= letter <= "~" for letter in text):
        problem = "the token holds blanks or characters that no token has"
    if not problem:
        return Token(text), ""
    remedy = "copy it again from the exchange's account page, alone on one line"
    if Part.TOKEN in around.needs.parts:
        around.problems.add(problem, key=place, remedy=remedy)
        return None, ""
    around.unresolved.append(
        Unresolved(
            part=Part.TOKEN,
            reference=place,
            file=around.problems.file,
            line=None,
            key=place,
            problem=problem,
            remedy=remedy,
        )
    )
    return None, f"{place}: {problem}"
