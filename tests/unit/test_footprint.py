"""Large blocks go back to the system, also after larger ones went."""

import platform
import subprocess
import sys

import pytest

_ASK = """
import ctypes, sys
from bidder.footprint import give_back_large_blocks

class Account(ctypes.Structure):  # mallinfo2(3)
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Account
if sys.argv[1] == "set":
    assert give_back_large_blocks()
for _ in range(3):
    bytearray(8_000_000)  # freed at once
before = mallinfo2().hblkhd
kept = bytearray(1_000_000)
print(mallinfo2().hblkhd - before)
"""


def _mapped(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _ASK, how], check=True, stdout=subprocess.PIPE, text=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_large_blocks_lie_outside_of_the_heap_also_after_larger_ones() -> None:
    assert _mapped("set") >= 1_000_000
    # What it is for: glibc by itself takes the larger one for the measure.
    assert _mapped("leave") == 0
