"""A campaign of real processes that is told to end before it is done."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from documented import disagreements

from bidder.chaos.day import fastest_folder

CHAOS = [sys.executable, "-m", "bidder.cli.main", "chaos"]


def left_behind(pid: int) -> list[Path]:
    """Return the folders of a campaign that are still there."""
    return list(Path(fastest_folder() or "/tmp").glob(f"bidder-chaos-{pid}-*"))


def test_a_campaign_that_is_ended_leaves_its_account_and_nothing_else() -> None:
    """Its workers are gone at once, and what they had on disk; what was played is told."""
    command = [*CHAOS, "--seeds", "1-20", "--days", "0.02", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as campaign:
        assert campaign.stdout is not None
        assert campaign.stderr is not None
        assert "seeds" in campaign.stderr.readline()
        workers = psutil.Process(campaign.pid).children(recursive=True)
        assert left_behind(campaign.pid)
        campaign.send_signal(signal.SIGTERM)
        told, said = campaign.stdout.read(), campaign.stderr.read()
    assert campaign.returncode == 130, said
    assert "interrupted after" in said
    document = json.loads(told)
    assert disagreements(document, "chaos") == []
    assert document["interrupted"] is True
    assert 1 <= document["seeds"] < 20
    assert f"interrupted after {document['seeds']} of 20 seeds" in said
    assert not any(document["violations"].values())
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    assert left_behind(campaign.pid) == []


def test_the_workers_of_a_campaign_that_is_killed_end_too() -> None:
    """Nobody is left to tell them; they see it themselves, and remove what they had on disk."""
    command = [*CHAOS, "--seeds", "1-20", "--days", "0.02"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as campaign:
        assert campaign.stdout is not None
        campaign.stdout.readline()
        workers = psutil.Process(campaign.pid).children(recursive=True)
        campaign.kill()
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    assert left_behind(campaign.pid) == []
