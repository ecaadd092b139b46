"""The unit file, judged by systemd's own tools."""

import subprocess
import sys
from pathlib import Path

from tools import need

UNIT = Path(__file__).parents[2] / "systemd" / "bidder.service"
_MOST_EXPOSURE = "1.5"


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent once the program is where the unit says."""
    need("systemd-analyze")
    text = UNIT.read_text(encoding="utf-8")
    assert "ExecStart=/opt/bidder/bin/bidder run" in text
    unit = tmp_path / "bidder.service"
    unit.write_text(text.replace("/opt/bidder/bin/bidder", sys.executable), encoding="utf-8")

    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_is_hardened() -> None:
    """systemd's own measure of exposure is at most 1.5 of 10."""
    need("systemd-analyze")
    threshold = str(round(float(_MOST_EXPOSURE) * 10))

    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", str(UNIT)],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout
    assert float(done.stdout.split("bidder.service: ")[1].split()[0]) <= float(_MOST_EXPOSURE)


def test_the_lease_can_see_whether_its_last_holder_lives() -> None:
    """/proc stays whole: hidden processes would look dead, and two daemons would trade."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()

    assert not [line for line in lines if line.startswith(("ProtectProc=", "ProcSubset="))]
    assert "RestartPreventExitStatus=2 3" in lines
    assert "WatchdogSec=180" in lines
