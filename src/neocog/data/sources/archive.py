"""Read images in zip and tar files in place, without extracting files by their names."""

import bz2
import gzip
import lzma
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

from neocog.data.decode import MAX_BYTES, MAX_REASON_CHARACTERS
from neocog.data.sources.index import (
    DatasetIndex,
    Sample,
    is_system_file,
    parse_layout,
    sorted_classes,
)
from neocog.errors import NeocogError
from neocog.json_fields import short

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
SUFFIXES = (".zip", *TAR_SUFFIXES)
# What an archive may unpack to: this limit plus this ratio of its size. Photos hardly compress.
MIN_UNPACKED_LIMIT_BYTES, MAX_COMPRESSION_RATIO = 2**30, 100
MIN_MEMBER_LIMIT_BYTES = 16 * 2**20  # a small BMP drawing may compress better
MAX_ENTRIES = 200_000
UNPACK_HINT = "Unpack it yourself if you trust it, and use the folder."


@dataclass(frozen=True)
class ArchiveMember:
    """A file in an archive: `read` returns its bytes; `stamp` changes with its content."""

    name: str
    read: Callable[[], bytes]
    stamp: tuple[int, int]


def can_read(path: Path) -> bool:
    """Whether `path` is a file with the suffix of a zip or tar file."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def read(path: Path, allow_outside: bool = False) -> DatasetIndex:  # noqa: ARG001 - as all readers
    """Index a zip or tar file of class folders, as `folder.read` does for a folder."""
    archived, unused = members(path)
    by_name = {member.name: member for member in archived}
    places, misplaced = parse_layout(by_name, path)
    samples = [
        Sample(p.name, p.label, by_name[p.name].read, by_name[p.name].stamp, p.split)
        for p in places
    ]
    unused = [(kind, n) for kind, n in unused if kind != "empty_folder" or not is_system_file(n)]
    return DatasetIndex(path, samples, sorted_classes(samples), [*unused, *misplaced])


def members(path: Path) -> tuple[list[ArchiveMember], list[tuple[str, str]]]:
    """List the files in an archive, and what is unused: links, paths that leave it, empty folders.

    The members can be read from any thread. Raises NeocogError if the archive is damaged.
    """
    try:
        contents = _zip(path) if path.name.lower().endswith(".zip") else _tar(path)
        unused = contents.unused + [("empty_folder", name) for name in contents.empty_folders()]
        return contents.members, unused
    except NeocogError:
        raise
    except Exception as error:  # zlib.error, lzma.LZMAError, ...: one per format
        raise NeocogError(
            f"{path} is damaged or not an archive ({short(error, MAX_REASON_CHARACTERS)})."
        ) from None


@dataclass
class _Contents:
    """The contents of an archive: files, folders, and (kind, name) of unused entries."""

    members: list[ArchiveMember] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    unused: list[tuple[str, str]] = field(default_factory=list)

    def empty_folders(self) -> list[str]:
        """The folders that have an entry of their own and contain nothing."""
        names = [
            *self.folders,
            *(m.name for m in self.members),
            *(name for _, name in self.unused),
        ]
        full = {str(folder) for name in names for folder in PurePosixPath(name).parents}
        empty = (name for name in self.folders if name not in full and not _leaves_archive(name))
        return list(dict.fromkeys(empty))


def _leaves_archive(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in PurePosixPath(name.replace("\\", "/")).parts


def _zip(path: Path) -> _Contents:
    archive, contents = zipfile.ZipFile(path), _Contents()
    entries = archive.infolist()
    _check_count(path, len(entries))
    _check_unpacked_size(path, sum(entry.file_size for entry in entries))
    encoding = _zip_encoding(entries)
    for entry in entries:
        name = _zip_name(entry, encoding)
        shown = str(PurePosixPath(name.replace("\\", "/")))  # written by old Windows programs
        if entry.is_dir():
            contents.folders.append(shown)
        elif _leaves_archive(name):
            contents.unused.append(("points_out", name))
        else:
            read = partial(_read_zipped, archive, entry)
            contents.members.append(ArchiveMember(shown, read, (entry.file_size, entry.CRC)))
    return contents


def _check_count(path: Path, count: int) -> None:
    if count > MAX_ENTRIES:
        raise NeocogError(f"{path} holds more than {MAX_ENTRIES:,} files and folders.", UNPACK_HINT)


def _check_unpacked_size(path: Path, unpacked: int) -> None:
    most = MIN_UNPACKED_LIMIT_BYTES + MAX_COMPRESSION_RATIO * path.stat().st_size
    if unpacked > most:
        raise NeocogError(
            f"{path} unpacks to more than {most / 1e9:.0f} GB (a bomb?).", UNPACK_HINT
        )


def _zip_encoding(entries: list[zipfile.ZipInfo]) -> str:
    """The encoding of the names without the UTF-8 flag, determined for all of them at once."""
    raw = b"/".join(
        e.orig_filename.encode("cp437", "ignore") for e in entries if _has_unknown_encoding(e)
    )
    for encoding in ("utf-8", "gb18030"):
        try:
            raw.decode(encoding)
            return encoding
        except UnicodeDecodeError:
            continue
    return "cp437"


def _has_unknown_encoding(entry: zipfile.ZipInfo) -> bool:
    return not entry.flag_bits & 0x800 and not entry.filename.isascii()


def _zip_name(entry: zipfile.ZipInfo, encoding: str) -> str:
    """The decoded name of an entry: `zipfile` decodes names without the UTF-8 flag as cp437."""
    if not _has_unknown_encoding(entry):
        return entry.filename
    return entry.filename.encode("cp437", "ignore").decode(encoding, "replace")


def _read_zipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > MIN_MEMBER_LIMIT_BYTES + MAX_COMPRESSION_RATIO * entry.compress_size:
        raise NeocogError(
            f"the file unpacks to more than {MAX_COMPRESSION_RATIO} times its size (a bomb?)"
        )
    try:
        with archive.open(entry) as file:
            return file.read(MAX_BYTES + 1)
    except NotImplementedError as error:  # a subclass of RuntimeError
        raise NeocogError(
            f"the file in the archive cannot be unpacked ({short(error, MAX_REASON_CHARACTERS)})"
        ) from None
    except RuntimeError:  # zipfile raises it if a password is required
        raise NeocogError("the file is locked with a password") from None
    except Exception as error:  # zlib.error, lzma.LZMAError, ...: one per format
        raise NeocogError(
            f"the file in the archive is damaged ({short(error, MAX_REASON_CHARACTERS)})"
        ) from None


def decompressed(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressed if its first bytes are those of gzip, bzip2 or xz.

    Not `tarfile.open`, which reads the first header at once, and with it as much memory as a
    compressed header claims.
    """
    with path.open("rb") as file:
        beginning = file.read(6)
    if beginning.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(path))
    if beginning.startswith(b"BZh"):
        return bz2.open(path)
    return lzma.open(path) if beginning == b"\xfd7zXZ\0" else path.open("rb")


class _UnpackedTar:
    """A decompressed tar file in a temporary file, open while a member refers to it."""

    def __init__(self, path: Path) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the last member
        self.lock = threading.Lock()
        try:
            with decompressed(path) as unpacked:
                while block := unpacked.read(2**20):
                    self.file.write(block)
                    _check_unpacked_size(path, self.file.tell())
        except BaseException:
            self.file.close()
            raise
        self.file.seek(0)

    def __del__(self) -> None:
        self.file.close()

    def read_at(self, offset: int, size: int) -> bytes:
        """Read `size` bytes at `offset`."""
        with self.lock:
            self.file.seek(offset)
            return self.file.read(size)


def _tar(path: Path) -> _Contents:
    time = path.stat().st_mtime_ns
    read_at = partial(_read_at, path)
    # A compressed tar has no random access, so it is decompressed once.
    unpacked = None if path.name.lower().endswith(".tar") else _UnpackedTar(path)
    if unpacked:
        read_at = unpacked.read_at  # type: ignore[assignment]
    contents = _Contents()
    with (
        nullcontext(unpacked.file) if unpacked else path.open("rb") as plain,
        tarfile.open(fileobj=plain, mode="r:") as archive,
    ):
        for count, entry in enumerate(archive, start=1):
            _check_count(path, count)
            if entry.isdir():
                contents.folders.append(str(PurePosixPath(entry.name)))
            elif _leaves_archive(entry.name):
                contents.unused.append(("points_out", entry.name))
            elif not entry.isreg():
                contents.unused.append(("link", entry.name))
            else:
                name = str(PurePosixPath(entry.name))
                read = partial(read_at, entry.offset_data, min(entry.size, MAX_BYTES + 1))
                contents.members.append(
                    ArchiveMember(name, read, (entry.size, time + entry.offset_data))
                )
    return contents


def _read_at(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)
