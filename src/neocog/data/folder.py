"""A folder of class folders, one picture a file, with or without train and test folders above."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from neocog.data.decode import SUFFIXES, read_pictures
from neocog.data.images import ImageSet
from neocog.data.preprocess import Preprocessing
from neocog.errors import NeocogError

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing", "eval"),
}


def list_pictures(folder: Path) -> list[Path]:
    """The picture files below `folder`, sorted; hidden files and `__MACOSX` are left out."""
    found = (
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
    )
    return sorted(p for p in found if not _is_litter(p.relative_to(folder)))


def split_folders(folder: Path) -> dict[str, Path]:
    """The folders of `folder` by split, where they are splits by their names; else empty.

    They are where every folder in it has such a name and one is the train folder: a class may well
    be called "train".
    """
    known = {name: split for split, names in SPLIT_NAMES.items() for name in names}
    names = class_names(folder)
    if not all(name.lower() in known for name in names):
        return {}
    found = {known[name.lower()]: folder / name for name in names}
    return found if "train" in found else {}


def class_names(folder: Path) -> list[str]:
    """The class folders of `folder`, in the order of their names."""
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and not _is_litter(Path(p.name)))


def _is_litter(path: Path) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def read_folder(
    folder: Path,
    preprocessing: Preprocessing,
    skipped: Callable[[Path, str], None],
    classes: tuple[str, ...] = (),
    under: str = "",
) -> ImageSet:
    """The pictures of `folder`/CLASS/*, fitted by `preprocessing`.

    Labels count `classes`, by default the class folders in their names' order. `under` is put
    before the pictures' paths. A picture that cannot be read, or is a link to a file outside the
    folder, is left out and told to `skipped` with the reason. Raises NeocogError where there are no
    readable pictures in class folders.
    """
    classes = classes or tuple(class_names(folder))
    root = folder.resolve()
    files = [
        (label, path)
        for label, name in enumerate(classes)
        for path in (list_pictures(folder / name) if (folder / name).is_dir() else ())
    ]

    inside = []
    for label, path in files:
        if path.resolve().is_relative_to(root):
            inside.append((label, path))
        else:
            skipped(path, "it is a link to a file outside the folder")
    results = read_pictures(
        (path for _, path in inside), preprocessing.fit_picture, preprocessing.shrink_to
    )
    images, labels, paths = [], [], []
    for (label, path), result in zip(inside, results, strict=True):
        if isinstance(result, str):
            skipped(path, result)
            continue
        images.append(result)
        labels.append(label)
        paths.append(str(Path(under) / path.relative_to(folder)))
    if not images:
        raise NeocogError(
            f"{folder} holds no pictures in class folders that can be read.",
            f"Expected {folder / 'CLASS' / 'picture.png'}: one folder a class.",
        )
    return ImageSet(np.stack(images), np.array(labels, dtype=np.int64), classes, tuple(paths))
