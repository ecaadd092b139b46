"""The backup lines of the documentation, run as cron and systemd run them."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from processes import BIDDER, write_config

from bidder.store.engine import open_engine
from bidder.store.schema import upgrade

_PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
_MARKS = {
    # Where a line is found, and what stands for a per cent sign in it.
    "cron": (r"^    17 3 \* \* \* (.*)$", r"\%"),
    "systemd": (r"^ExecStart=/bin/sh -c '(.*)'$", "%%"),
}


@pytest.mark.parametrize("by", _MARKS)
def test_the_documented_lines_make_a_backup(tmp_path: Path, by: str) -> None:
    """With nothing but what such a program gets for its environment, and no bare per cent sign."""
    config, copies = write_config(tmp_path, "http://127.0.0.1:9"), tmp_path / "copies"
    kept = [line for line in config.read_text().splitlines() if not line.startswith("database:")]
    config.write_text("\n".join(kept) + "\n")
    copies.mkdir()
    engine = open_engine(tmp_path / "bidder.db")
    upgrade(engine)
    engine.dispose()
    mark, percent = _MARKS[by]
    (line,) = re.findall(mark, _PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert "%" not in line.replace(percent, "")

    for documented, here in (
        (percent, "%"),
        ("/opt/bidder/bin/bidder", shlex.join(BIDDER)),
        ("/etc/bidder/config.yaml", str(config)),
        ("/var/backups/bidder", str(copies)),
        ("/var/lib/bidder", str(tmp_path)),
    ):
        line = line.replace(documented, here)
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(_PAGE.parents[1])}
    if by == "systemd":
        assert "Environment=STATE_DIRECTORY=/var/lib/bidder\n" in _PAGE.read_text(encoding="utf-8")
        environment["STATE_DIRECTORY"] = str(tmp_path)
    subprocess.run(["/bin/sh", "-c", line], env=environment, cwd="/", check=True, timeout=60)

    (copy,) = copies.iterdir()
    assert re.fullmatch(r"bidder-\d{4}-\d\d-\d\d\.db", copy.name)
