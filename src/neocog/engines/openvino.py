"""An optional engine: OpenVINO, which can compute in bfloat16 on processors that have it."""

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.images import Images
from neocog.engines import NetworkFacts
from neocog.engines.onnx_runtime import CARD_KEY, WEIGHTS_KEY
from neocog.errors import NeocogError
from neocog.progress import Progress, no_progress


class OpenVinoEngine:
    """Runs the graph of an ONNX file, given by its `content`, in float32 or bfloat16.

    A processor without bfloat16 uses float32. Raises NeocogError if OpenVINO is not installed.
    """

    name = "openvino"

    def __init__(self, content: bytes, facts: NetworkFacts, bfloat16: bool = False) -> None:
        self.facts = facts
        core = shared_core()
        bfloat16 = bfloat16 and has_bfloat16(core)
        self.precision = "bfloat16" if bfloat16 else "float32"
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.network = core.compile_model(core.read_model(content, b""), "CPU", settings)

    def logits(self, images: Images, progress: Progress = no_progress) -> NDArray[np.float32]:
        """Logits `(N, K)` of uint8 images `(N, H, W, C)`, as `Engine.logits`."""
        batches = []
        for begin in range(0, len(images), self.facts.batch_size):
            batch = np.ascontiguousarray(images[begin : begin + self.facts.batch_size])
            batches.append(self.network(batch)["logits"].copy())
            progress("predict", begin + len(batch), len(images))
        return np.concatenate(batches) if batches else np.empty((0, 0), np.float32)


@functools.cache
def shared_core() -> Any:
    """The `openvino.Core` of this process, which is never deleted.

    Its CPU plugin gives the main thread a stack for signal handlers. A plugin that is deleted in
    another thread frees that stack, and the next signal would end the process. Raises NeocogError
    if OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError:
        raise NeocogError(
            "OpenVINO is not installed.", "Install it: pip install 'neocog[openvino]'"
        ) from None
    return openvino.Core()


def has_bfloat16(core: Any) -> bool:
    """Whether the processor computes in bfloat16; `core` is an `openvino.Core`."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def exported_metadata(graph: Path) -> dict[str, str]:
    """The metadata of an OpenVINO file that `neocog export` wrote; empty for any other file.

    `graph` is its `.xml`; its `.bin` lies beside it.
    """

    try:
        content, weights = graph.read_bytes(), graph.with_suffix(".bin").read_bytes()
        model = shared_core().read_model(io.BytesIO(content), io.BytesIO(weights))
    except (OSError, RuntimeError):  # there is none, or it is damaged
        return {}
    keys = [key for key in (CARD_KEY, WEIGHTS_KEY) if model.has_rt_info([key])]
    return {key: str(model.get_rt_info([key]).value) for key in keys}
