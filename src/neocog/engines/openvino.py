"""An optional engine: OpenVINO, which can compute in bfloat16 on processors that have it."""

import numpy as np
from numpy.typing import NDArray

from neocog.data.images import Images
from neocog.engines import NetworkFacts
from neocog.errors import NeocogError
from neocog.progress import Progress, no_progress


class OpenVinoEngine:
    """Runs the graph of an ONNX file, given by its `content`, in float32 or bfloat16.

    Raises NeocogError if OpenVINO is not installed.
    """

    name = "openvino"

    def __init__(self, content: bytes, facts: NetworkFacts, bfloat16: bool = False) -> None:
        try:
            import openvino
        except ImportError:
            raise NeocogError(
                "OpenVINO is not installed.", "Install it: pip install 'neocog[openvino]'"
            ) from None
        self.facts = facts
        core = openvino.Core()
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
