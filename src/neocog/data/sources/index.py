"""What a person's data set holds before an image is decoded: names, labels, splits, groups."""

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
    ".heic",  # often JPEG inside; if not, that is said of each
    ".heif",
    ".avif",
)
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing", "eval"),
}
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
LITTER = ("__macosx", "thumbnails.db", "desktop.ini")

Source = Path | bytes | Callable[[], bytes]


@dataclass(frozen=True)
class Sample:
    """One image of a data set: where it is and what is said of it.

    `split` and `group` are None where nothing is said. While `stamp` (a size and a time, or a
    checksum) stays as it is, so does the content.
    """

    path: str
    label: str
    source: Source
    stamp: tuple[int, int]
    split: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class DatasetIndex:
    """A data set's images, its classes in the order of the labels, and what was left out.

    `left_out` holds (kind, path) of what is no labelled image: see `doctor.LEFT_OUT`.
    """

    root: Path
    samples: list[Sample]
    classes: tuple[str, ...]
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def labels(self) -> NDArray[np.int64]:
        """The label of each image: its class's place in `classes`."""
        place = {name: k for k, name in enumerate(self.classes)}
        return np.array([place[sample.label] for sample in self.samples], dtype=np.int64)

    @property
    def splits(self) -> list[str]:
        """The splits that are given: train, validation, test; empty where none is."""
        found = {sample.split for sample in self.samples}
        return [split for split in SPLIT_NAMES if split in found]


@dataclass(frozen=True)
class FileEntry:
    """Where a file of a tree of class folders belongs."""

    name: str
    label: str
    split: str | None


def is_litter(name: str) -> bool:
    """Whether a file or one of its folders is what systems leave behind: hidden, `__MACOSX`."""
    return any(p.startswith(".") or p.lower() in LITTER for p in PurePosixPath(name).parts)


def parse_layout(names: Iterable[str], root: Path) -> tuple[list[FileEntry], list[tuple[str, str]]]:
    """The places of the files `names` (a/b/c.jpg) of a folder or archive, and what is left out.

    The class is the folder directly below the root, or below a split's folder. The folders are
    splits where one is called as a train folder and holds class folders. Folders around all are
    passed over. Raises NeocogError where there is no image in class folders.
    """
    files = [PurePosixPath(name) for name in names if not is_litter(name)]
    samples = sorted(f for f in files if f.suffix.lower() in SUFFIXES)
    left_out = [("other_file", str(f)) for f in files if f.suffix.lower() not in SUFFIXES]
    depth, are_splits = _class_folders(samples, root)
    places = []
    for sample in samples:
        parts = sample.parts[depth:]
        split = SPLIT_OF.get(parts[0].lower()) if are_splits and len(parts) > 1 else None
        if are_splits and len(parts) > 1 and split is None:
            left_out.append(("beside_splits", str(sample)))
        elif len(parts) < (3 if are_splits else 2):
            left_out.append(("no_class", str(sample)))
        else:
            places.append(FileEntry(str(sample), parts[1] if are_splits else parts[0], split))
    if not places:
        _refuse(root, len(samples), any(len(p.parts) > 1 for p in samples))
    return places, left_out


def _class_folders(samples: list[PurePosixPath], root: Path) -> tuple[int, bool]:
    """How many folders lie around all class folders, and whether the next are splits.

    `photos/` in photos/cats/1.jpg, photos/dogs/2.jpg is passed over. Raises NeocogError where there
    are folders for splits to judge by, and none to train on.
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
                f"{root} has folders {' and '.join(sorted(tops))}, and none to train on.",
                f"Expected {root / 'train' / 'CLASS' / 'image.jpg'}",
            )
        inside = {parts[depth + 1] for parts in deep if len(parts) > depth + 2}
        loose = any(len(parts) == depth + 2 for parts in deep)
        if len(tops) != 1 or not inside or (loose and len(inside) < 2):
            return depth, False
        depth += 1


def _refuse(root: Path, samples: int, has_folders: bool) -> None:
    expected = f"Expected one folder a class: {root / 'CLASS' / 'image.jpg'}"
    if not samples:
        raise NeocogError(f"{root} holds no images ({', '.join(SUFFIXES)}).", expected)
    where = "not in class folders" if has_folders else "in no class folder"
    raise NeocogError(
        f"{root} holds {counted(samples, 'image')} {where}: nothing says what they show.",
        f"{expected}; or a table: a CSV file with the columns path,label",
    )
