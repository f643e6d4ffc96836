"""The cache of computed results: decoded images, features.

An entry is a file or a folder, `computed/KIND/KEY` in the cache folder, in whatever format its
owner writes. Its time of modification is when it was last used. If all entries together exceed the
bound, those that were not used for longest are deleted. No index could be damaged, and two
processes need no lock: an entry is renamed before it is deleted, so that it is there whole or not
at all, and on POSIX systems a process goes on reading deleted files that it has open.
"""

import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from neocog.errors import UsageError
from neocog.json_fields import short
from neocog.storage.atomic import unique_name

MAX_BYTES, MAX_DISK_FRACTION = 20 * 10**9, 0.25  # the smaller one is the default bound
# An entry used in this time may be in use, and is kept even if the bound is exceeded.
RECENT_SECONDS = 3600.0


def location(kind: str) -> Path:
    """The folder `kind` in `NEOCOG_CACHE` or the user's cache: data, weights (downloads), computed.

    Downloads do not count towards the bound and are not deleted by `clear`: a machine that is
    offline cannot get them again.
    """
    folder = os.environ.get("NEOCOG_CACHE")
    if not folder:
        import platformdirs  # 10 ms, which a prediction from a run does not need

        folder = platformdirs.user_cache_dir("neocog", appauthor=False)
    return Path(folder) / kind


def folder_of(kind: str) -> Path:
    """The folder of all entries of a kind."""
    return location("computed") / kind


def entry(kind: str, key: str) -> Path:
    """Return the path of an entry, which need not exist, and mark it as used.

    `key` must be a file name that says all that the content depends on, such as a digest. The
    owner writes the entry atomically, or checks what it reads, and calls `evict` afterwards.
    """
    path = folder_of(kind) / key
    with suppress(OSError):  # missing, or on a read-only disk
        os.utime(path)
    return path


def max_bytes() -> int:
    """The bound in bytes: `NEOCOG_CACHE_SIZE` in GB, else 20 GB or a quarter of the disk.

    Raises UsageError if the variable is not a number of at least 0.
    """
    text = os.environ.get("NEOCOG_CACHE_SIZE", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return round(float(text) * 10**9)
    if text:
        raise UsageError(
            f"NEOCOG_CACHE_SIZE must be a number of gigabytes, not {short(text)}.",
            "For example: NEOCOG_CACHE_SIZE=5",
        )
    with suppress(OSError):
        return min(MAX_BYTES, round(MAX_DISK_FRACTION * shutil.disk_usage(location("")).total))
    return MAX_BYTES


def evict() -> int:
    """Delete the entries not used for longest until the rest is within the bound.

    Returns the number of bytes freed. An entry that cannot be deleted is skipped.
    """
    entries = sorted(_entries(), key=lambda entry: entry.used)
    excess, freed = sum(entry.size for entry in entries) - max_bytes(), 0
    for old in entries:
        if freed >= excess or time.time() - old.used < RECENT_SECONDS:
            break
        freed += _delete(old)
    return freed


def clear() -> int:
    """Delete all entries; return the number of bytes freed."""
    return sum(_delete(entry) for entry in _entries())


@dataclass(frozen=True)
class _Entry:
    """An entry, its size in bytes, and the time when it was last used."""

    path: Path
    size: int
    used: float


def _entries() -> list[_Entry]:
    """All entries; temporary files, whose names begin with a dot, are none."""
    entries = []
    for path in location("computed").glob("*/[!.]*"):
        with suppress(OSError):  # another process deleted it
            entries.append(_Entry(path, _size(path), path.stat().st_mtime))
    return entries


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def _delete(entry: _Entry) -> int:
    """Delete an entry; return the number of bytes freed."""
    doomed = entry.path.with_name(f".neocog-{unique_name()}.tmp")  # `sweep` finds it after a crash
    try:
        entry.path.rename(doomed)
        doomed.unlink() if not doomed.is_dir() else shutil.rmtree(doomed)
    except OSError:  # another process was first; or Windows, where it is in use
        return 0
    return entry.size
