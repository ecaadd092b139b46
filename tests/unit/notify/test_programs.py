"""A program beside the daemon leaves nothing behind."""

import subprocess
import sys

import pytest

# Inherits orphans, as process 1 of a container does, and says whether any child is left.
_AS_PROCESS_ONE = """
import ctypes, os, sys
from bidder.notify.programs import run_program

PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
ended = run_program(("sh", "-c", sys.argv[1]), b"", timeout_seconds=0.5, most_output=10)
try:
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    print(ended.code, "some left")
except ChildProcessError:
    print(ended.code, "none left")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only there a process can inherit orphans")
@pytest.mark.parametrize(
    ("script", "code"),
    [("sleep 60 & sleep 60 & exit 3", "3"), ("sleep 60 & sleep 60", "None"), ("exit 0", "0")],
)
def test_process_one_reaps_what_a_program_leaves_behind(script: str, code: str) -> None:
    """Whether it put something into the background or was ended because it took too long."""
    command = [sys.executable, "-c", _AS_PROCESS_ONE, script]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split(maxsplit=1) == [code, "none left\n"]
