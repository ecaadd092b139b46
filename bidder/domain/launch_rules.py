"""The limits of ``create_order`` on what a server runs (API document, endpoint 10).

They are checked before anything is sent, so that a mistake in the configuration is found by
``check`` and not by the exchange, one refused creation at a time. Problems never quote a value: most
of these fields are secrets.
"""

import json
import re
from collections.abc import Iterator

from bidder.domain.policy import Launch

MOST_PORTS = 5
LONGEST_ENV_NAME = 128
LONGEST_ENV_VALUE = 1536
LONGEST_ENV = 12_000
LONGEST_SSH_KEY = 3072
LONGEST_SSH_PASSWORD = 32
LONGEST_JUPYTER_TOKEN = 32

# /^[a-zA-Z0-9\s-=.@+/]+$/ with the dash read as a literal. ASCII only: what else JavaScript's \s
# would admit is not worth finding out with a password.
_ALLOWED = re.compile(r"[a-zA-Z0-9 \t\r\n\-=.@+/]+")
_CHARSET = "use only letters, digits, spaces and - = . @ + /"
_IMAGE = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.\-]*[a-z0-9])?(?::\d{1,5})?/)?"
    r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_LONGEST_IMAGE = 512
_LONGEST_COMMAND = 64_000

Problem = tuple[str, str, str]  # key, what is wrong, the remedy


def check_launch(launch: Launch) -> tuple[Problem, ...]:
    """Return every limit that a launch breaks, as key, problem and remedy; empty when none."""
    return (
        *_image(launch),
        *_ports(launch),
        *_env(launch),
        *_text("ssh_password", launch.ssh_password, LONGEST_SSH_PASSWORD),
        *_text("ssh_key", launch.ssh_key, LONGEST_SSH_KEY),
        *_text("jupyter_token", launch.jupyter_token, LONGEST_JUPYTER_TOKEN),
        *_command(launch.command),
    )


def _image(launch: Launch) -> Iterator[Problem]:
    if len(launch.image) > _LONGEST_IMAGE or not _IMAGE.fullmatch(launch.image):
        yield "image", "is not the name of a Docker image", "write it like cloreai/ubuntu20.04-jupyter"


def _ports(launch: Launch) -> Iterator[Problem]:
    if len(launch.ports) > MOST_PORTS:
        count = len(launch.ports)
        yield "ports", f"{count} ports, at most {MOST_PORTS} are forwarded", "remove some"
    web = 0
    for port, protocol in launch.ports:
        number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
        if not 1 <= number <= 65535:
            yield "ports", "a port is not a number from 1 to 65535", "name the container's port"
        if protocol not in {"tcp", "http"}:
            yield "ports", "a port is forwarded neither as tcp nor as http", "write tcp or http"
        web += protocol == "http"
    if web > 1:
        yield "ports", "more than one http port", "keep one, forward the others as tcp"
    if len({port for port, _ in launch.ports}) != len(launch.ports):
        yield "ports", "a port is named twice", "name each once"


def _env(launch: Launch) -> Iterator[Problem]:
    for name, value in launch.env:
        if not 1 <= len(name) <= LONGEST_ENV_NAME:
            yield "env", f"a name is empty or over {LONGEST_ENV_NAME} characters", "shorten it"
            continue
        if len(value) > LONGEST_ENV_VALUE:
            yield f"env.{name}", f"is over {LONGEST_ENV_VALUE} characters", "shorten it"
        if "&" in value:
            yield f"env.{name}", "contains &, which makes the exchange fail", "write it without &"
        if "\x00" in value or "\x00" in name:
            yield "env", "a name or value contains a NUL character", "remove it"
    whole = json.dumps(dict(launch.env), ensure_ascii=False, separators=(",", ":"))
    if len(whole) > LONGEST_ENV:
        yield "env", f"is over {LONGEST_ENV} characters as a whole", "move some of it into the image"


def _text(key: str, value: str | None, longest: int) -> Iterator[Problem]:
    if value is None:
        return
    if not 1 <= len(value) <= longest:
        yield key, f"must have 1 to {longest} characters", "shorten it" if value else "remove the key"
    elif not _ALLOWED.fullmatch(value):
        yield key, "contains a character that the exchange does not take", _CHARSET


def _command(command: str | None) -> Iterator[Problem]:
    if command is not None and (len(command) > _LONGEST_COMMAND or "\x00" in command):
        yield "command", "is too long or contains a NUL character", "move it into the image"
