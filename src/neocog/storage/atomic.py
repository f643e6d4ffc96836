"""Atomic file writes that survive a crash, a full disk and a power loss."""

import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

STALE_SECONDS = 24 * 3600.0  # younger files may still be in use, perhaps by another machine
BUFFER_BYTES = 2**20

# Temporary files carry the id of their process. The second form was used before 0.1.0; the third is
# a part of a download.
TEMPORARY_FILE = re.compile(
    r"\.neocog-(?P<process>\d+)-[0-9a-f]{8}\.tmp"
    r"|\..+\.(?:json|jsonl|csv|pt|safetensors|html|npy)\.[a-z0-9_]{8}"
    r"|\..+-[0-9a-f]{8,16}\.part"
)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace `path` with `content`; after a crash the file has either the old or the new content.

    The content goes to a temporary file in the same folder, which is synced and renamed. The parent
    folder must exist. Text is encoded as UTF-8. The content is on disk when the function returns.
    Raises OSError, with no temporary file left, for example if the disk is full or the folder is
    read-only.
    """
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    temporary = path.with_name(f".neocog-{unique_name()}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        try:
            _write_all(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise _with_path(path, error) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def append(path: Path, text: str) -> None:
    """Append `text` to a file and sync it to disk; the file is created if it does not exist.

    Raises OSError and restores the previous length of the file. A crash may leave a part of the
    text.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, 0o666)
    try:
        size_before = os.fstat(handle).st_size
        try:
            _write_all(handle, text.encode(errors="surrogateescape"))
            os.fsync(handle)
        except BaseException:
            os.ftruncate(handle, size_before)
            raise
    finally:
        os.close(handle)
    if not size_before:
        sync_folder(path.parent)


class NewFile:
    """A new file written in pieces; it is on disk once `close` has returned."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        self._buffer = bytearray()

    def write(self, data: bytes) -> None:
        """Append `data`."""
        self._buffer += data
        if len(self._buffer) >= BUFFER_BYTES:
            self._flush()

    def close(self) -> None:
        """Write buffered data, sync to disk and close."""
        self._flush()
        os.fsync(self._handle)
        self._close_handle()

    def discard(self) -> None:
        """Delete the file; calling it twice is harmless."""
        self._buffer.clear()
        self._close_handle()
        self.path.unlink(missing_ok=True)

    def _flush(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        _write_all(self._handle, data)

    def _close_handle(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def make_folder(path: Path, exist_ok: bool = True) -> None:
    """Create a folder and its parents and sync them to disk. Raises OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=exist_ok)
    for folder in reversed(missing):
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Sync the entries of a folder to disk, if the system supports it."""
    if os.name == "nt":
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # the folder is writable but not readable
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not supported by the file system
            raise
    finally:
        os.close(handle)


def unique_name() -> str:
    """Return a unique name that starts with the process id, which `sweep` reads."""
    return f"{os.getpid()}-{os.urandom(4).hex()}"


def sweep(folder: Path, names: re.Pattern[str] = TEMPORARY_FILE, keep: Container[str] = ()) -> None:
    """Delete files and folders in `folder` that killed processes left behind.

    Only entries whose whole name matches `names` are considered. Kept are entries younger than a
    day, entries of another user or of a running process (the pattern's group `process`), names in
    `keep`, and whatever cannot be deleted.
    """
    try:
        with os.scandir(folder) as entries:
            matching = [entry for entry in entries if names.fullmatch(entry.name)]
    except OSError:
        return
    for entry in matching:
        match = names.fullmatch(entry.name)
        process = match.groupdict().get("process") if match else None
        if entry.name in keep or (process and _is_alive(int(process))):
            continue
        try:
            status = entry.stat(follow_symlinks=False)
            if time.time() - status.st_mtime < STALE_SECONDS or not _is_own(status):
                continue
            if stat.S_ISDIR(status.st_mode):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif stat.S_ISREG(status.st_mode):
                Path(entry.path).unlink()
        except OSError:
            continue


def _with_path(path: Path, error: OSError) -> OSError:
    """The same error, naming the target file instead of the temporary file."""
    return OSError(error.errno, error.strerror, str(path))


_BINARY = getattr(os, "O_BINARY", 0)  # otherwise Windows translates line endings


def _write_all(handle: int, data: bytes | bytearray) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _is_own(status: os.stat_result) -> bool:
    return os.name == "nt" or status.st_uid == os.getuid()


def _is_alive(process: int) -> bool:
    """Whether a process with this id is running on this machine; True if that is unknown."""
    if os.name == "nt":
        return True  # os.kill(process, 0) would interrupt it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
