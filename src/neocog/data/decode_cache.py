"""Images decoded once: brought to a recipe's size, and kept on disk with what was seen of them.

A pack is kept for each data set and each rule. It is keyed by content: a file that changed is
decoded anew, one that was renamed is not.
"""

import atexit
import hashlib
import logging
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.cache import cache_folder, features_folder, keep_json, read_json
from neocog.data.decode import (
    EMPTY,
    PASSING,
    THUMB,
    TOO_LARGE,
    ImageMetadata,
    examine,
    quietly,
    read_bytes,
)
from neocog.data.images import LazyImages
from neocog.data.preprocess import Preprocessing
from neocog.data.sources.index import DatasetIndex, Sample
from neocog.errors import NeocogError
from neocog.storage.atomic import NewFile, make_folder, sweep, sync_folder, unique_name

log = logging.getLogger(__name__)

PACK = re.compile(r"(?P<process>\d+)-[0-9a-f]{8}\.(pixels|thumbnails)")
TEMPORARY_FOLDERS = re.compile(r"neocog-(?P<process>\d+)-[a-z0-9_]{8}")  # temporary folders
DECODING = 2  # counted up where the same file and rule give other pixels: what was kept is stale
MEMORY_BYTES = 2**30  # images that take more stay on disk, and are read from there batch by batch
TRIES = 3  # where other processes replace the same pack
CHUNK = 256  # images decoded at a time: what is in memory while a pack is written

Reading = Callable[[int, int], None]  # told (images read, images in all)
# What is in a file: facts, pixels and thumb; a line why not; None where it was met before.
_Result = tuple[ImageMetadata, NDArray[np.uint8], NDArray[np.uint8]] | str | None


@dataclass(frozen=True)
class DecodedDataset:
    """A listing's images, in its order, as far as they could be decoded.

    `facts` are what `decode.examine` found, or one line about why the image cannot be used; only
    the `usable` have a place in `images`, uint8, N x H x W x C, and in `thumbnails`, N x 32 x 32.
    `digests` are of the files' contents.
    """

    facts: list[ImageMetadata | str]
    digests: list[str]
    images: LazyImages
    thumbnails: NDArray[np.uint8]
    usable: NDArray[np.int64]
    folder: Path

    def remembered(self, make: Callable[[], list[list[int]]]) -> list[list[int]]:
        """What `make` finds in these images, kept for as long as they are the same."""
        key = hashlib.sha256(repr(self.digests).encode(errors="replace")).hexdigest()
        file = self.folder / "near.json"
        with suppress(KeyError, TypeError):
            kept = read_json(file)
            if kept and kept["digests"] == key:
                return list(kept["found"])
        found = make()
        with suppress(OSError):
            keep_json(file, {"digests": key, "found": found})
        return found


def packs_folder() -> Path:
    """Where decoded images are kept."""
    return cache_folder() / "photos"


def can_keep() -> bool:
    """Whether what was decoded lasts longer than this process."""
    return not _temporary_folder.cache_info().currsize


def clear() -> int:
    """Delete decoded images and features that are kept, and say how many bytes that were."""
    freed = 0
    for folder in (packs_folder(), cache_folder() / "decoded", features_folder()):
        for file in sorted(folder.glob("**/*"), reverse=True):
            with suppress(OSError):
                freed += file.stat().st_size if file.is_file() else 0
                file.unlink() if file.is_file() else file.rmdir()
    return freed


def decode(
    listing: DatasetIndex, rule: Preprocessing, reading: Reading | None = None
) -> DecodedDataset:
    """Every image of a listing, brought to a form by `rule.fit_image`; all cores are used.

    What was decoded before is taken from the disk. Where nothing can be kept there, it is for as
    long as the process lasts. Raises NeocogError where there is no room.
    """
    made_by = [DECODING, rule.image_size, rule.channels, rule.fit, rule.box, rule.resize]
    made_by += [rule.dark_background, rule.shrink_to]
    key = hashlib.sha256(repr((str(listing.root.resolve()), made_by)).encode()).hexdigest()[:32]
    shape = (*rule.image_size, rule.channels)
    folder = packs_folder() / key
    sweep_left_overs(cache_folder())
    try:
        make_folder(folder)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        folder = _temporary_folder() / key
    for _ in range(TRIES):
        try:
            make_folder(folder)
            return _decoded(PixelStore(folder, shape), listing, rule, reading)
        except FileNotFoundError:  # another process has just replaced or deleted the pack
            continue
        except OSError as error:
            raise NeocogError(
                f"Decoded images cannot be kept in {folder} ({error.strerror or error}).",
                "Name another place: NEOCOG_CACHE=FOLDER",
            ) from None
    raise NeocogError(
        f"Decoded images in {folder} were deleted while they were in use, {TRIES} times.",
        "Wait until no other process runs neocog data --clear-cache, then try again.",
    )


def _decoded(
    pack: "PixelStore", listing: DatasetIndex, rule: Preprocessing, reading: Reading | None
) -> DecodedDataset:
    digests = _sync(pack, listing.samples, rule, reading)
    rows = [pack.row_of.get(digest, -1) for digest in digests]
    facts = [
        pack.facts[row] if row >= 0 else pack.unread[sample.path]
        for row, sample in zip(rows, listing.samples, strict=True)
    ]
    usable = np.array([n for n, f in enumerate(facts) if not isinstance(f, str)], dtype=np.int64)
    places = np.array([pack.place[rows[n]] for n in usable], dtype=np.int64)
    images, thumbnails = pack.open()
    return DecodedDataset(
        facts, digests, LazyImages(images, places), thumbnails[places], usable, pack.folder
    )


@cache
def _temporary_folder() -> Path:
    """A folder that goes with this process, where nothing can be kept."""
    folder = Path(tempfile.mkdtemp(prefix=f"neocog-{os.getpid()}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def sweep_left_overs(folder: Path) -> None:
    """Delete what killed processes left in the cache `folder` and among temporary folders, once."""
    sweep(Path(tempfile.gettempdir()), TEMPORARY_FOLDERS)
    for below, _, _ in os.walk(folder):
        sweep(Path(below))
    for path in (folder / "photos").glob("*"):
        try:
            text = (path / "index.json").read_text("utf-8", errors="replace")
        except FileNotFoundError:
            text = ""  # what no index names is of no use
        except OSError:
            continue
        sweep(path, PACK, keep=text)


class PixelStore:
    """One data set's decoded images: a file of pixels, one of thumbnails, and a JSON index of them.

    `facts` has a row for every content that was met; `place` is where its pixels are, -1 for none,
    and `checks` the checksum of its pixels and thumb. `unread` are files that could not be read, by
    path: they may be readable the next time.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        self.folder, self.shape = folder, shape
        self.facts: list[ImageMetadata | str] = []
        self.place: list[int] = []
        self.row_of: dict[str, int] = {}  # by the content's digest
        self.stamps: dict[str, tuple[list[int], str]] = {}  # by path: the stamp and the digest
        self.unread: dict[str, str] = {}
        self.checks: list[int] = []
        self.pixels = self.small = folder / "none"
        self.count = 0
        self.files: tuple[NewFile, ...] = ()  # that are being written
        try:
            self._read()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s is damaged (%s); its images are decoded again.", folder, error)
        self.before = (self.pixels, self.small)

    def _read(self) -> None:
        """Take over what the index names, or raise with nothing taken over."""
        index = read_json(self.folder / "index.json")
        if index is None:
            return
        facts = [ImageMetadata(**f) if isinstance(f, dict) else str(f) for f in index["facts"]]
        place, checks, row_of = index["place"], index["checks"], dict(index["row_of"])
        stamps = {path: (stamp, digest) for path, (stamp, digest) in index["stamps"].items()}
        places = sorted(n for n in place if n >= 0)
        count = len(places)
        if not len(facts) == len(place) == len(checks) or places != list(range(count)):
            raise ValueError("its index contradicts itself")
        if not set(row_of.values()) <= set(range(len(facts))):
            raise ValueError("its index contradicts itself")
        pixels, small = self.pixels, self.small
        if count:
            names = (str(index["pixels"]), str(index["thumbnails"]))
            if not all(map(PACK.fullmatch, names)):  # others may lie outside the folder
                raise ValueError("its index names files that are not its own")
            pixels, small = (self.folder / name for name in names)
            if pixels.is_symlink() or small.is_symlink():
                raise ValueError("its index names links")
            sizes = [pixels.stat().st_size, small.stat().st_size]
            if sizes != [count * int(np.prod(self.shape)), count * THUMB * THUMB]:
                raise ValueError("its files are not as long as they were")
        self.facts, self.place, self.checks, self.row_of = facts, place, checks, row_of
        self.stamps, self.pixels, self.small, self.count = stamps, pixels, small, count
        self._drop_damaged()

    def _drop_damaged(self) -> None:
        """Forget images whose pixels are not as they were written: they are decoded again."""
        images, thumbnails = map(np.asarray, self.open())

        def damaged(digests: list[str]) -> list[str]:
            rows = [self.row_of[digest] for digest in digests]
            return [
                digest
                for digest, row, n in zip(digests, rows, (self.place[r] for r in rows), strict=True)
                if n >= 0 and _checksum(images[n], thumbnails[n]) != self.checks[row]
            ]

        names = list(self.row_of)
        chunks = [names[begin : begin + CHUNK] for begin in range(0, len(names), CHUNK)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = [digest for some in pool.map(damaged, chunks) for digest in some]
        for digest in found:
            del self.row_of[digest]
        if found:
            what = "1 image is" if len(found) == 1 else f"{len(found):,} images are"
            log.warning("%s damaged in %s and decoded again.", what, self.folder)

    def open(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """All pixels and thumbnails that are kept, memory-mapped."""
        if not self.count:
            return np.zeros((0, *self.shape), np.uint8), np.zeros((0, THUMB, THUMB), np.uint8)
        pixels = np.memmap(self.pixels, np.uint8, "r", shape=(self.count, *self.shape))
        return pixels, np.memmap(self.small, np.uint8, "r", shape=(self.count, THUMB, THUMB))

    def has(self, sample: Sample) -> bool:
        """Whether a file is as it was when it was decoded, and what came of it is here."""
        stamp, digest = self.stamps.get(sample.path, ([], ""))
        return stamp == list(sample.stamp) and digest in self.row_of

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
            self.checks.append(0)
            return
        facts, image, thumb = result
        self.facts.append(facts)
        self.place.append(self.count)
        self.checks.append(_checksum(image, thumb))
        self.count += 1
        for rows, file in zip((image, thumb), self.files, strict=True):
            file.write(rows.tobytes())

    def _begin_files(self) -> None:
        """New files for pixels and thumbnails, which begin with what the pack has."""
        before = self.open()
        stem = unique_name()
        pixels, small = self.folder / f"{stem}.pixels", self.folder / f"{stem}.thumbnails"
        for path in (pixels, small):
            self.files = (*self.files, NewFile(path))
        self.pixels, self.small = pixels, small
        for begin in range(0, len(before[0]), CHUNK):
            for rows, file in zip(before, self.files, strict=True):
                file.write(rows[begin : begin + CHUNK].tobytes())

    def close(self) -> None:
        """Wait until the files that are being written are on disk."""
        for file in self.files:
            file.close()
        if self.files:
            sync_folder(self.folder)

    def discard(self) -> None:
        """Delete the files that are being written."""
        for file in self.files:
            file.discard()

    def save(self) -> None:
        """Write the index; what it names is complete. What the index before it named goes."""
        index: dict[str, Any] = {
            "pixels": self.pixels.name,
            "thumbnails": self.small.name,
            "facts": [asdict(f) if isinstance(f, ImageMetadata) else f for f in self.facts],
            "place": self.place,
            "checks": self.checks,
            "row_of": self.row_of,
            "stamps": self.stamps,
        }
        keep_json(self.folder / "index.json", index)
        if self.files:
            for file in self.before:  # a process that still reads them keeps them open
                with suppress(OSError):  # Windows does not delete open files: `sweep` does, later
                    file.unlink()


def _checksum(image: NDArray[np.uint8], thumb: NDArray[np.uint8]) -> int:
    """A CRC-32 of an image's pixels and thumb."""
    return zlib.crc32(
        np.ascontiguousarray(thumb).data, zlib.crc32(np.ascontiguousarray(image).data)
    )


def _sync(
    pack: PixelStore, samples: list[Sample], rule: Preprocessing, reading: Reading | None
) -> list[str]:
    """The digest of every image; what the pack has not is decoded and added to it."""
    known = {sample.path: pack.stamps[sample.path][1] for sample in samples if pack.has(sample)}
    wanted = [sample for sample in samples if sample.path not in known]
    if wanted:
        _check_room(pack, len(wanted))
        try:
            known |= dict(_add(pack, wanted, rule, reading))
            pack.close()
            stamps = {p.path: (list(p.stamp), known[p.path]) for p in samples if known[p.path]}
            pack.stamps = stamps
            pack.save()
        except BaseException:
            pack.discard()
            raise
    return [known[sample.path] for sample in samples]


def _check_room(pack: PixelStore, count: int) -> None:
    """Raise NeocogError where the disk has no room for `count` more images."""
    needed = (pack.count + count) * int(np.prod(pack.shape))
    free = shutil.disk_usage(pack.folder).free
    if needed > free:
        raise NeocogError(
            f"{count:,} decoded images take {needed / 1e9:.1f} GB, and {pack.folder} has room "
            f"for {free / 1e9:.1f} GB.",
            "Name a larger disk in NEOCOG_CACHE, or delete what is kept: neocog data --clear-cache",
        )


def _add(
    pack: PixelStore, wanted: list[Sample], rule: Preprocessing, reading: Reading | None
) -> Iterator[tuple[str, str]]:
    """Read and decode images, add what is new to the pack's files, and say their digests."""

    def read(sample: Sample) -> tuple[str, _Result]:
        return _read(pack, sample, rule)

    with quietly(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for begin in range(0, len(wanted), CHUNK):
            chunk = wanted[begin : begin + CHUNK]
            for sample, (digest, result) in zip(chunk, pool.map(read, chunk), strict=True):
                if digest:
                    pack.add(digest, result)
                else:
                    pack.unread[sample.path] = str(result)
                yield sample.path, digest
            if reading:
                reading(min(begin + CHUNK, len(wanted)), len(wanted))


def _read(pack: PixelStore, sample: Sample, rule: Preprocessing) -> tuple[str, _Result]:
    """The digest of an image's file, and what is in it where the pack has not met it.

    A file that cannot be read has no digest.
    """
    try:
        data = read_bytes(sample.source)
    except NeocogError as error:
        refused = error.message == EMPTY or error.message.startswith(TOO_LARGE)
        return (f"{error.message} {sample.stamp}" if refused else ""), error.message
    digest = hashlib.sha256(data).hexdigest()[:32]
    if digest in pack.row_of:
        return digest, None
    try:
        image, facts, thumb = examine(data, rule.shrink_to, rule.fit_image)
        return digest, (facts, image, thumb)
    except NeocogError as error:
        return ("" if error.message in PASSING else digest), error.message
