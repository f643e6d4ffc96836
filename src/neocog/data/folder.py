"""A folder of class folders, one picture a file, with or without train and test folders above."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog.data.decode import SUFFIXES, read_picture
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
    """The folders of `folder` that are splits by their names: train, validation, test."""
    known = {name: split for split, names in SPLIT_NAMES.items() for name in names}
    here = (p for p in sorted(folder.iterdir()) if p.is_dir())
    return {known[p.name.lower()]: p for p in here if p.name.lower() in known}


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
) -> ImageSet:
    """The pictures of `folder`/CLASS/*, fitted by `preprocessing`.

    Labels count `classes`, by default the class folders in their names' order. A picture that
    cannot be read is left out and told to `skipped` with the reason; one that is a link to a file
    outside the folder is, too. Raises NeocogError where there are no readable pictures in class
    folders.
    """
    classes = classes or tuple(class_names(folder))
    root = folder.resolve()
    files = [
        (label, path)
        for label, name in enumerate(classes)
        for path in (list_pictures(folder / name) if (folder / name).is_dir() else ())
    ]

    def read(path: Path) -> NDArray[np.uint8] | str:
        if not path.resolve().is_relative_to(root):
            return "it is a link to a file outside the folder"
        try:
            return preprocessing.fit_picture(read_picture(path, preprocessing.shrink_to))
        except NeocogError as error:
            return error.message

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside the interpreter lock
        results = list(pool.map(read, (path for _, path in files)))
    images, labels, paths = [], [], []
    for (label, path), result in zip(files, results, strict=True):
        if isinstance(result, str):
            skipped(path, result)
            continue
        images.append(result)
        labels.append(label)
        paths.append(str(path.relative_to(folder)))
    if not images:
        raise NeocogError(
            f"{folder} holds no pictures in class folders.",
            f"Expected {folder / 'CLASS' / 'picture.png'}: one folder a class.",
        )
    return ImageSet(np.stack(images), np.array(labels, dtype=np.int64), classes, tuple(paths))
