"""MNIST and Fashion-MNIST in IDX files, found on disk or downloaded."""

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog.data.images import ImageSet
from neocog.data.sources.published import data_folders, downloads_folder, fetch_set
from neocog.errors import NeocogError
from neocog.progress import Progress, no_progress

MAX_BYTES = 128 * 2**20  # uncompressed; MNIST's largest file has 47 MB


@dataclass(frozen=True)
class IdxFiles:
    """The four files of an IDX dataset: torchvision's folder, mirrors and MD5s.

    `gz_md5` and `gz_sizes` (bytes) describe the compressed files of the mirrors. `raw_md5`, if
    known, describes the uncompressed files, so that files compressed by others can be checked too.
    """

    name: str
    folder: str
    mirrors: tuple[str, ...]
    gz_md5: Mapping[str, str]
    gz_sizes: Mapping[str, int]
    raw_md5: Mapping[str, str]
    classes: tuple[str, ...]


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"

MNIST = IdxFiles(
    name="mnist",
    folder="MNIST/raw",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    gz_md5={
        TRAIN_IMAGES: "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        TRAIN_LABELS: "d53e105ee54ea40749a09fcbcd1e9432",
        TEST_IMAGES: "9fb629c4189551a2d022fa330f9573f3",
        TEST_LABELS: "ec29112dd5afa0611ce80d1b7f02629c",
    },
    gz_sizes={
        TRAIN_IMAGES: 9_912_422,
        TRAIN_LABELS: 28_881,
        TEST_IMAGES: 1_648_877,
        TEST_LABELS: 4_542,
    },
    raw_md5={
        TRAIN_IMAGES: "6bbc9ace898e44ae57da46a324031adb",
        TRAIN_LABELS: "a25bea736e30d166cdddb491f175f624",
        TEST_IMAGES: "2646ac647ad5339dbf082846283269ea",
        TEST_LABELS: "27ae3e4e09519cfbb04c329615203637",
    },
    classes=tuple("0123456789"),
)

FASHION_MNIST = IdxFiles(
    name="fashion-mnist",
    folder="FashionMNIST/raw",
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    gz_md5={
        TRAIN_IMAGES: "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        TRAIN_LABELS: "25c81989df183df01b3e8a0aad5dffbe",
        TEST_IMAGES: "bef4ecab320f06d8554ea6380940ec79",
        TEST_LABELS: "bb300cfdad3c16e7a12a480ee83cd310",
    },
    gz_sizes={
        TRAIN_IMAGES: 26_421_880,
        TRAIN_LABELS: 29_515,
        TEST_IMAGES: 4_422_102,
        TEST_LABELS: 5_148,
    },
    raw_md5={},
    classes=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
)  # fmt: skip


def read_idx_dataset(
    files: IdxFiles, progress: Progress = no_progress
) -> tuple[ImageSet, ImageSet]:
    """Read the official training and test sets, images of shape `(N, 28, 28, 1)`.

    Each file is taken, compressed or not, from the first of `data_folders()` that has it, else it
    is downloaded and checked. Raises NeocogError if a file is damaged, truncated or has the wrong
    content, or if it can neither be found nor downloaded.
    """
    train_images, train_labels, test_images, test_labels = (
        _read(files, name, progress)
        for name in (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)
    )
    return (
        _image_set(files, train_images, train_labels),
        _image_set(files, test_images, test_labels),
    )


def _image_set(files: IdxFiles, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> ImageSet:
    if len(images) != len(labels) or images.ndim != 3 or labels.ndim != 1:
        raise NeocogError(
            f"The files of {files.name} do not belong together: {images.shape} images and "
            f"{labels.shape} labels."
        )
    if labels.size and labels.max() >= len(files.classes):
        raise NeocogError(
            f"{files.name} has a label {labels.max()} and {len(files.classes)} classes."
        )
    return ImageSet(images[:, :, :, None], labels.astype(np.int64), files.classes)


def _read(files: IdxFiles, name: str, progress: Progress) -> NDArray[np.uint8]:
    for folder in data_folders():
        for path in (folder / files.folder / name, folder / files.folder / f"{name}.gz"):
            if path.is_file():
                return _read_idx(path, files.raw_md5.get(name))
    return _read_idx(_download(files, name, progress), files.raw_md5.get(name))


def _download(files: IdxFiles, name: str, progress: Progress) -> Path:
    destination = downloads_folder() / files.folder / f"{name}.gz"
    addresses = [mirror + destination.name for mirror in files.mirrors]
    by_hand = (
        f"Put its four *-ubyte.gz files into {destination.parent} (or {files.folder} below "
        "a folder named by NEOCOG_DATA)."
    )
    md5, size = files.gz_md5[name], files.gz_sizes[name]
    return fetch_set(files.name, addresses, destination, md5, size, by_hand, progress)


def _read_idx(path: Path, md5: str | None) -> NDArray[np.uint8]:
    """Read an IDX file: two zero bytes, type 8 (uint8), the number of dimensions, sizes, data."""
    hint = f"Delete it and try again, or copy it again: {path}"
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise NeocogError(f"{path} is damaged or truncated ({error}).", hint) from None
    if len(content) > MAX_BYTES:
        raise NeocogError(f"{path} unpacks to more than {MAX_BYTES // 2**20} MB.", hint)
    dimensions = content[3] if len(content) > 4 and content[:3] == b"\0\0\x08" else 0
    header = 4 + 4 * dimensions
    if not 1 <= dimensions <= 3 or len(content) < header:
        raise NeocogError(f"{path} is not an IDX file of bytes, as MNIST's are.", hint)
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise NeocogError(
            f"{path} is truncated or damaged: its header promises {math.prod(shape):,} bytes and "
            f"{len(content) - header:,} follow.",
            hint,
        )
    if md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise NeocogError(f"{path} is not the official file: its MD5 differs from {md5}.", hint)
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
