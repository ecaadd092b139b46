"""The image runs the demo. In a file of its own: so it waits for its half minute beside all others."""

import json
from pathlib import Path

import compose
import pytest
from contained import Container, Image
from inside import lay_files
from processes import PATIENCE

pytestmark = pytest.mark.slow


def test_it_runs_the_demo(image: Image, tmp_path: Path) -> None:
    """On a read-only root, with the volume and /tmp only: it trades, and ends with 0."""
    lay_files(tmp_path, "")
    container = Container(image=image, files=compose.SQLITE, folder=tmp_path)
    with container.running(tmp_path / "log", "demo", "--hours", "0.01", "--json") as running:
        code = running.process.wait(5 * PATIENCE)

    assert code == 0, running.said
    shown = json.loads(running.said)
    assert shown["orders_created"] >= 1
    assert (shown["double_orders"], shown["ceiling_breaches"]) == (0, 0)
