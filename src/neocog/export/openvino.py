"""A trained network as OpenVINO's two files, made from its ONNX file."""

import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.engines import openvino as openvino_engine
from neocog.errors import UsageError
from neocog.export.parity import Network


def to_openvino(model: bytes, metadata: Mapping[str, str]) -> dict[str, bytes]:
    """Convert an ONNX file to OpenVINO's `.bin` and `.xml`, by suffix.

    `metadata` goes into the `.xml` as `rt_info`. The file is read by `read_model`: OpenVINO's
    `convert_model` reports its use over the network, and Neocog sends no telemetry. Raises
    UsageError if OpenVINO is not installed.
    """
    openvino = require()
    converted = openvino_engine.shared_core().read_model(io.BytesIO(model))
    for key, value in metadata.items():
        converted.set_rt_info(value, [key])
    with tempfile.TemporaryDirectory(prefix="neocog-") as folder:
        graph, weights = Path(folder, "model.xml"), Path(folder, "model.bin")
        openvino.serialize(converted, graph, weights)
        return {".bin": weights.read_bytes(), ".xml": graph.read_bytes()}


def openvino_network(weights: bytes, graph: bytes, precision: str = "f32") -> Network:
    """The probabilities that OpenVINO computes on the CPU with a `.xml` and its `.bin`.

    `precision` is "f32" or "bf16".
    """
    require()
    core = openvino_engine.shared_core()
    compiled = core.compile_model(
        core.read_model(graph, weights), "CPU", {"INFERENCE_PRECISION_HINT": precision}
    )

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = compiled([images])["probabilities"]
        return np.array(probabilities)

    return run


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16."""
    require()
    return openvino_engine.has_bfloat16(openvino_engine.shared_core())


def require() -> Any:
    """Import OpenVINO. Raises UsageError if it is not installed."""
    try:
        import openvino
    except ImportError:
        raise UsageError(
            "OpenVINO is not installed.",
            "Install it: pip install 'neocog[openvino]'",
        ) from None
    return openvino
