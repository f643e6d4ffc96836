"""Compare an exported file with the network that it was made from, on images as files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog.data.decode import read_bytes, read_images
from neocog.data.preprocess import Preprocessing
from neocog.engines.onnx_runtime import open_session
from neocog.errors import NeocogError
from neocog.wording import counted

TOLERANCE = 1e-5  # of a probability, for float32
MAX_IMAGES = 256
BATCH_SIZES = (1, 32)  # of the first batch, and of all others: a graph must take any

# Probabilities `(N, K)` of images of the network's size, uint8 `(N, H, W, C)`.
Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Parity:
    """The difference between a file's predictions and the network's, on `n` images.

    `images` names them. `labels_differ` counts the images with another label;
    `largest_difference` is that of any probability. `tolerance` is the largest that is accepted,
    or None if the accuracy decides, as for int8.
    """

    n: int
    images: str
    labels_differ: int
    largest_difference: float
    tolerance: float | None = TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether all labels are the same and all differences are within the tolerance."""
        if self.tolerance is None:
            return True
        return self.labels_differ == 0 and self.largest_difference <= self.tolerance

    def describe(self) -> str:
        """The result as one sentence."""
        same = "same labels"
        if self.labels_differ:
            same = f"{counted(self.labels_differ, 'label')} of {self.n:,} differ"
        limit = "" if self.tolerance is None else f" (limit {self.tolerance:g})"
        return (
            f"{counted(self.n, 'image')} ({self.images}): {same}, probabilities differ by at most "
            f"{self.largest_difference:.1e}{limit}"
        )


def compare(
    expected: NDArray[np.float32],
    found: NDArray[np.float32],
    images: str,
    tolerance: float | None = TOLERANCE,
) -> Parity:
    """Compare probabilities, `(N, K)` each. Values that are not numbers differ by infinity."""
    assert expected.shape == found.shape and len(expected)
    differences = np.nan_to_num(np.abs(expected - found), nan=np.inf)
    differ = int((expected.argmax(1) != found.argmax(1)).sum())
    return Parity(len(expected), images, differ, float(differences.max()), tolerance)


def run_in_batches(network: Network, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities `(N, K)` of uint8 images `(N, H, W, C)`, in batches of different sizes."""
    first, size = BATCH_SIZES
    begins = [0, *range(first, len(images), size)]
    ends = [*begins[1:], len(images)]
    batches = [network(images[a:b]) for a, b in zip(begins, ends, strict=True)]
    return np.concatenate(batches)


def fit_files(
    sources: Sequence[Path | bytes | Callable[[], bytes]], rule: Preprocessing
) -> tuple[NDArray[np.uint8], list[bytes]]:
    """Decode image files to the network's input; return it with the files that could be read.

    Raises NeocogError if no file can be read.
    """
    contents = []
    for source in sources:
        try:
            contents.append(read_bytes(source))
        except NeocogError:
            contents.append(b"")
    read = read_images(contents, rule.transform_image, rule.shrink_to)
    used = [(array, content) for array, content in zip(read, contents, strict=True)
            if not isinstance(array, str)]  # fmt: skip
    if not used:
        raise NeocogError("None of the images for the comparison can be read.")
    return np.stack([array for array, _ in used]), [content for _, content in used]


def onnx_network(model: bytes) -> Network:
    """The probabilities that ONNX Runtime computes with an ONNX file, on the CPU.

    Raises NeocogError if ONNX Runtime refuses the file.
    """
    try:
        session = open_session(model, Path("the file"))
    except NeocogError as error:
        reason = error.message.rstrip(".")
        raise NeocogError(f"ONNX Runtime cannot read the exported graph ({reason}).") from None

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = session.run(["probabilities"], {"images": images})[0]
        return probabilities

    return run
