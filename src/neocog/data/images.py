"""Images with labels: `ImageSet`, and `Splits`, which holds three of them."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.findings import Finding
from neocog.data.preprocess import Preprocessing
from neocog.messages import Message
from neocog.records import DataInfo, FindingRecord, SplitFingerprints, SplitSizes


class LazyImages:
    """Images in a memory-mapped file, read when indexed.

    `rows` are indices into `images`, `(N, H, W, C)`. Indexing returns an array; `take` returns a
    subset that is still unread.
    """

    def __init__(self, images: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
        self.images, self.rows = images, rows
        self.shape = (len(rows), *images.shape[1:])
        self.dtype, self.ndim = images.dtype, images.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: Any) -> NDArray[np.uint8]:
        return np.asarray(self.images[self.rows[which]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def take(self, which: NDArray[np.int64]) -> "LazyImages":
        """Select images without reading them."""
        return LazyImages(self.images, self.rows[which])


Images = NDArray[np.uint8] | LazyImages


@dataclass(frozen=True)
class ImageSet:
    """Images of one size with their labels.

    `images` is uint8, `(N, H, W, C)`; `labels` is int64, `(N,)`, with indices into `classes`.
    `paths` has the source files, or is empty. Images with the same number in `groups`, such as
    near-duplicates, must stay in one split; `groups` is empty if there are none. `digests` are of
    the images before preprocessing, if known.
    """

    images: Images
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    paths: tuple[str, ...] = ()
    groups: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    digests: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.images.dtype == np.uint8 and self.images.ndim == 4, "images: uint8 NHWC"
        assert self.labels.dtype == np.int64 and len(self.labels) == len(self.images)
        assert not len(self) or 0 <= self.labels.min() <= self.labels.max() < len(self.classes)

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: NDArray[np.int64]) -> "ImageSet":
        """Select the images at `indices`, in that order."""
        paths = tuple(self.paths[i] for i in indices) if self.paths else ()
        groups = self.groups[indices] if len(self.groups) else self.groups
        rows = self.images
        images = rows.take(indices) if isinstance(rows, LazyImages) else rows[indices]
        digests = tuple(self.digests[i] for i in indices) if self.digests else ()
        return ImageSet(images, self.labels[indices], self.classes, paths, groups, digests)

    def fingerprint(self) -> str:
        """A hash of images, labels, classes and their order: 16 hexadecimal digits."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self.images.shape, self.classes)).encode())
        for begin in range(0, len(self), 1024):
            digest.update(np.ascontiguousarray(self.images[begin : begin + 1024]).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Splits:
    """A dataset split into training, validation and test images.

    `preprocessing` converts these images, and new ones, to the input of a network. `note` says how
    the splits were made; `findings` are the problems that `checks` found.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    preprocessing: Preprocessing
    note: Message
    findings: tuple[Finding, ...] = ()

    @property
    def parts(self) -> dict[str, ImageSet]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in label order."""
        return self.train.classes

    def describe(self) -> DataInfo:
        """The record of the data in a run: name, sizes, fingerprints, classes and the note."""
        return DataInfo(
            name=self.name,
            note=self.note,
            findings=tuple(FindingRecord(f.kind, f.count, f.message) for f in self.findings),
            classes=self.classes,
            image_shape=tuple(self.train.images.shape[1:]),
            sizes=SplitSizes(*map(len, self.parts.values())),
            fingerprints=SplitFingerprints(*(p.fingerprint() for p in self.parts.values())),
        )
