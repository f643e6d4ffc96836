"""Pictures and labels in memory: `ImageSet`, and the three of them that make `Splits`."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neocog.data.preprocess import Preprocessing


@dataclass(frozen=True)
class ImageSet:
    """Pictures of one size with their labels.

    `images` is uint8, N x H x W x C; `labels` is int64, N, an index into `classes`; `paths` are the
    pictures' files where they came from files, else empty.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    paths: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.images.dtype == np.uint8 and self.images.ndim == 4, "images: uint8 NHWC"
        assert self.labels.dtype == np.int64 and len(self.labels) == len(self.images)
        assert not len(self) or 0 <= self.labels.min() <= self.labels.max() < len(self.classes)

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: NDArray[np.int64]) -> "ImageSet":
        """The pictures at `indices`, in that order."""
        paths = tuple(self.paths[i] for i in indices) if self.paths else ()
        return ImageSet(self.images[indices], self.labels[indices], self.classes, paths)

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that depend on pictures, labels, classes and order."""
        digest = hashlib.sha256(repr((self.images.shape, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Splits:
    """A data set, split: what is trained on, what is chosen by, and what is judged by.

    `preprocessing` makes the network's input from these pictures and from new ones. `note` says in
    a sentence how the split was made.
    """

    name: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    preprocessing: Preprocessing
    note: str

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
            "classes": list(self.classes),
            "image_shape": list(self.train.images.shape[1:]),
            "sizes": {name: len(split) for name, split in self.parts.items()},
            "fingerprints": {name: split.fingerprint() for name, split in self.parts.items()},
        }
