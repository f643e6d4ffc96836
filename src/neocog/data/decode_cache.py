"""A disk cache of decoded, preprocessed images with their metadata and thumbnails.

There is one store per dataset and preprocessing. A file is looked up by path, size and time, then
by the digest of its content: a changed file is decoded again, a renamed one is not. A new version
is written next to the old one, and its index is renamed into place last, so that a process can go
on reading the old one.
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
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.decode import (
    THUMBNAIL_SIZE,
    ImageError,
    ImageErrorKind,
    ImageMetadata,
    UnreadableImage,
    decode_with_metadata,
    ignore_pillow_warnings,
    read_bytes,
)
from neocog.data.images import LazyImages
from neocog.data.preprocess import Preprocessing
from neocog.data.sources.index import DatasetIndex, Sample
from neocog.errors import NeocogError, WriteError
from neocog.progress import Progress, no_progress
from neocog.storage import cache
from neocog.storage.atomic import NewFile, make_folder, sweep, sync_folder, unique_name
from neocog.storage.checksummed import load_json, save_json

log = logging.getLogger(__name__)

STORE_FILE = re.compile(r"(?P<process>\d+)-[0-9a-f]{8}\.(pixels|thumbs)")
TEMPORARY_FOLDER = re.compile(r"neocog-(?P<process>\d+)-[a-z0-9_]{8}")
# Increment it if the same file and preprocessing give other pixels or other metadata: it
# invalidates the cache.
DECODER_VERSION = 3
KIND = "photos"  # of the entries in the cache
MAX_IN_MEMORY_BYTES = 2**30  # larger datasets stay on disk and are read batch by batch
MAX_ATTEMPTS = 3  # if other processes replace the same store
CHUNK = 256  # images decoded at a time: it bounds the memory

# Metadata, pixels and thumbnail; or why there are none; None if the content is stored already.
_Result = tuple[ImageMetadata, NDArray[np.uint8], NDArray[np.uint8]] | UnreadableImage | None


@dataclass(frozen=True)
class DecodedDataset:
    """The decoded images of a dataset, in the order of its index.

    `metadata` holds, for each sample, its ImageMetadata or why it cannot be decoded. `images`
    (uint8, `(N, H, W, C)`) and `thumbnails` (uint8, `(N, 32, 32)`) have a row for each of the
    `readable` samples only. `digests` are of the files' contents.
    """

    metadata: list[ImageMetadata | UnreadableImage]
    digests: list[str]
    images: LazyImages
    thumbnails: NDArray[np.uint8]
    readable: NDArray[np.int64]
    folder: Path

    def cached(self, compute: Callable[[], list[list[int]]]) -> list[list[int]]:
        """The groups that `compute` returns, cached while the images stay unchanged."""
        key = hashlib.sha256(repr(self.digests).encode(errors="replace")).hexdigest()
        file = self.folder / "near.json"
        with suppress(KeyError, TypeError):
            entry = load_json(file)
            if entry and entry["digests"] == key:
                return list(entry["found"])
        groups = compute()
        with suppress(OSError):
            save_json(file, {"digests": key, "found": groups})
        return groups


def decoded_folder() -> Path:
    """The folder of cached images."""
    return cache.folder_of(KIND)


def cache_is_persistent() -> bool:
    """Whether decoded images outlive this process."""
    return not _temporary_folder.cache_info().currsize


def decode(
    index: DatasetIndex, preprocessing: Preprocessing, progress: Progress = no_progress
) -> DecodedDataset:
    """Decode and preprocess every image of a dataset on all cores, using the disk cache.

    The stage of `progress` is `decode`, in images. If the cache is not writable, a temporary folder
    is used, which is deleted when the process exits. Raises NeocogError if the disk is full.
    """
    settings = [
        DECODER_VERSION,
        preprocessing.image_size,
        preprocessing.channels,
        preprocessing.fit,
        preprocessing.box,
        preprocessing.resize,
    ]
    settings += [preprocessing.dark_background, preprocessing.shrink_to]
    key = hashlib.sha256(repr((str(index.root.resolve()), settings)).encode()).hexdigest()[:32]
    shape = (*preprocessing.image_size, preprocessing.channels)
    folder = cache.entry(KIND, key)
    for kind in ("computed", "data", "weights"):
        sweep_leftovers(cache.location(kind))
    try:
        make_folder(folder)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        folder = _temporary_folder() / key
    for _ in range(MAX_ATTEMPTS):
        try:
            make_folder(folder)
            return _decoded_dataset(PixelStore(folder, shape), index, preprocessing, progress)
        except FileNotFoundError:  # another process replaced or deleted the store
            continue
        except OSError as error:
            raise WriteError(
                f"Decoded images cannot be cached in {folder} ({error.strerror or error}).",
                "Choose another folder: NEOCOG_CACHE=FOLDER",
            ) from None
    raise NeocogError(
        f"Decoded images in {folder} were deleted while they were in use, {MAX_ATTEMPTS} times.",
        "Wait until no other process runs neocog data --clear-cache, then try again.",
    )


def _decoded_dataset(
    store: "PixelStore",
    index: DatasetIndex,
    preprocessing: Preprocessing,
    progress: Progress,
) -> DecodedDataset:
    digests = _sync(store, index.samples, preprocessing, progress)
    rows = [store.row_of.get(digest, -1) for digest in digests]
    metadata = [
        store.metadata[row] if row >= 0 else store.unreadable[sample.path]
        for row, sample in zip(rows, index.samples, strict=True)
    ]
    readable = np.array(
        [n for n, f in enumerate(metadata) if isinstance(f, ImageMetadata)], dtype=np.int64
    )
    places = np.array([store.positions[rows[n]] for n in readable], dtype=np.int64)
    images, thumbnails = store.open()
    return DecodedDataset(
        metadata, digests, LazyImages(images, places), thumbnails[places], readable, store.folder
    )


@lru_cache
def _temporary_folder() -> Path:
    """A folder that is deleted at exit, used if the cache is not writable."""
    folder = Path(tempfile.mkdtemp(prefix=f"neocog-{os.getpid()}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@lru_cache
def sweep_leftovers(folder: Path) -> None:
    """Delete, once, files of killed processes from the cache and the temporary folder."""
    sweep(Path(tempfile.gettempdir()), TEMPORARY_FOLDER)
    for below, _, _ in os.walk(folder):
        sweep(Path(below))
    for path in (folder / KIND).glob("*"):
        try:
            text = (path / "index.json").read_text("utf-8", errors="replace")
        except FileNotFoundError:
            text = ""  # without an index no file is in use
        except OSError:
            continue
        sweep(path, STORE_FILE, keep=text)


class PixelStore:
    """The decoded images of one dataset: a pixel file, a thumbnail file and a JSON index.

    `metadata`, `positions` and `checksums` have a row per distinct content: its metadata or the
    reason why it cannot be decoded, the position of its pixels (-1 for none), and the CRC-32 of
    pixels and thumbnail. `unreadable` has the reasons for files that could not be read, by path;
    reading them is tried again next time.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        self.folder, self.shape = folder, shape
        self.metadata: list[ImageMetadata | UnreadableImage] = []
        self.positions: list[int] = []
        self.row_of: dict[str, int] = {}  # by digest
        self.stamps: dict[str, tuple[list[int], str]] = {}  # by path: stamp, digest
        self.unreadable: dict[str, UnreadableImage] = {}
        self.checksums: list[int] = []
        self.pixels = self.thumbnails_path = folder / "none"
        self.count = 0
        self.files: tuple[NewFile, ...] = ()  # being written
        try:
            self._load()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s is damaged (%s); its images are decoded again.", folder, error)
        self.previous_files = (self.pixels, self.thumbnails_path)

    def _load(self) -> None:
        """Load the index and check the files it names; raise without changes if it is invalid."""
        index = load_json(self.folder / "index.json")
        if index is None:
            return
        metadata = [_metadata_from_json(f) for f in index["facts"]]
        positions, checksums, row_of = index["place"], index["checks"], dict(index["row_of"])
        stamps = {path: (stamp, digest) for path, (stamp, digest) in index["stamps"].items()}
        places = sorted(n for n in positions if n >= 0)
        count = len(places)
        if not len(metadata) == len(positions) == len(checksums) or places != list(range(count)):
            raise ValueError("its index contradicts itself")
        if not set(row_of.values()) <= set(range(len(metadata))):
            raise ValueError("its index contradicts itself")
        pixels, thumbnails_path = self.pixels, self.thumbnails_path
        if count:
            names = (str(index["pixels"]), str(index["thumbs"]))
            if not all(map(STORE_FILE.fullmatch, names)):  # could point outside the folder
                raise ValueError("its index names files that are not its own")
            pixels, thumbnails_path = (self.folder / name for name in names)
            if pixels.is_symlink() or thumbnails_path.is_symlink():
                raise ValueError("its index names links")
            sizes = [pixels.stat().st_size, thumbnails_path.stat().st_size]
            if sizes != [count * int(np.prod(self.shape)), count * THUMBNAIL_SIZE**2]:
                raise ValueError("its files are not as long as they were")
        self.metadata, self.positions = metadata, positions
        self.checksums, self.row_of = checksums, row_of
        self.stamps, self.pixels, self.thumbnails_path = stamps, pixels, thumbnails_path
        self.count = count
        self._drop_damaged()

    def _drop_damaged(self) -> None:
        """Remove images whose checksum is wrong, so that they are decoded again."""
        images, thumbnails = map(np.asarray, self.open())

        def damaged(digests: list[str]) -> list[str]:
            rows = [self.row_of[digest] for digest in digests]
            return [
                digest
                for digest, row, n in zip(
                    digests, rows, (self.positions[r] for r in rows), strict=True
                )
                if n >= 0 and _checksum(images[n], thumbnails[n]) != self.checksums[row]
            ]

        names = list(self.row_of)
        chunks = [names[begin : begin + CHUNK] for begin in range(0, len(names), CHUNK)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            damaged_digests = [digest for chunk in pool.map(damaged, chunks) for digest in chunk]
        for digest in damaged_digests:
            del self.row_of[digest]
        if damaged_digests:
            n = len(damaged_digests)
            subject = "1 image is" if n == 1 else f"{n:,} images are"
            log.warning("%s damaged in %s and decoded again.", subject, self.folder)

    def open(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Memory-map all pixels and thumbnails."""
        shape = (self.count, *self.shape)
        thumbnails_shape = (self.count, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
        if not self.count:
            return np.zeros(shape, np.uint8), np.zeros(thumbnails_shape, np.uint8)
        pixels = np.memmap(self.pixels, np.uint8, "r", shape=shape)
        return pixels, np.memmap(self.thumbnails_path, np.uint8, "r", shape=thumbnails_shape)

    def has(self, sample: Sample) -> bool:
        """Whether the decoded content of a file is stored and the file is unchanged."""
        stamp, digest = self.stamps.get(sample.path, ([], ""))
        return stamp == list(sample.stamp) and digest in self.row_of

    def add(self, digest: str, result: _Result) -> None:
        """Add the result of decoding the content with this digest."""
        if digest in self.row_of or result is None:
            return
        if not isinstance(result, UnreadableImage) and not self.files:
            self._begin_files()
        self.row_of[digest] = len(self.metadata)
        if isinstance(result, UnreadableImage):
            self.metadata.append(result)
            self.positions.append(-1)
            self.checksums.append(0)
            return
        metadata, image, thumbnail = result
        self.metadata.append(metadata)
        self.positions.append(self.count)
        self.checksums.append(_checksum(image, thumbnail))
        self.count += 1
        for rows, file in zip((image, thumbnail), self.files, strict=True):
            file.write(rows.tobytes())

    def _begin_files(self) -> None:
        """Start new pixel and thumbnail files with a copy of the current ones."""
        previous = self.open()
        stem = unique_name()
        pixels, thumbnails_path = self.folder / f"{stem}.pixels", self.folder / f"{stem}.thumbs"
        for path in (pixels, thumbnails_path):
            self.files = (*self.files, NewFile(path))
        self.pixels, self.thumbnails_path = pixels, thumbnails_path
        for begin in range(0, len(previous[0]), CHUNK):
            for rows, file in zip(previous, self.files, strict=True):
                file.write(rows[begin : begin + CHUNK].tobytes())

    def close(self) -> None:
        """Sync the new files to disk."""
        for file in self.files:
            file.close()
        if self.files:
            sync_folder(self.folder)

    def discard(self) -> None:
        """Delete the new files."""
        for file in self.files:
            file.discard()

    def save(self) -> None:
        """Write the index for the complete new files, then delete the previous files."""
        index = {
            "pixels": self.pixels.name,
            "thumbs": self.thumbnails_path.name,
            "facts": [asdict(f) for f in self.metadata],
            "place": self.positions,
            "checks": self.checksums,
            "row_of": self.row_of,
            "stamps": self.stamps,
        }
        save_json(self.folder / "index.json", index)
        if self.files:
            for file in self.previous_files:  # processes that read them keep them open
                with suppress(OSError):  # Windows: `sweep` deletes them later
                    file.unlink()


def _metadata_from_json(values: dict[str, Any]) -> ImageMetadata | UnreadableImage:
    if "kind" in values:
        return UnreadableImage(ImageErrorKind(values["kind"]), str(values["reason"]))
    return ImageMetadata(**values)


def _checksum(image: NDArray[np.uint8], thumbnail: NDArray[np.uint8]) -> int:
    """The CRC-32 of an image's pixels and thumbnail."""
    return zlib.crc32(
        np.ascontiguousarray(thumbnail).data, zlib.crc32(np.ascontiguousarray(image).data)
    )


def _sync(
    store: PixelStore,
    samples: list[Sample],
    preprocessing: Preprocessing,
    progress: Progress,
) -> list[str]:
    """Decode the samples that the store lacks, and return the digest of every sample."""
    digests = {sample.path: store.stamps[sample.path][1] for sample in samples if store.has(sample)}
    undecoded = [sample for sample in samples if sample.path not in digests]
    if undecoded:
        _check_disk_space(store, len(undecoded))
        try:
            digests |= dict(_decode_samples(store, undecoded, preprocessing, progress))
            store.close()
            stamps = {p.path: (list(p.stamp), digests[p.path]) for p in samples if digests[p.path]}
            store.stamps = stamps
            store.save()
        except BaseException:
            store.discard()
            raise
        cache.evict()
    return [digests[sample.path] for sample in samples]


def _check_disk_space(store: PixelStore, count: int) -> None:
    """Raise NeocogError if the disk has no space for `count` more images."""
    needed_bytes = (store.count + count) * int(np.prod(store.shape))
    free_bytes = shutil.disk_usage(store.folder).free
    if needed_bytes > free_bytes:
        raise NeocogError(
            f"{count:,} decoded images take {needed_bytes / 1e9:.1f} GB, and {store.folder} "
            f"has room for {free_bytes / 1e9:.1f} GB.",
            "Set NEOCOG_CACHE to a larger disk, or clear the cache: neocog data --clear-cache",
        )


def _decode_samples(
    store: PixelStore,
    undecoded: list[Sample],
    preprocessing: Preprocessing,
    progress: Progress,
) -> Iterator[tuple[str, str]]:
    """Decode samples, add new contents to the store, and yield (path, digest)."""

    def read(sample: Sample) -> tuple[str, _Result]:
        return _load_sample(store, sample, preprocessing)

    with ignore_pillow_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        for begin in range(0, len(undecoded), CHUNK):
            chunk = undecoded[begin : begin + CHUNK]
            for sample, (digest, result) in zip(chunk, pool.map(read, chunk), strict=True):
                if digest:
                    store.add(digest, result)
                elif isinstance(result, UnreadableImage):
                    store.unreadable[sample.path] = result
                yield sample.path, digest
            with suppress(OSError):
                os.utime(store.folder)  # or another process may evict what is being written
            progress("decode", min(begin + CHUNK, len(undecoded)), len(undecoded))


def _load_sample(
    store: PixelStore, sample: Sample, preprocessing: Preprocessing
) -> tuple[str, _Result]:
    """Return the digest of a file, and its decoded content if the store does not have it.

    The digest is empty if the file cannot be read.
    """
    try:
        data = read_bytes(sample.source)
    except ImageError as error:
        # Without its content, a file that is refused is known by its size and time.
        digest = "" if error.kind.is_temporary else f"{error.kind} {sample.stamp}"
        return digest, UnreadableImage(error.kind, error.message)
    digest = hashlib.sha256(data).hexdigest()[:32]
    if digest in store.row_of:
        return digest, None
    try:
        image, metadata, thumbnail = decode_with_metadata(
            data, preprocessing.shrink_to, preprocessing.transform_image
        )
        return digest, (metadata, image, thumbnail)
    except ImageError as error:
        failure = UnreadableImage(error.kind, error.message)
        return ("" if error.kind.is_temporary else digest), failure
