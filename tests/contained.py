"""A container without an engine: an image's unpacked root, run in namespaces as a compose file says.

Its root is shared by all, so it must be read-only in each; the network is whatever the test itself has.
Memory and processes are not limited here, but measured by the test.
"""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import compose
from processes import PATIENCE, Ran, wait_for

# What an engine puts there of itself.
_DEVICES = ("/dev/null", "/dev/urandom")
ALWAYS = frozenset(("/proc", *_DEVICES))


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image: its root file system, unpacked, and what its recipe says of running it."""

    root: Path
    config: Mapping[str, Any]

    @property
    def user(self) -> tuple[int, int]:
        """Return the user and the group that it runs as."""
        user, _, group = str(self.config["User"]).partition(":")
        return int(user), int(group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One service of compose files. ``folder`` holds the files beside them, and its volumes."""

    image: Image
    files: tuple[str, ...]
    folder: Path
    service: str = "bidder"

    @property
    def keys(self) -> Mapping[str, Any]:
        """Return what the compose files say of it."""
        keys: Mapping[str, Any] = compose.document(self.files)["services"][self.service]
        return keys

    @contextmanager
    def running(self, log: Path, *command: str) -> Iterator["Running"]:
        """Run a command, or what the image runs; it is killed at the end unless it ended before."""
        self._put_places_there()
        inside = shlex.join(self._inside(*(command or self.image.config["Cmd"])))
        script = "\n".join(["set -eu", *self._mounts(), f"exec {inside}"])
        unshare = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script]
        with log.open("ab") as stream:
            process = subprocess.Popen(unshare, stdout=stream, stderr=subprocess.STDOUT)
        try:
            yield Running(container=self, process=process, log=log)
        finally:
            # Not by --kill-child: whoever changed his user outlives his parent's death.
            for pid in _children(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.kill()
            process.wait(PATIENCE)

    def _put_places_there(self) -> None:
        # What an engine does before it starts one: mount points, and volumes as the image has them.
        for mount in self._all_mounts():
            at = self.image.root / mount.at.lstrip("/")
            source = self.folder / mount.source
            if mount.named and not source.exists():
                source.mkdir()
                owner = at.stat()
                subprocess.run(["chown", f"{owner.st_uid}:{owner.st_gid}", source], check=True)
            at.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                at.mkdir(exist_ok=True)
            else:
                at.touch()
        hosts = (f"127.0.0.1 localhost {' '.join(compose.document(self.files)['services'])}",)
        (self.folder / "hosts").write_text("\n".join((*hosts, "")), encoding="utf-8")

    def _all_mounts(self) -> tuple[compose.Mount, ...]:
        hosts = compose.Mount(source="./hosts", at="/etc/hosts", read_only=True)
        return (*compose.mounts(self.files, self.service), hosts)

    def _mounts(self) -> Iterator[str]:
        root = self.image.root
        yield shlex.join(["mount", "--bind", str(root), str(root)])
        for mount in self._all_mounts():
            at = f"{root}{mount.at}"
            yield shlex.join(["mount", "--bind", str(self.folder / mount.source), at])
            if mount.read_only:
                yield shlex.join(["mount", "-o", "remount,ro,bind", at])
        for at in self.keys.get("tmpfs", ()):
            yield shlex.join(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", f"{root}{at}"])
        yield shlex.join(["mount", "-t", "proc", "proc", f"{root}/proc"])
        for device in _DEVICES:
            yield shlex.join(["mount", "--bind", device, f"{root}{device}"])
        if self.keys.get("read_only"):
            yield shlex.join(["mount", "-o", "remount,ro,bind", str(root)])

    def _inside(self, *command: str) -> list[str]:
        user, group = self.image.user
        variables = [
            *self.image.config["Env"],
            *(f"{name}={value}" for name, value in self._environment().items()),
        ]
        rights = [f"--reuid={user}", f"--regid={group}", "--clear-groups"]
        if self.keys.get("cap_drop") == ["ALL"]:
            rights += ["--bounding-set=-all", "--inh-caps=-all"]
        if "no-new-privileges:true" in self.keys.get("security_opt", ()):
            rights += ["--no-new-privs"]
        return [
            *("chroot", str(self.image.root), "/usr/bin/env", "-i"),
            *(f"--chdir={self.image.config['WorkingDir']}", *variables),
            *("setpriv", *rights, *self.image.config["Entrypoint"], *command),
        ]

    def _environment(self) -> Mapping[str, str]:
        return compose.environment(self.files, self.service)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A container that was started."""

    container: Container
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        """Return its log."""
        return self.log.read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        """Return what its process 1 is outside of it."""
        (pid,) = wait_for(lambda: _children(self.process.pid), of="process 1")
        return int(pid)

    def status(self, field: str) -> list[str]:
        """Return a line of what the kernel says of its process 1."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(line for line in lines if line.startswith(f"{field}:")).split()[1:]

    def run(self, *command: str) -> Ran:
        """Run a command of the program beside it, as ``docker compose exec`` does."""
        inside = self.container._inside(*command)
        done = subprocess.run(
            ["nsenter", f"--target={self.pid}", "--mount", "--pid", *inside],
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE,
        )
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr)

    def healthy(self) -> bool:
        """Return what the image's own health check says."""
        kind, program, *arguments = self.container.image.config["Healthcheck"]["Test"]
        assert (kind, [program]) == ("CMD", self.container.image.config["Entrypoint"])
        return self.run(*arguments).code == 0

    def stop(self) -> int:
        """Send the image's stop signal and return the exit code."""
        os.kill(self.pid, signal.Signals[self.container.image.config["StopSignal"]])
        return self.process.wait(PATIENCE)


def image_of(root: Path, described: Path) -> Image:
    """Return the image that ``buildah inspect`` describes."""
    found = json.loads(described.read_text(encoding="utf-8"))
    return Image(root=root, config=found["Docker"]["config"])


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
