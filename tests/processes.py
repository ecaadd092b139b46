"""Real processes for end-to-end tests: the simulated exchange, the daemon, single commands."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidder.cli.main import main

BIDDER = [sys.executable, "-m", "bidder.cli.main"]
TOKEN = "end-to-end-token"
# Long enough for the slowest machine; waiting ends as soon as what is waited for is there.
PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Return the JSON object that it printed."""
        return json.loads(self.out)


def environment(token: str = TOKEN) -> dict[str, str]:
    """Return the environment of a process of ours, without any of the machine's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BIDDER_", "CLORE_"))}
    return {**kept, "E2E_TOKEN": token, "COLUMNS": "200"}


def bidder(*arguments: str, token: str = TOKEN) -> Ran:
    """Run one command to its end."""
    done = subprocess.run(
        [*BIDDER, *arguments],
        env=environment(token),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
        check=False,
    )
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr)


def run_here(*arguments: str) -> Ran:
    """Run one command to its end in this process.

    For waiting: a process for each look would keep a core busy with starting, and what is waited for
    with it.
    """
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return Ran(code=code, out=out.getvalue(), err=err.getvalue())


@contextmanager
def sim(*arguments: str) -> Iterator[str]:
    """Run the simulated exchange as a process; yield its root URL."""
    process = subprocess.Popen(
        [*BIDDER, "sim", "serve", "--port", "0", "--servers", "60", "--token", TOKEN, *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield f"http://{line.split()[2]}"
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@contextmanager
def daemon(
    config: Path, log: Path, *arguments: str, told: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon with its log in a file; it is killed at the end unless it ended before.

    ``told`` is added to its environment.
    """
    process = start_daemon(config, log, *arguments, told=told)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)


def start_daemon(
    config: Path, log: Path, *arguments: str, told: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start the daemon with its log in a file."""
    with log.open("ab") as stream:
        return subprocess.Popen(
            [*BIDDER, "run", "-c", str(config), *arguments],
            env={**environment(), **(told or {})},
            stdout=stream,
            stderr=stream,
        )


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a daemon as systemd does, and return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE)


def ask(root: str, path: str, body: Any = None) -> Any:
    """Return a control endpoint's answer of the simulated exchange."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(root + path, data=data), timeout=10) as answer:
        return json.load(answer)


def wait_for(what: Callable[[], Any], *, of: str, patience: float = PATIENCE) -> Any:
    """Return what ``what`` returns as soon as that is true."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited in vain for {of}")


def write_config(
    folder: Path, root: str, *, database: str = "bidder.db", mode: str = "live", more: str = ""
) -> Path:
    """Write a configuration with two strategies that always find servers."""
    config = folder / "config.yaml"
    config.write_text(
        f"""
mode: {mode}
account: {{name: e2e, token_env: E2E_TOKEN}}
exchange: {{url: "{root}/v1"}}
database: "{database}"
rates: {{BTC: 69000, CLORE: 0.11}}
{more}
strategies:
  - name: ada
    want: 2
    ceiling: {{usd: 6, per: gpu}}
    servers: {{gpu: [RTX 4090]}}
    launch: {{image: cloreai/ubuntu20.04-jupyter, ports: {{22: tcp, 8888: http}}}}
  - name: ampere
    want: 3
    ceiling: {{usd: 3, per: gpu}}
    servers: {{gpu: [RTX 3080, RTX 3090, RTX 3070, RTX 3060 TI]}}
    launch: {{image: cloreai/ubuntu20.04-jupyter}}
""",
        encoding="utf-8",
    )
    return config
