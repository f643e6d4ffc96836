"""Images and labels in memory: `ImageSet`, and the three of them that make `Splits`."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.preprocess import Preprocessing


class LazyImages:
    """Some images of a file that is too large for memory: what is asked for is read.

    `rows` are their places in `images`, N x H x W x C. Indexing gives an array; `take` gives fewer
    of them, still unread.
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
        """The images at `which`, unread."""
        return LazyImages(self.images, self.rows[which])


Images = NDArray[np.uint8] | LazyImages


@dataclass(frozen=True)
class ImageSet:
    """Images of one size with their labels.

    `images` is uint8, N x H x W x C; `labels` is int64, N, an index into `classes`; `paths` are the
    images' files where they came from files, else empty. Images that must not be parted by a
    split, near-duplicates among them, have the same number in `groups`; empty means that there are
    none. `digests` are of the images as they were before they were fitted, where they are known.
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
        """The images at `indices`, in that order."""
        paths = tuple(self.paths[i] for i in indices) if self.paths else ()
        groups = self.groups[indices] if len(self.groups) else self.groups
        rows = self.images
        images = rows.take(indices) if isinstance(rows, LazyImages) else rows[indices]
        digests = tuple(self.digests[i] for i in indices) if self.digests else ()
        return ImageSet(images, self.labels[indices], self.classes, paths, groups, digests)

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that depend on images, labels, classes and order."""
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
    """A data set, split: what is trained on, what is chosen by, and what is judged by.

    `preprocessing` makes the network's input from these images and from new ones. `note` says in
    a sentence how the split was made; `findings` what is wrong with the data, as `doctor` gives it.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    preprocessing: Preprocessing
    note: str
    findings: tuple[dict[str, Any], ...] = ()

    @property
    def parts(self) -> dict[str, ImageSet]:
        """The three splits by their names."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the labels."""
        return self.train.classes

    def describe(self) -> dict[str, object]:
        """What a run records of its data: name, sizes, fingerprints, classes and the note."""
        return {
            "name": self.name,
            "note": self.note,
            "findings": [{k: f[k] for k in ("kind", "count", "message")} for f in self.findings],
            "classes": list(self.classes),
            "image_shape": list(self.train.images.shape[1:]),
            "sizes": {name: len(split) for name, split in self.parts.items()},
            "fingerprints": {name: split.fingerprint() for name, split in self.parts.items()},
        }
