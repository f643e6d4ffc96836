"""CIFAR-10 and CIFAR-100 in torchvision's layout or Parquet, found on disk or downloaded."""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.images import ImageSet
from neocog.data.preprocess import Preprocessing
from neocog.data.sources import parquet
from neocog.data.sources.published import data_folders, downloads_folder, fetch_set
from neocog.errors import NeocogError
from neocog.progress import Progress, no_progress
from neocog.storage.atomic import write_atomic

# Images, labels or the names of classes or files.
PickledValue = NDArray[np.uint8] | list[int] | list[str]


@dataclass(frozen=True)
class CifarFiles:
    """The files of a CIFAR dataset, their MD5s, and the keys of the pickled dictionaries.

    `archive_size` is in bytes.
    """

    name: str
    folder: str
    mirrors: tuple[str, ...]
    archive_md5: str
    archive_size: int
    train: Mapping[str, str]
    test: Mapping[str, str]
    meta: Mapping[str, str]
    classes: int
    labels_key: str
    names_key: str


CIFAR10 = CifarFiles(
    name="cifar10",
    folder="cifar-10-batches-py",
    mirrors=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
    archive_md5="c58f30108f718f92721af3b95e74349a",
    archive_size=170_498_071,
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    meta={"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
    classes=10,
    labels_key="labels",
    names_key="label_names",
)

CIFAR100 = CifarFiles(
    name="cifar100",
    folder="cifar-100-python",
    mirrors=("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
    archive_md5="eb9058c3a382ffc7106e4002c42a8d85",
    archive_size=169_001_437,
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    meta={"meta": "7973b15100ade9c7d40fb424638fde48"},
    classes=100,
    labels_key="fine_labels",
    names_key="fine_label_names",
)


def read_cifar(files: CifarFiles, progress: Progress = no_progress) -> tuple[ImageSet, ImageSet]:
    """Read the official training and test sets, images of shape `(N, 32, 32, 3)`.

    The first of `data_folders()` is used that has torchvision's folder, or a folder of Parquet
    files with the dataset's name; else the archive is downloaded, checked and extracted. Raises
    NeocogError if a file is damaged, or if the dataset can neither be found nor downloaded.
    """
    for folder in data_folders():
        if (folder / files.folder).is_dir():
            return _read_batches(files, folder / files.folder)
        if parquet.can_read(folder / files.name):
            return _read_parquet(files, folder / files.name)
    return _read_batches(files, _download(files, progress))


def _read_parquet(files: CifarFiles, folder: Path) -> tuple[ImageSet, ImageSet]:
    tables_by_split = parquet.read_parquet(folder)
    preprocessing = Preprocessing((32, 32), 3, "square", (0.5,) * 3, (0.5,) * 3)
    splits = []
    for split, expected in (("train", 50_000), ("test", 10_000)):
        if split not in tables_by_split:
            raise NeocogError(f"{folder} has no {split} table of {files.name}.")
        half, skipped = parquet.decode_table(tables_by_split[split], preprocessing)
        if len(half.classes) != files.classes:
            raise NeocogError(
                f"{folder}: its labels are of {len(half.classes)} classes, not {files.classes}."
            )
        if len(half) != expected:
            raise NeocogError(
                f"{folder}: the {split} half has {len(half):,} readable images and should have "
                f"{expected:,}.",
                skipped[0] if skipped else "",
            )
        splits.append(half)
    return splits[0], splits[1]


def _read_batches(files: CifarFiles, folder: Path) -> tuple[ImageSet, ImageSet]:
    ((meta, md5),) = files.meta.items()
    classes = tuple(map(str, _load_pickle(folder / meta, md5)[files.names_key]))
    splits = []
    for names in (files.train, files.test):
        batches = [_load_pickle(folder / name, md5) for name, md5 in names.items()]
        rows = np.concatenate([np.asarray(batch["data"], dtype=np.uint8) for batch in batches])
        images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels = np.concatenate([np.asarray(b[files.labels_key], dtype=np.int64) for b in batches])
        splits.append(ImageSet(np.ascontiguousarray(images), labels, classes))
    return splits[0], splits[1]


def _download(files: CifarFiles, progress: Progress) -> Path:
    """Download the archive and extract the required files next to it."""
    address = files.mirrors[0]
    archive = downloads_folder() / address.rpartition("/")[2]
    folder = downloads_folder() / files.folder
    by_hand = (
        f"Unpack {archive.name} into {downloads_folder()} (or any folder named by NEOCOG_DATA)."
    )
    md5, size = files.archive_md5, files.archive_size
    fetch_set(files.name, files.mirrors, archive, md5, size, by_hand, progress)
    names = {*files.train, *files.test, *files.meta}
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.rpartition("/")[2]
            content = tar.extractfile(member) if name in names and member.isfile() else None
            if content:
                folder.mkdir(parents=True, exist_ok=True)
                write_atomic(folder / name, content.read())
    archive.unlink()
    return folder


def _load_pickle(path: Path, md5: str) -> dict[str, PickledValue]:
    """Load the dictionary in an official file, which is a pickle.

    A pickle can run any code. A file is opened only if its MD5 is the official one, and the
    unpickler still creates nothing but arrays.
    """
    hint = f"Delete {path.parent} and try again, or copy the official files again."
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NeocogError(f"{path} cannot be read ({error.strerror}).", hint) from None
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise NeocogError(f"{path} is not the official file: its MD5 differs from {md5}.", hint)
    try:
        return dict(_ArrayUnpickler(io.BytesIO(content), encoding="latin1").load())
    except (pickle.UnpicklingError, EOFError) as error:
        raise NeocogError(f"{path} is damaged ({error}).", hint) from None


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that creates NumPy arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Resolve the few names that a pickled array uses."""
        known: dict[str, Callable[..., object]] = {
            "_reconstruct": np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
            "ndarray": np.ndarray,
            "dtype": np.dtype,
        }
        modules = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
        if module in modules and name in known:
            return known[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")


__all__ = ["CIFAR10", "CIFAR100", "CifarFiles", "read_cifar"]
