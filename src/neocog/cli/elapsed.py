"""The time that a command takes, from the start of its process: imports are included."""

import os
import time
from pathlib import Path

LONGEST = 600.0  # seconds that a process can have taken to come here; more is a clock's mistake


def _age() -> float:
    """The seconds since this process began; 0 if the system does not tell."""
    try:
        stat = Path("/proc/self/stat").read_text("utf-8")
        ticks = int(stat.rpartition(")")[2].split()[19])  # field 22, starttime: since the boot
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0
    return age if 0 <= age < LONGEST else 0.0


class Stopwatch:
    """The time since the process began, or for later commands in it, since the command began."""

    def __init__(self) -> None:
        self._begin = time.perf_counter() - _age()
        self._fresh = True

    def start(self) -> None:
        """Note the start of a command."""
        if not self._fresh:
            self._begin = time.perf_counter()
        self._fresh = False

    def seconds(self) -> float:
        """The seconds since the command began."""
        return time.perf_counter() - self._begin


STOPWATCH = Stopwatch()
