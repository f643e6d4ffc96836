"""Pictures decoded once: brought to a recipe's size, and kept on disk with what was seen of them.

A pack is kept for each data set and each rule. It is keyed by content: a file that changed is
decoded anew, one that was renamed is not.
"""

import atexit
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.cache import cache_folder, features_folder
from neocog.data.decode import (
    EMPTY,
    PASSING,
    THUMB,
    TOO_LARGE,
    Facts,
    examine,
    quietly,
    read_bytes,
)
from neocog.data.images import Rows
from neocog.data.listing import Listing, Picture
from neocog.data.preprocess import Preprocessing
from neocog.errors import NeocogError
from neocog.files import write_atomic

DECODING = 2  # counted up where the same file and rule give other pixels: what was kept is stale
MEMORY_BYTES = 2**30  # pictures that take more stay on disk, and are read from there batch by batch
TRIES = 3  # where other processes replace the same pack
CHUNK = 256  # pictures decoded at a time: what is in memory while a pack is written

Reading = Callable[[int, int], None]  # told (pictures read, pictures in all)
# What is in a file: facts, pixels and thumb; a line why not; None where it was met before.
_Result = tuple[Facts, NDArray[np.uint8], NDArray[np.uint8]] | str | None


@dataclass(frozen=True)
class Decoded:
    """A listing's pictures, in its order, as far as they could be decoded.

    `facts` are what `decode.examine` found, or one line about why the picture cannot be used; only
    the `usable` have a place in `images`, uint8, N x H x W x C, and in `thumbs`, N x 32 x 32.
    `digests` are of the files' contents.
    """

    facts: list[Facts | str]
    digests: list[str]
    images: Rows
    thumbs: NDArray[np.uint8]
    usable: NDArray[np.int64]
    folder: Path

    def remembered(self, make: Callable[[], list[list[int]]]) -> list[list[int]]:
        """What `make` finds in these pictures, kept for as long as they are the same."""
        key = hashlib.sha256(repr(self.digests).encode(errors="replace")).hexdigest()
        file = self.folder / "near.json"
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(file.read_text("utf-8"))
            if kept["digests"] == key:
                return list(kept["found"])
        found = make()
        with suppress(OSError):
            write_atomic(file, json.dumps({"digests": key, "found": found}))
        return found


def packs_folder() -> Path:
    """Where decoded pictures are kept."""
    return cache_folder() / "photos"


def can_keep() -> bool:
    """Whether what was decoded lasts longer than this process."""
    return not _passing_folder.cache_info().currsize


def clear() -> int:
    """Delete decoded pictures and features that are kept, and say how many bytes that were."""
    freed = 0
    for folder in (packs_folder(), cache_folder() / "decoded", features_folder()):
        for file in sorted(folder.glob("**/*"), reverse=True):
            with suppress(OSError):
                freed += file.stat().st_size if file.is_file() else 0
                file.unlink() if file.is_file() else file.rmdir()
    return freed


def decode(listing: Listing, rule: Preprocessing, reading: Reading | None = None) -> Decoded:
    """Every picture of a listing, brought to a form by `rule.fit_picture`; all cores are used.

    What was decoded before is taken from the disk. Where nothing can be kept there, it is for as
    long as the process lasts. Raises NeocogError where there is no room.
    """
    made_by = [DECODING, rule.image_size, rule.channels, rule.fit, rule.box, rule.resize]
    made_by += [rule.dark_background, rule.shrink_to]
    key = hashlib.sha256(repr((str(listing.root.resolve()), made_by)).encode()).hexdigest()[:32]
    shape = (*rule.image_size, rule.channels)
    folder = packs_folder() / key
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        folder = _passing_folder() / key
        folder.mkdir(exist_ok=True)
    for attempt in range(TRIES):
        try:
            return _decoded(_Pack(folder, shape), listing, rule, reading)
        except FileNotFoundError:  # another process has just replaced the pack
            if attempt == TRIES - 1:
                raise
        except OSError as error:
            raise NeocogError(
                f"Decoded pictures cannot be kept in {folder} ({error.strerror or error}).",
                "Name another place: NEOCOG_CACHE=FOLDER",
            ) from None
    raise AssertionError("unreachable")


def _decoded(
    pack: "_Pack", listing: Listing, rule: Preprocessing, reading: Reading | None
) -> Decoded:
    digests = _brought_up_to_date(pack, listing.pictures, rule, reading)
    rows = [pack.row_of.get(digest, -1) for digest in digests]
    facts = [
        pack.facts[row] if row >= 0 else pack.unread[picture.path]
        for row, picture in zip(rows, listing.pictures, strict=True)
    ]
    usable = np.array([n for n, f in enumerate(facts) if not isinstance(f, str)], dtype=np.int64)
    places = np.array([pack.place[rows[n]] for n in usable], dtype=np.int64)
    images, thumbs = pack.open()
    return Decoded(facts, digests, Rows(images, places), thumbs[places], usable, pack.folder)


@cache
def _passing_folder() -> Path:
    """A folder that goes with this process, where nothing can be kept."""
    folder = Path(tempfile.mkdtemp(prefix="neocog-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _inside(folder: Path, name: str) -> Path:
    """The file of a pack that its index names. Raises ValueError where that would be elsewhere."""
    path = folder / name
    if name != PurePath(name).name or "\\" in name or path.is_symlink():
        raise ValueError(f"{name} is no file of {folder}")
    return path


class _Pack:
    """One data set's decoded pictures: a file of pixels, one of thumbs, and a JSON index of them.

    `facts` has a row for every content that was met; `place` is where its pixels are, -1 for none.
    `unread` are files that could not be read, by path: they may be readable the next time.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        self.folder, self.shape = folder, shape
        self.facts: list[Facts | str] = []
        self.place: list[int] = []
        self.row_of: dict[str, int] = {}  # by the content's digest
        self.stamps: dict[str, tuple[list[int], str]] = {}  # by path: the stamp and the digest
        self.unread: dict[str, str] = {}
        self.pixels = self.small = folder / "none"
        self.count = 0
        self.files: tuple[IO[bytes], ...] = ()  # that are being written
        with suppress(OSError, ValueError, KeyError, TypeError):
            self._read()
        self.before = (self.pixels, self.small)

    def _read(self) -> None:
        index = json.loads((self.folder / "index.json").read_text("utf-8"))
        pixels, small = (_inside(self.folder, index[name]) for name in ("pixels", "thumbs"))
        count = sum(place >= 0 for place in index["place"])
        if count and pixels.stat().st_size != count * int(np.prod(self.shape)):
            return
        facts = [Facts(**f) if isinstance(f, dict) else str(f) for f in index["facts"]]
        self.facts, self.place, self.row_of = facts, index["place"], index["row_of"]
        self.stamps = {path: (stamp, digest) for path, (stamp, digest) in index["stamps"].items()}
        self.pixels, self.small, self.count = pixels, small, count

    def open(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """All pixels and thumbs that are kept, memory-mapped."""
        if not self.count:
            return np.zeros((0, *self.shape), np.uint8), np.zeros((0, THUMB, THUMB), np.uint8)
        pixels = np.memmap(self.pixels, np.uint8, "r", shape=(self.count, *self.shape))
        return pixels, np.memmap(self.small, np.uint8, "r", shape=(self.count, THUMB, THUMB))

    def add(self, digest: str, result: _Result) -> None:
        """Take in what was found in a file whose content has this digest."""
        if digest in self.row_of or result is None:
            return
        if not isinstance(result, str) and not self.files:
            self._begin_files()
        self.row_of[digest] = len(self.facts)
        if isinstance(result, str):
            self.facts.append(result)
            self.place.append(-1)
            return
        facts, image, thumb = result
        self.facts.append(facts)
        self.place.append(self.count)
        self.count += 1
        for rows, file in zip((image, thumb), self.files, strict=True):
            file.write(rows.tobytes())

    def _begin_files(self) -> None:
        """New files for pixels and thumbs, which begin with what the pack has."""
        before = self.open()
        stem = f"{os.getpid()}-{os.urandom(4).hex()}"
        self.pixels, self.small = self.folder / f"{stem}.pixels", self.folder / f"{stem}.thumbs"
        self.files = (self.pixels.open("wb"), self.small.open("wb"))
        for begin in range(0, len(before[0]), CHUNK):
            for rows, file in zip(before, self.files, strict=True):
                file.write(rows[begin : begin + CHUNK].tobytes())

    def close(self, discard: bool = False) -> None:
        """Close the files that are being written, and delete them where they are not whole."""
        for file in self.files:
            file.close()
            if discard:
                Path(file.name).unlink(missing_ok=True)

    def save(self) -> None:
        """Write the index; what it names is complete. What the index before it named goes."""
        index: dict[str, Any] = {
            "pixels": self.pixels.name,
            "thumbs": self.small.name,
            "facts": [asdict(f) if isinstance(f, Facts) else f for f in self.facts],
            "place": self.place,
            "row_of": self.row_of,
            "stamps": self.stamps,
        }
        write_atomic(self.folder / "index.json", json.dumps(index))
        if self.files:
            for file in self.before:  # a process that still reads them keeps them open
                file.unlink(missing_ok=True)


def _brought_up_to_date(
    pack: _Pack, pictures: list[Picture], rule: Preprocessing, reading: Reading | None
) -> list[str]:
    """The digest of every picture; what the pack has not is decoded and added to it."""
    known = {
        picture.path: pack.stamps[picture.path][1]
        for picture in pictures
        if pack.stamps.get(picture.path, (None, ""))[0] == list(picture.stamp)
    }
    wanted = [picture for picture in pictures if picture.path not in known]
    if wanted:
        _check_room(pack, len(wanted))
        try:
            known |= dict(_add(pack, wanted, rule, reading))
        except BaseException:
            pack.close(discard=True)
            raise
        pack.close()
        pack.stamps = {p.path: (list(p.stamp), known[p.path]) for p in pictures if known[p.path]}
        pack.save()
    return [known[picture.path] for picture in pictures]


def _check_room(pack: _Pack, count: int) -> None:
    """Raise NeocogError where the disk has no room for `count` more pictures."""
    needed = (pack.count + count) * int(np.prod(pack.shape))
    free = shutil.disk_usage(pack.folder).free
    if needed > free:
        raise NeocogError(
            f"{count:,} decoded pictures take {needed / 1e9:.1f} GB, and {pack.folder} has room "
            f"for {free / 1e9:.1f} GB.",
            "Name a larger disk in NEOCOG_CACHE, or delete what is kept: neocog data --clear-cache",
        )


def _add(
    pack: _Pack, wanted: list[Picture], rule: Preprocessing, reading: Reading | None
) -> Iterator[tuple[str, str]]:
    """Read and decode pictures, add what is new to the pack's files, and say their digests."""

    def read(picture: Picture) -> tuple[str, _Result]:
        return _read(pack, picture, rule)

    with quietly(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for begin in range(0, len(wanted), CHUNK):
            chunk = wanted[begin : begin + CHUNK]
            for picture, (digest, result) in zip(chunk, pool.map(read, chunk), strict=True):
                if digest:
                    pack.add(digest, result)
                else:
                    pack.unread[picture.path] = str(result)
                yield picture.path, digest
            if reading:
                reading(min(begin + CHUNK, len(wanted)), len(wanted))


def _read(pack: _Pack, picture: Picture, rule: Preprocessing) -> tuple[str, _Result]:
    """The digest of a picture's file, and what is in it where the pack has not met it.

    A file that cannot be read has no digest.
    """
    try:
        data = read_bytes(picture.source)
    except NeocogError as error:
        refused = error.message == EMPTY or error.message.startswith(TOO_LARGE)
        return (f"{error.message} {picture.stamp}" if refused else ""), error.message
    digest = hashlib.sha256(data).hexdigest()[:32]
    if digest in pack.row_of:
        return digest, None
    try:
        image, facts, thumb = examine(data, rule.shrink_to, rule.fit_picture)
        return digest, (facts, image, thumb)
    except NeocogError as error:
        return ("" if error.message in PASSING else digest), error.message
