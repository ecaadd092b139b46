"""systemd itself, started as process 1 on an unpacked root: for tests of units as they are installed.

It has processes, mounts and control groups of its own, nothing it writes reaches the root, and its
network is whatever the test itself has. Where the kernel or the container around us refuses one of
these, that is said instead.
"""

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from processes import PATIENCE, Ran, wait_for

_SYSTEMD = "lib/systemd/systemd"
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


class CannotBoot(Exception):
    """There can be no systemd of ours on this machine; the message says what stands in its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What runs below a systemd of its own. ``pid`` is its process 1, seen from here."""

    pid: int

    def run(self, *command: str) -> Ran:
        """Run a command in it, as root."""
        variables = [
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "SYSTEMD_PAGER=",
            "LC_ALL=C.UTF-8",
        ]
        namespaces = ["--mount", "--pid", "--cgroup", "--ipc", "--uts"]
        done = subprocess.run(
            ["nsenter", f"--target={self.pid}", *namespaces, *variables, *command],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr)

    def systemctl(self, *arguments: str) -> str:
        """Return what a call of systemctl prints; it must succeed."""
        ran = self.run("systemctl", *arguments)
        assert ran.code == 0, (arguments, ran.err, self.journal())
        return ran.out

    def show(self, unit: str, field: str) -> str:
        """Return one property of a unit."""
        return self.systemctl("show", unit, f"--property={field}", "--value").strip()

    def journal(self, unit: str = "bidder.service") -> str:
        """Return what a unit has said so far."""
        return self.run("journalctl", "--unit", unit, "--output=cat", "--no-pager").out

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in it."""
        script = f'mkdir -p "$(dirname {path})" && (umask 077; cat >{path}) && chmod {mode:o} {path}'
        done = subprocess.run(
            ["nsenter", f"--target={self.pid}", "--mount", "sh", "-c", script], input=text, text=True
        )
        assert done.returncode == 0


@contextmanager
def booted(root: Path, folder: Path) -> Iterator[Machine]:
    """Boot systemd on a root, and end all that it started with the block.

    Raises:
        CannotBoot: not on this machine; the message says why.
    """
    if not (root / _SYSTEMD).exists():
        raise CannotBoot(f"there is no systemd in {root}")
    groups = _own_groups()
    log = folder / "systemd.log"
    script = "\n".join(("set -eu", *_places(root, folder), f"exec {_BOOT}"))
    unshare = ["unshare", "--cgroup", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    # Its control groups begin where its first process is.
    moved = f"echo $$ >{groups}/cgroup.procs && exec {shlex.join([*unshare, 'sh', '-c', script])}"
    with log.open("wb") as stream:
        process = subprocess.Popen(["sh", "-c", moved], stdout=stream, stderr=subprocess.STDOUT)
    try:
        yield _up(process, log)
    finally:
        process.kill()
        process.wait(PATIENCE)
        _remove(groups)


_BOOT = shlex.join(
    [
        *("env", "-i", "container=bidder-test", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"),
        *(f"/{_SYSTEMD}", "--system", "--unit=basic.target", "--show-status=no"),
        *("--log-target=console", "--log-level=notice"),
    ]
)


def _own_groups() -> Path:
    """Make a control group of our own."""
    told = subprocess.run(
        ["findmnt", "--noheadings", "--types=cgroup2", "--output=TARGET"], capture_output=True, text=True
    )
    if not told.stdout.strip():
        raise CannotBoot("there is no cgroup2 file system")
    groups = Path(told.stdout.split()[0], f"bidder-test-{os.getpid()}")
    try:
        groups.mkdir()
    except OSError as exc:
        raise CannotBoot(f"{groups} cannot be made: {exc.strerror}") from exc
    return groups


def _places(root: Path, folder: Path) -> Iterator[str]:
    own = folder / "machine"
    own.mkdir()
    new = own / "root"
    layers = f"lowerdir={root},upperdir={own}/upper,workdir={own}/work"
    yield f"mount -t tmpfs tmpfs {own}"
    yield f"mkdir {own}/upper {own}/work {new}"
    yield f"mount -t overlay -o {layers} overlay {new}"
    yield f"mount -t proc proc {new}/proc"
    yield f"mount -t sysfs -o ro sysfs {new}/sys"
    yield f"mount -t cgroup2 cgroup2 {new}/sys/fs/cgroup"
    yield f"mount -t tmpfs -o mode=755 tmpfs {new}/dev"
    for device in _DEVICES:
        yield f"touch {new}/dev/{device} && mount --bind /dev/{device} {new}/dev/{device}"
    yield f"mkdir {new}/dev/pts {new}/dev/shm"
    yield f"mount -t devpts -o newinstance,ptmxmode=666 devpts {new}/dev/pts"
    yield f"ln -s pts/ptmx {new}/dev/ptmx"
    for place, mode in {"dev/shm": "1777", "run": "755", "tmp": "1777"}.items():
        yield f"mount -t tmpfs -o mode={mode} tmpfs {new}/{place}"
    yield f"cd {new} && mkdir run/old && pivot_root . run/old && umount -l /run/old"
    # What a container manager does: without it no credential gets from where systemd lays it to a unit.
    yield "mount --make-rshared /"


def _up(process: subprocess.Popen[bytes], log: Path) -> Machine:
    """Return the machine once it has booted."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def first() -> list[str]:
        with suppress(OSError):
            return children.read_text(encoding="utf-8").split()
        return []

    def state() -> str:
        if process.poll() is not None:
            raise CannotBoot(_last_line(log) or f"it ended with {process.returncode}")
        if "Freezing execution" in _last_line(log):
            raise CannotBoot(_last_line(log))
        found = [Machine(pid=int(pid)).run("systemctl", "is-system-running") for pid in first()]
        return "".join(ran.out.strip() for ran in found)

    wait_for(lambda: state() in {"running", "degraded"}, of="systemd")
    return Machine(pid=int(first()[0]))


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else ""


def _remove(groups: Path) -> None:
    # The innermost first, and again while the last of their processes are being buried.
    def gone() -> bool:
        for group in sorted((path for path in groups.rglob("*") if path.is_dir()), reverse=True):
            with suppress(OSError):
                group.rmdir()
        with suppress(OSError):
            groups.rmdir()
        return not groups.exists()

    wait_for(gone, of=f"the end of {groups}")
