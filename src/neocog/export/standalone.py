"""What makes an exported file usable alone: a script beside it, and a self-test inside it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.decode import read_images
from neocog.data.preprocess import Preprocessing
from neocog.export.images import examples
from neocog.export.parity import TOLERANCE as PROBABILITY_TOLERANCE
from neocog.export.parity import Network, Parity, compare
from neocog.export.scripts import digits, predict_onnx
from neocog.json_fields import parse

SCRIPT = "predict_onnx.py"
SELFTEST_KEY = "neocog_selftest"  # in the metadata of a file
EXAMPLES = 8
# Of a probability: other CPUs, other versions of ONNX Runtime. Int8 rounds differently on CPUs with
# and without VNNI.
TOLERANCE, INT8_TOLERANCE = 1e-4, 0.1
SCRIPT_IMAGES = 16


@dataclass(frozen=True)
class SelfTest:
    """Image files, and their probabilities `(N, K)`, which may differ by `tolerance`."""

    files: list[bytes]
    probabilities: NDArray[np.float32]
    tolerance: float


def selftest(network: Network, rule: Preprocessing, tolerance: float) -> str:
    """Return the self-test of a file as JSON: images as base64 PNG, and their probabilities."""
    files = examples(rule, EXAMPLES)
    images = read_images(files, rule.transform_image, rule.shrink_to)
    rows = []
    for content, image in zip(files, images, strict=True):
        assert not isinstance(image, str), image
        (probabilities,) = network(image[None])
        png = base64.b64encode(content).decode()
        rows.append({"png": png, "probabilities": np.asarray(probabilities, float).tolist()})
    return json.dumps({"tolerance": tolerance, "images": rows})


def read_selftest(text: str, classes: int) -> SelfTest:
    """Read what `selftest` wrote for a number of `classes`. Raises ValueError for anything else."""
    try:
        test = parse(text)
        tolerance, rows = float(test["tolerance"]), test["images"]
        files = [base64.b64decode(row["png"]) for row in rows]
        probabilities = np.array([row["probabilities"] for row in rows], np.float32)
    except (KeyError, TypeError, ValueError):
        raise ValueError("lacks images or probabilities.") from None
    if probabilities.shape != (len(files), classes) or not 0 <= tolerance <= INT8_TOLERANCE:
        raise ValueError("belongs to another network.")
    return SelfTest(files, probabilities, tolerance)


def script_for(rule: Preprocessing, model_name: str) -> str:
    """Return the script that predicts images with the file `model_name`, without Neocog."""
    folder: Any = resources.files("neocog.export") / "scripts"
    text: str = (folder / "predict_onnx.py").read_text("utf-8")
    if rule.fit == "digit":
        begin, end = text.index("def fit("), text.index("def main(")
        own: str = (folder / "digits.py").read_text("utf-8")
        text = text[:begin] + own[own.index("def ") :] + "\n\n" + text[end:]
        text = text.replace("import Image, ImageOps", "import Image, ImageFilter, ImageOps")
    return text.replace('"model.onnx"', json.dumps(model_name), 1)


def is_own(script: Path) -> bool:
    """Whether a file is a script that `script_for` wrote."""
    try:
        return '"neocog_selftest"' in script.read_text("utf-8", errors="replace")
    except OSError:
        return False


def check_script(
    contents: Sequence[bytes],
    images: NDArray[np.uint8],
    rule: Preprocessing,
    network: Network,
) -> Parity:
    """Compare the script's preprocessing with Neocog's, by the probabilities of SCRIPT_IMAGES.

    `contents` are image files, and `images` the same after Neocog's preprocessing. Digits that the
    script has to find in a photo have no tolerance: it does so in a shorter way.
    """
    script: Any = digits if rule.fit == "digit" else predict_onnx
    chosen = np.unique(np.linspace(0, len(contents) - 1, SCRIPT_IMAGES).astype(int))
    values = rule.to_json()
    found = np.stack([script.fit(predict_onnx.decode(contents[n], values), values) for n in chosen])
    same = np.array_equal(found, images[chosen])
    exact = rule.fit != "digit" or same
    return compare(
        network(images[chosen]),
        network(found),
        "files read by the script",
        PROBABILITY_TOLERANCE if exact else None,
    )
