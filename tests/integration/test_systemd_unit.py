"""The unit files, judged by systemd's own tools."""

import subprocess
import sys
from pathlib import Path

import pytest
from tools import need

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "bidder.service"
GUARD = FOLDER / "bidder-guard.service"
TIMER = FOLDER / "bidder-guard.timer"
_MOST_EXPOSURE = "1.5"


def verified(tmp_path: Path, *units: Path) -> tuple[int, str, str]:
    """Return what `systemd-analyze verify` says of the last unit, once the program is where it says."""
    need("systemd-analyze")
    for unit in units:
        text = unit.read_text(encoding="utf-8")
        (tmp_path / unit.name).write_text(text.replace("/opt/bidder/bin/bidder", sys.executable))
    last = tmp_path / units[-1].name
    done = subprocess.run(["systemd-analyze", "verify", str(last)], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent once the program is where the unit says."""
    assert "ExecStart=/opt/bidder/bin/bidder run" in UNIT.read_text(encoding="utf-8")
    assert verified(tmp_path, UNIT) == (0, "", "")


def test_systemd_finds_nothing_wrong_with_the_guard(tmp_path: Path) -> None:
    """Nor with its timer, which finds its service beside it."""
    assert "ExecStart=/opt/bidder/bin/bidder guard" in GUARD.read_text(encoding="utf-8")
    assert verified(tmp_path, GUARD) == (0, "", "")
    assert verified(tmp_path, GUARD, TIMER) == (0, "", "")


@pytest.mark.parametrize("unit", [UNIT, GUARD], ids=lambda unit: unit.name)
def test_the_unit_is_hardened(unit: Path) -> None:
    """systemd's own measure of exposure is at most 1.5 of 10."""
    need("systemd-analyze")
    threshold = str(round(float(_MOST_EXPOSURE) * 10))

    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", str(unit)],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout
    assert float(done.stdout.split(f"{unit.name}: ")[1].split()[0]) <= float(_MOST_EXPOSURE)


def settings(unit: Path) -> list[str]:
    """Return the settings of a unit's service, without comments."""
    lines = unit.read_text(encoding="utf-8").partition("[Service]")[2].partition("[Install]")[0]
    return [line for line in lines.splitlines() if line and not line.startswith("#")]


def test_the_guard_runs_as_the_daemon_on_the_daemons_state() -> None:
    """The same user, state, token and sandbox; only what makes it a service differs."""
    own = {
        *("Type", "NotifyAccess", "ExecStart", "ExecReload", "WatchdogSec", "TimeoutStartSec"),
        *("TimeoutStopSec", "Restart", "RestartSec", "RestartPreventExitStatus", "Environment"),
        "OOMPolicy",
    }
    shared = [line for line in settings(UNIT) if line.partition("=")[0] not in own]

    assert [line for line in settings(GUARD) if line.partition("=")[0] not in own] == shared
    assert {"DynamicUser=yes", "User=bidder", "StateDirectory=bidder"} <= set(shared)
    assert "Type=oneshot" in settings(GUARD)


def test_the_lease_can_see_whether_its_last_holder_lives() -> None:
    """/proc stays whole: hidden processes would look dead, and two daemons would trade."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()

    assert not [line for line in lines if line.startswith(("ProtectProc=", "ProcSubset="))]
    assert "RestartPreventExitStatus=2 3" in lines
    assert "WatchdogSec=180" in lines


def test_who_writes_a_command_hook_is_told_of_the_sandbox_it_runs_in() -> None:
    """What works from a shell may fail under the unit, and first when something is to be told."""
    told = (FOLDER.parent / "docs" / "notices.md").read_text(encoding="utf-8")
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    for key in ("ProtectHome", "MemoryDenyWriteExecute"):
        assert f"{key}=yes" in lines
        assert f"`{key}=" in told
