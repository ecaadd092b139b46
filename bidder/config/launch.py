"""The ``launch`` section: what runs on a server once it is held."""

import re
from collections.abc import Iterable

from bidder.config import keys, values
from bidder.config.needs import Part
from bidder.config.problems import Problems
from bidder.config.reader import Section, as_branch, scalar_value
from bidder.config.secrets import Surroundings, secret_text
from bidder.config.tree import Branch, Items, Node, Scalar
from bidder.config.variables import is_secret
from bidder.domain import launch_rules
from bidder.domain.policy import Launch

_SECRETS = ("jupyter_token", "ssh_key", "ssh_password", "command")
_PORT = re.compile(r"([0-9]{1,5})(?:/([a-z]+))?\Z")


def merged(default: Node | None, own: Node | None, path: str, line: int, problems: Problems) -> Branch:
    """Return the strategy's own launch keys over the defaults; every node keeps its own place."""
    below, above = as_branch(default, problems), as_branch(own, problems)
    entries: dict[str, Node] = {}
    lines: dict[str, int] = {}
    for branch in (below, above):
        if branch is not None:
            # What is unknown in the defaults is noted there, not once more for each strategy.
            known = keys.of_section("launch") if branch is below else branch.entries
            entries.update((key, node) for key, node in branch.entries.items() if key in known)
            lines.update(branch.key_lines)
    at = above.line if above is not None else line
    return Branch(entries=entries, key_lines=lines, line=at, path=path)


def read_launch(section: Section, around: Surroundings) -> Launch | None:
    """Return the launch, or None after noting what is wrong with it."""
    before = around.problems.count
    image = section.required("image", values.text, "name the container image to run")
    ports = _ports(section)
    env = _env(section, around)
    found = {name: _secret(section, name, around) for name in _SECRETS}
    autossh = section.read("autossh_entrypoint", values.flag, None)
    if image is None or around.problems.count > before:
        return None
    launch = Launch(
        image=image.strip(),
        ports=ports,
        env=env,
        jupyter_token=found["jupyter_token"],
        ssh_key=found["ssh_key"],
        ssh_password=found["ssh_password"],
        command=found["command"],
        autossh_entrypoint=autossh,
    )
    _check(launch, section)
    return launch if around.problems.count == before else None


def secrets_of(launch: Launch, shown: Iterable[str] = ()) -> tuple[str, ...]:
    """Return every value of a launch that must not be shown; ``shown`` are the owner's own names."""
    single = (getattr(launch, name) for name in _SECRETS)
    env = (value for name, value in launch.env if is_secret(name, value, shown))
    return tuple(value for value in (*single, *env) if value)


def _check(launch: Launch, section: Section) -> None:
    for key, problem, remedy in launch_rules.check_launch(launch):
        head, _, name = key.removeprefix("launch.").partition(".")
        node = section.branch.entries.get(head)
        line, path = section.line_of(head), node.path if node is not None else section.path(head)
        if isinstance(node, Branch) and name in node.entries:
            line, path = node.key_lines[name], node.entries[name].path
        hidden = secrets_of(launch)
        section.problems.add(_hide(problem, hidden), line=line, key=path, remedy=_hide(remedy, hidden))


def _hide(text: str, secrets: tuple[str, ...]) -> str:
    # The rules say what is wrong without the value; this is the second lock on the same door.
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "(hidden)")
    return text


def _secret(section: Section, name: str, around: Surroundings) -> str | None:
    node = section.node(name)
    if node is None:
        return None
    value = secret_text(node, around, Part.LAUNCH)
    if value is not None and name == "ssh_key" and "PRIVATE KEY" in value:
        section.add(name, "this is a private key", "give the public one, the file that ends in .pub")
        return None
    return value.strip() if value is not None and name == "ssh_key" else value


def _env(section: Section, around: Surroundings) -> tuple[tuple[str, str], ...]:
    branch = section.open_section("env")
    if branch is None:
        return ()
    found: list[tuple[str, str]] = []
    for name, node in branch.entries.items():
        # An empty variable is a value; a key without any is a forgotten one.
        if isinstance(node, Scalar) and not node.is_null:
            found.append((name, node.text))
            continue
        value = secret_text(node, around, Part.LAUNCH)
        # The names are part of what steers decisions, also where a value is left out.
        found.append((name, value or ""))
    return tuple(found)


def _ports(section: Section) -> tuple[tuple[str, str], ...]:
    node = section.node("ports")
    if node is None or (isinstance(node, Scalar) and node.is_null):
        return ()
    if isinstance(node, Items):
        pairs = [_listed_port(each, section.problems) for each in node.items]
    elif isinstance(node, Branch):
        pairs = [_mapped_port(port, kind, section.problems) for port, kind in node.entries.items()]
    else:
        pairs = [_listed_port(node, section.problems)]
    ports = tuple(pair for pair in pairs if pair is not None)
    numbers = [port for port, _ in ports]
    for port in sorted({port for port in numbers if numbers.count(port) > 1}):
        section.add("ports", f"port {port} is opened twice", "keep one of them")
    return ports


def _listed_port(node: Node, problems: Problems) -> tuple[str, str] | None:
    def read(scalar: Scalar) -> tuple[str, str]:
        match = _PORT.match(scalar.text.strip().lower())
        if match is None:
            raise values.Unusable("is not a port", "write 22/tcp or 8888/http")
        return _port(match[1], match[2] or "tcp")

    return scalar_value(node, read, problems)


def _mapped_port(port: str, node: Node, problems: Problems) -> tuple[str, str] | None:
    def read(scalar: Scalar) -> tuple[str, str]:
        if not _PORT.match(port) or "/" in port:
            raise values.Unusable("the key is not a port number", "write 22: tcp")
        return _port(port, scalar.text.strip().lower())

    return scalar_value(node, read, problems)


def _port(number: str, kind: str) -> tuple[str, str]:
    if kind not in {"tcp", "http"}:
        raise values.Unusable("a port is either tcp or http", "write tcp or http")
    if not 1 <= int(number) <= 65535:
        raise values.Unusable("the port is out of range", "write a port from 1 to 65535")
    return str(int(number)), kind
