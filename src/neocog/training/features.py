"""Features of images: computed once for each image and network, and cached on disk."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neocog.data import ImageSet
from neocog.data.images import Images, LazyImages
from neocog.progress import Progress, no_progress
from neocog.storage import cache
from neocog.storage.checksummed import load_arrays, save_arrays
from neocog.training.split_metrics import Floats

MAX_BYTES = 2**29  # of one dataset's features: larger ones are not cached
FEATURES_VERSION = 1  # increment when the same pixels and weights give other features
DIGEST_BYTES = 16  # of an image's pixels as the network gets them

Part = tuple[ImageSet, int]  # images, and the number of views of each


class Backbone(Protocol):
    """A network without its head, on some engine."""

    def views(self, images: Images, views: int, on_done: Callable[[int], None]) -> Floats:
        """Features, `(V, N, D)`, of `views` views of the images, `(N, H, W, C)`.

        The V views are the image itself, its mirror image, and crops. `on_done` is called with the
        number of views that were added.
        """

    def identity(self) -> tuple[str, ...]:
        """All that features depend on except the pixels: weights, preprocessing, engine."""


def compute_features(
    backbone: Backbone, data: str, parts: Sequence[Part], progress: Progress = no_progress
) -> tuple[list[Floats], int]:
    """The input of the head for each part, `(V, N, D)`, float32.

    If all parts have one view, the features of the same pixels and network are read from the cache;
    the second value is the number of images found there. `data` names the dataset, for which the
    features of its last training are kept. The stage of `progress` is `features`, in views of
    images.
    """
    counter = _Counter(progress, sum(len(part) * views for part, views in parts))
    if any(views > 1 for _, views in parts):
        return [backbone.views(part.images, views, counter.add) for part, views in parts], 0
    stored = cache = FeatureCache.read(_identity(backbone, data))
    digests_of_parts, hits = [], 0
    for part, _ in parts:
        digests = [_digest(part.images[n]) for n in range(len(part))]
        missing = [n for n, digest in enumerate(digests) if digest not in cache.row_of]
        hits += len(part) - len(missing)
        counter.add(len(part) - len(missing))
        if missing:
            rows = backbone.views(_subset(part.images, np.array(missing)), 1, counter.add)[0]
            cache = cache.with_more([digests[n] for n in missing], rows)
        digests_of_parts.append(digests)
    current = list(dict.fromkeys(digest for digests in digests_of_parts for digest in digests))
    if current != list(stored.row_of):
        cache.write(current)
    return [cache.rows_of(digests)[None] for digests in digests_of_parts], hits


def version_of(package: str) -> str:
    """The version of an installed package; empty if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _identity(backbone: Backbone, data: str) -> str:
    """The name of the cache file."""
    facts = (FEATURES_VERSION, *backbone.identity(), str(Path(data).resolve()))
    return hashlib.sha256(repr(facts).encode(errors="replace")).hexdigest()[:32]


def _subset(images: Images, indices: NDArray[np.int64]) -> Images:
    """The images with these indices, not copied."""
    if isinstance(images, LazyImages):
        return images.take(indices)
    return LazyImages(images, indices)


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()[:DIGEST_BYTES]


class _Counter:
    """Adds up the images that are done, and tells `progress`."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, count: int) -> None:
        """Take note of `count` more images."""
        self.done += count
        self.progress("features", self.done, self.total)


@dataclass(frozen=True)
class FeatureCache:
    """Cached features, `rows`, `(N, D)`, and the row of each image's digest."""

    file: Path
    row_of: dict[bytes, int]
    rows: Floats

    @staticmethod
    def read(identity: str) -> "FeatureCache":
        """The cache on disk; empty if it is missing or damaged."""
        file = cache.entry("features", f"{identity}.safetensors")
        arrays = load_arrays(file)
        if arrays and {"digests", "features"} == set(arrays):
            digests = [row.tobytes() for row in arrays["digests"]]
            if len(digests) == len(arrays["features"]):
                row_of = {digest: n for n, digest in enumerate(digests)}
                return FeatureCache(file, row_of, arrays["features"])
        return FeatureCache(file, {}, np.zeros((0, 0), np.float32))

    def with_more(self, digests: Sequence[bytes], rows: Floats) -> "FeatureCache":
        """This cache with the features of more images."""
        begin = len(self.rows)
        row_of = self.row_of | {d: begin + n for n, d in enumerate(digests)}
        joined = np.concatenate([self.rows, rows]) if begin else rows
        return FeatureCache(self.file, row_of, joined)

    def rows_of(self, digests: Sequence[bytes]) -> Floats:
        """The features of the images with these digests, `(len(digests), D)`."""
        return self.rows[[self.row_of[d] for d in digests]]

    def write(self, digests: Sequence[bytes]) -> None:
        """Write the features of these images and no others, unless they take over MAX_BYTES.

        A full disk raises nothing: the features are computed again next time.
        """
        rows = self.rows_of(digests)
        if rows.nbytes > MAX_BYTES:
            return
        names = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)
        save_arrays(self.file, {"digests": names, "features": rows})
        cache.evict()
