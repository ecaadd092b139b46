"""How much memory a process keeps from the system that it no longer uses.

Each time glibc frees a large block it takes that block's size for the usual one, and from then on puts
blocks up to it into its heap (mallopt(3), M_MMAP_THRESHOLD). An answer of a few megabytes every few
minutes then leaves holes in the heap between values that live for months, and the heap grows.
"""

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as <malloc.h> numbers them
# glibc's own first choice for both, in bytes; what is set once it no longer changes by itself.
_LARGE = 128 * 1024


def give_back_large_blocks() -> bool:
    """Let large blocks be given back once they are freed; False where the system has no such setting."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    set_all = [mallopt(which, _LARGE) for which in (_MMAP_THRESHOLD, _TRIM_THRESHOLD)]
    return all(set_all)
