"""A process's calendar, set from outside while it runs; its monotonic seconds stay the machine's."""

import struct
import subprocess
from pathlib import Path

from tools import need

_SHIM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *ahead;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WALL_AHEAD");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *seen = file < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    if (seen != MAP_FAILED) ahead = seen;
    if (file >= 0) close(file);
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int failed = (int) syscall(SYS_clock_gettime, which, now);
    if (!failed && ahead && which == CLOCK_REALTIME) now->tv_sec += *ahead;
    return failed;
}

time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict kept, void *restrict zone) {
    struct timespec now;
    (void) zone;
    clock_gettime(CLOCK_REALTIME, &now);
    kept->tv_sec = now.tv_sec;
    kept->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


class Wall:
    """The clock on the wall, as the processes that are told of it see it."""

    def __init__(self, folder: Path) -> None:
        """Show the machine's own time; skip the test, or fail it in CI, without a compiler."""
        need("gcc")
        source, self._library, self._ahead = folder / "wall.c", folder / "wall.so", folder / "ahead"
        source.write_text(_SHIM)
        built = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(self._library), str(source)]
        subprocess.run(built, check=True, capture_output=True, timeout=60)
        self._ahead.write_bytes(bytes(8))

    @property
    def told(self) -> dict[str, str]:
        """Return what a process needs in its environment to see this clock."""
        return {"LD_PRELOAD": str(self._library), "WALL_AHEAD": str(self._ahead)}

    def set(self, seconds_ahead: int) -> None:
        """Set it to so many seconds ahead of the machine's own."""
        # In place: the processes have this file's memory mapped.
        with self._ahead.open("r+b") as file:
            file.write(struct.pack("=q", seconds_ahead))
