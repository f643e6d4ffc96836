"""Write a file whole or not at all, so that it outlasts a crash, a full disk and a power loss."""

import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

LEFT_OVER_SECONDS = 24 * 3600.0  # what is younger may still be written, on another machine too
BUFFER_BYTES = 2**20

# Temporary files, with the process that wrote them; before 0.1.0 they were called otherwise.
TEMPORARY = re.compile(
    r"\.neocog-(?P<process>\d+)-[0-9a-f]{8}\.tmp"
    r"|\..+\.(?:json|jsonl|csv|pt|safetensors|html|npy)\.[a-z0-9_]{8}"
)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace `path` by `content`; after a crash or a power loss it holds the old or the new.

    The parent folder must exist. Text is written as UTF-8. Raises OSError (a full disk, a folder
    that may not be written) with nothing left behind. Once it has returned, the content is on disk.
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
        raise _about(path, error) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def append(path: Path, text: str) -> None:
    """Add `text` to a file, on disk once it has returned; one that does not exist is made.

    Raises OSError with the file as it was. A crash may leave a part of the text.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY, 0o666)
    try:
        before = os.fstat(handle).st_size
        try:
            _write_all(handle, text.encode(errors="surrogateescape"))
            os.fsync(handle)
        except BaseException:
            os.ftruncate(handle, before)
            raise
    finally:
        os.close(handle)
    if not before:
        sync_folder(path.parent)


class NewFile:
    """A file that is written piece by piece. It is on disk once `close` has returned."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666)
        self._waiting = bytearray()

    def write(self, data: bytes) -> None:
        """Add `data` at the end."""
        self._waiting += data
        if len(self._waiting) >= BUFFER_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left, and wait for the disk."""
        self._flush()
        os.fsync(self._handle)
        self._let_go()

    def discard(self) -> None:
        """Delete the file; nothing happens where that was done before."""
        self._waiting.clear()
        self._let_go()
        self.path.unlink(missing_ok=True)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, bytearray()
        _write_all(self._handle, waiting)

    def _let_go(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def make_folder(path: Path, exist_ok: bool = True) -> None:
    """Make a folder and those above it, which last through a power loss. Raises OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=exist_ok)
    for folder in reversed(missing):
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk, where the system can do that."""
    if os.name == "nt":
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder that may be written and not read
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot
            raise
    finally:
        os.close(handle)


def unique_name() -> str:
    """A name that no other has, with the number of this process: see `sweep`."""
    return f"{os.getpid()}-{os.urandom(4).hex()}"


def sweep(folder: Path, names: re.Pattern[str] = TEMPORARY, keep: Container[str] = ()) -> None:
    """Delete what killed processes left in a folder: files and folders that are called as `names`.

    What is younger than a day, belongs to another user or to a living process (the pattern's group
    `process`), or is named in `keep` stays, and so does what cannot be deleted.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if names.fullmatch(entry.name)]
    except OSError:
        return
    for entry in found:
        match = names.fullmatch(entry.name)
        process = match.groupdict().get("process") if match else None
        if entry.name in keep or (process and _is_alive(int(process))):
            continue
        try:
            about = entry.stat(follow_symlinks=False)
            if time.time() - about.st_mtime < LEFT_OVER_SECONDS or not _is_ours(about):
                continue
            if stat.S_ISDIR(about.st_mode):
                shutil.rmtree(entry.path, ignore_errors=True)
            elif stat.S_ISREG(about.st_mode):
                Path(entry.path).unlink()
        except OSError:
            continue


def _about(path: Path, error: OSError) -> OSError:
    """The error with the name of the file that was to be written, not of a temporary one."""
    return OSError(error.errno, error.strerror, str(path))


_BINARY = getattr(os, "O_BINARY", 0)  # Windows changes line ends without it


def _write_all(handle: int, data: bytes | bytearray) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _is_ours(about: os.stat_result) -> bool:
    return os.name == "nt" or about.st_uid == os.getuid()


def _is_alive(process: int) -> bool:
    """Whether a process of this machine lives; where that cannot be told, it is taken to."""
    if os.name == "nt":
        return True  # os.kill(process, 0) would interrupt it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
