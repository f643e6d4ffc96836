"""Zip and tar files of images, read in place: nothing is unpacked onto the disk by its name."""

import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from neocog.data.decode import MAX_BYTES, briefly
from neocog.errors import NeocogError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
UNPACKED_LEAST, UNPACKED_RATIO = 2**30, 100  # photos hardly shrink: more than that is a bomb
MEMBER_LEAST = 16 * 2**20  # a drawing as BMP shrinks by more, and is small
MAX_ENTRIES = 200_000
BY_FOLDER = "Unpack it yourself if you trust it, and name the folder."


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name, how to read it, and what changes when its content does."""

    name: str
    read: Callable[[], bytes]
    stamp: tuple[int, int]


def is_archive(path: Path) -> bool:
    """Whether the file's name is that of a zip or tar file."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def members(path: Path) -> tuple[list[Member], list[tuple[str, str]]]:
    """The files in an archive, and what is left out: links, names that point out, empty folders.

    They can be read from any thread. Raises NeocogError for an archive that is damaged.
    """
    try:
        found = _zip(path) if path.name.lower().endswith(".zip") else _tar(path)
        left_out = found.left_out + [("empty_folder", name) for name in found.empty_folders()]
        return found.members, left_out
    except NeocogError:
        raise
    except Exception as error:  # zlib.error, lzma.LZMAError, ...: each packing has its own
        raise NeocogError(f"{path} is damaged or no archive ({briefly(error)}).") from None


@dataclass
class _Found:
    """What an archive holds: files, folders, and (kind, name) of what is left out."""

    members: list[Member] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def empty_folders(self) -> list[str]:
        """The folders with nothing in them, as far as the archive names them."""
        names = [
            *self.folders,
            *(m.name for m in self.members),
            *(name for _, name in self.left_out),
        ]
        full = {str(folder) for name in names for folder in PurePosixPath(name).parents}
        empty = (name for name in self.folders if name not in full and not _points_out(name))
        return list(dict.fromkeys(empty))


def _points_out(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts


def _zip(path: Path) -> _Found:
    archive, found = zipfile.ZipFile(path), _Found()
    entries = archive.infolist()
    _check_count(path, len(entries))
    _check_size(path, sum(entry.file_size for entry in entries))
    encoding = _zip_encoding(entries)
    for entry in entries:
        name = _zip_name(entry, encoding)
        shown = str(PurePosixPath(name.replace("\\", "/")))  # old Windows programs write those
        if entry.is_dir():
            found.folders.append(shown)
        elif _points_out(name):
            found.left_out.append(("points_out", name))
        else:
            read = partial(_read_zipped, archive, entry)
            found.members.append(Member(shown, read, (entry.file_size, entry.CRC)))
    return found


def _check_count(path: Path, count: int) -> None:
    if count > MAX_ENTRIES:
        raise NeocogError(f"{path} holds more than {MAX_ENTRIES:,} files and folders.", BY_FOLDER)


def _check_size(path: Path, unpacked: int) -> None:
    most = UNPACKED_LEAST + UNPACKED_RATIO * path.stat().st_size
    if unpacked > most:
        raise NeocogError(f"{path} unpacks to more than {most / 1e9:.0f} GB (a bomb?).", BY_FOLDER)


def _zip_encoding(entries: list[zipfile.ZipInfo]) -> str:
    """What the names without the UTF-8 flag are written in, by all of them: often it is GBK."""
    raw = b"/".join(e.orig_filename.encode("cp437", "ignore") for e in entries if _is_odd(e))
    for encoding in ("utf-8", "gb18030"):
        try:
            raw.decode(encoding)
            return encoding
        except UnicodeDecodeError:
            continue
    return "cp437"


def _is_odd(entry: zipfile.ZipInfo) -> bool:
    return not entry.flag_bits & 0x800 and not entry.filename.isascii()


def _zip_name(entry: zipfile.ZipInfo, encoding: str) -> str:
    """The name as its writer meant it: without the flag, zipfile reads all names as cp437."""
    if not _is_odd(entry):
        return entry.filename
    return entry.filename.encode("cp437", "ignore").decode(encoding, "replace")


def _read_zipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > MEMBER_LEAST + UNPACKED_RATIO * entry.compress_size:
        raise NeocogError(
            f"the file unpacks to more than {UNPACKED_RATIO} times its size (a bomb?)"
        )
    try:
        with archive.open(entry) as file:
            return file.read(MAX_BYTES + 1)
    except NotImplementedError as error:  # a RuntimeError, too, but of an unknown packing
        raise NeocogError(
            f"the file in the archive cannot be unpacked ({briefly(error)})"
        ) from None
    except RuntimeError:  # zipfile's way to say that a password is needed
        raise NeocogError("the file is locked with a password") from None
    except Exception as error:  # zlib.error, lzma.LZMAError, ...: each packing has its own
        raise NeocogError(f"the file in the archive is damaged ({briefly(error)})") from None


class _Unpacked:
    """What was in a packed tar file, in a nameless file, for as long as a member can be read."""

    def __init__(self, path: Path) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the last member
        self.lock = threading.Lock()
        try:
            with tarfile.open(path) as packed:
                unpacked = cast(IO[bytes], packed.fileobj)
                unpacked.seek(0)
                while block := unpacked.read(2**20):
                    self.file.write(block)
                    _check_size(path, self.file.tell())
        except BaseException:
            self.file.close()
            raise
        self.file.seek(0)

    def __del__(self) -> None:
        self.file.close()

    def read_at(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset` on."""
        with self.lock:
            self.file.seek(offset)
            return self.file.read(size)


def _tar(path: Path) -> _Found:
    time = path.stat().st_mtime_ns
    read_at = partial(_read_at, path)
    # A packed tar can be read from its beginning only: it is unpacked once.
    unpacked = None if path.name.lower().endswith(".tar") else _Unpacked(path)
    if unpacked:
        read_at = unpacked.read_at  # type: ignore[assignment]
    found = _Found()
    with (
        nullcontext(unpacked.file) if unpacked else path.open("rb") as plain,
        tarfile.open(fileobj=plain, mode="r:") as archive,
    ):
        for count, entry in enumerate(archive, start=1):
            _check_count(path, count)
            if entry.isdir():
                found.folders.append(str(PurePosixPath(entry.name)))
            elif _points_out(entry.name):
                found.left_out.append(("points_out", entry.name))
            elif not entry.isreg():
                found.left_out.append(("link", entry.name))
            else:
                name = str(PurePosixPath(entry.name))
                read = partial(read_at, entry.offset_data, min(entry.size, MAX_BYTES + 1))
                found.members.append(Member(name, read, (entry.size, time + entry.offset_data)))
    return found


def _read_at(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
