"""Keep the memory that a step frees for the next step."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep_freed_memory() -> None:
    """Ask glibc not to hand large freed blocks back to the system; does nothing elsewhere.

    By default every large tensor is mapped afresh and its pages faulted in again at every step.
    `benchmarks/speed.py --allocator` measures what this gives.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return  # another C library, musl for one
    if not mallopt(M_MMAP_THRESHOLD, 2**30):
        mallopt(M_MMAP_THRESHOLD, 2**25)  # the most that glibc takes before 2.35
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
