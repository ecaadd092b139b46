"""The image as it was built, run as the compose files say: `.ci/container` builds it and starts this.

All of it has a network of its own, in which nothing is but this machine's loopback.
"""

import math
import subprocess
from pathlib import Path

import compose
import pytest
from contained import Container, Image
from inside import grace, lay_files, traded
from processes import sim

pytestmark = pytest.mark.slow

# What it needs beside Python and Debian, most of it libraries; 161 MB when this was written.
_MOST_MEGABYTES = 180
# From SIGTERM to the end, for a daemon without `cancel_on_exit`.
_MOST_SECONDS_TO_STOP = 5.0


def test_the_image_says_how_it_is_run(image: Image) -> None:
    """Not as root, stopped by SIGTERM, asked for its health, its state where the volume is."""
    assert image.user == (10001, 10001)
    assert image.config["StopSignal"] == "SIGTERM"
    # For `kill` of the shell's own, by which it is told to read its configuration again.
    assert (image.root / "bin" / "sh").exists()
    assert image.config["Healthcheck"]["Test"] == ["CMD", "bidder", "health"]
    state = (image.root / "var/lib/bidder").stat()
    assert (state.st_uid, state.st_gid) == image.user
    assert list(image.config["Volumes"]) == ["/var/lib/bidder"]


def test_the_image_is_small(image: Image, image_folder: Path) -> None:
    """What it adds to its base is limited, and none of it is left over from building it."""
    base = int((image_folder / "base.kilobytes").read_text(encoding="utf-8"))
    told = subprocess.run(["du", "-sk", image.root], capture_output=True, text=True, check=True)
    own = (int(told.stdout.split()[0]) - base) / 1024

    assert 10 < own <= _MOST_MEGABYTES
    for left in ("src", "build", "wheel", "wheels", "root/.cache", "opt/bidder/bin/pip"):
        assert not (image.root / left).exists() or not any((image.root / left).iterdir()), left


def test_it_trades_with_sqlite_in_the_volume(image: Image, tmp_path: Path) -> None:
    """As compose.yaml runs it: healthy, confined, stopped by SIGTERM, its state in the volume."""
    with sim("--no-rivals", "--speed", "20") as root:
        lay_files(tmp_path, root)
        container = Container(image=image, files=compose.SQLITE, folder=tmp_path)
        assert grace(container) > _MOST_SECONDS_TO_STOP
        # What else the machine does can only add to a stop: the shortest of three is the daemon's own.
        stops = [math.inf]
        while min(stops) > _MOST_SECONDS_TO_STOP and len(stops) <= 3:
            stops.append(traded(container, tmp_path / "log", root).seconds_to_stop)
        print(f"stopped after {stops[1:]} seconds")
        assert min(stops) <= _MOST_SECONDS_TO_STOP
    assert (tmp_path / "state" / "bidder.db").stat().st_uid == 10001
