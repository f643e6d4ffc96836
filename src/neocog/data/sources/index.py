"""The index of a user's dataset: names, labels, splits and groups, before decoding."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from neocog.errors import NeocogError
from neocog.wording import counted

SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jfif",
    ".jpe",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".ppm",
    ".pgm",
    ".heic",  # often JPEG inside; otherwise each file is reported
    ".heif",
    ".avif",
)
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing", "eval"),
}
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
SYSTEM_FILES = ("__macosx", "thumbs.db", "desktop.ini")

Source = Path | bytes | Callable[[], bytes]


@dataclass(frozen=True)
class Sample:
    """One image of a dataset: its location, label, split and group.

    `split` and `group` are None if the dataset does not define them. `stamp` is a size and a time,
    or a checksum: while it is unchanged, so is the content.
    """

    path: str
    label: str
    source: Source
    stamp: tuple[int, int]
    split: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class DatasetIndex:
    """The images of a dataset, its classes in label order, and its unused files.

    `unused` holds (kind, path) of files that are not labelled images; `checks.UNUSED_FILES` lists
    the kinds.
    """

    root: Path
    samples: list[Sample]
    classes: tuple[str, ...]
    unused: list[tuple[str, str]] = field(default_factory=list)

    def labels(self) -> NDArray[np.int64]:
        """The labels as int64 indices into `classes`, shape `(N,)`."""
        label_of = {name: k for k, name in enumerate(self.classes)}
        return np.array([label_of[sample.label] for sample in self.samples], dtype=np.int64)

    @property
    def splits(self) -> list[str]:
        """The splits that the dataset defines, in the order train, validation, test."""
        present = {sample.split for sample in self.samples}
        return [split for split in SPLIT_NAMES if split in present]


@dataclass(frozen=True)
class FileEntry:
    """The label and split of a file, derived from its path."""

    name: str
    label: str
    split: str | None


def is_system_file(name: str) -> bool:
    """Whether a path is hidden or created by an operating system, such as `__MACOSX`."""
    return any(p.startswith(".") or p.lower() in SYSTEM_FILES for p in PurePosixPath(name).parts)


def split_of_shard(name: str) -> str:
    """The split that a file name such as train-00000-of-00001 begins with; train by default."""
    first = name.lower().split("-")[0].split("_")[0].partition(".")[0]
    return SPLIT_OF.get(first, "train")


def sorted_classes(samples: Iterable[Sample]) -> tuple[str, ...]:
    """The labels of the samples, sorted."""
    return tuple(sorted({sample.label for sample in samples}))


def parse_layout(names: Iterable[str], root: Path) -> tuple[list[FileEntry], list[tuple[str, str]]]:
    """Derive labels and splits from relative paths (a/b/c.jpg); also return unused files.

    The class is the folder directly below the root or below a split folder. Folders are splits if
    one of them is named like a training split and contains class folders. Folders that enclose
    everything are skipped. Raises NeocogError if no image is in a class folder.
    """
    files = [PurePosixPath(name) for name in names if not is_system_file(name)]
    samples = sorted(f for f in files if f.suffix.lower() in SUFFIXES)
    unused = [("other_file", str(f)) for f in files if f.suffix.lower() not in SUFFIXES]
    depth, are_splits = _class_folders(samples, root)
    places = []
    for sample in samples:
        parts = sample.parts[depth:]
        split = SPLIT_OF.get(parts[0].lower()) if are_splits and len(parts) > 1 else None
        if are_splits and len(parts) > 1 and split is None:
            unused.append(("beside_splits", str(sample)))
        elif len(parts) < (3 if are_splits else 2):
            unused.append(("no_class", str(sample)))
        else:
            places.append(FileEntry(str(sample), parts[1] if are_splits else parts[0], split))
    if not places:
        _raise_no_images(root, len(samples), any(len(p.parts) > 1 for p in samples))
    return places, unused


def _class_folders(samples: list[PurePosixPath], root: Path) -> tuple[int, bool]:
    """Return the depth of the class or split folders, and whether they are splits.

    In photos/cats/1.jpg, photos/dogs/2.jpg the depth is 1. Raises NeocogError if there are folders
    for validation or test but none for training.
    """
    depth = 0
    while True:
        deep = [p.parts for p in samples if len(p.parts) > depth + 1]
        tops = {parts[depth] for parts in deep}
        with_folders = {parts[depth] for parts in deep if len(parts) > depth + 2}
        if any(SPLIT_OF.get(top.lower()) == "train" for top in with_folders):
            return depth, True
        if tops and all(top.lower() in SPLIT_OF for top in tops) and with_folders == tops:
            raise NeocogError(
                f"{root} has folders {' and '.join(sorted(tops))}, but none for training.",
                f"Expected {root / 'train' / 'CLASS' / 'image.jpg'}",
            )
        inside = {parts[depth + 1] for parts in deep if len(parts) > depth + 2}
        loose = any(len(parts) == depth + 2 for parts in deep)
        if len(tops) != 1 or not inside or (loose and len(inside) < 2):
            return depth, False
        depth += 1


def _raise_no_images(root: Path, samples: int, has_folders: bool) -> None:
    expected = f"Expected one folder per class: {root / 'CLASS' / 'image.jpg'}"
    if not samples:
        raise NeocogError(f"{root} contains no images ({', '.join(SUFFIXES)}).", expected)
    where = "not in class folders" if has_folders else "in no class folder"
    raise NeocogError(
        f"{root} contains {counted(samples, 'image')} {where}: their classes are unknown.",
        f"{expected}; or a table: a CSV file with the columns path,label",
    )
