"""Inference engines: uint8 images to logits, by different libraries and with the same results.

`onnx_runtime` is the default wherever nothing is trained or explained: it is faster than PyTorch on
a CPU, and importing it takes a tenth of the time. `torch` is the reference, and runs on a GPU.
`openvino` is an extra.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from neocog.data.images import Images
from neocog.progress import Progress, no_progress

ENGINES = ("auto", "onnx", "torch", "openvino")


@dataclass(frozen=True)
class NetworkFacts:
    """What must be known of a network without building it.

    `parameters` is the number of trainable parameters, `batch_size` the number of images that a
    batch should have. `rejects_by_output` is that of `models.protocols.RejectsByOutput`.
    `temperature` is the number by which the engine divides the logits.
    """

    parameters: int
    batch_size: int
    rejects_by_output: bool = False
    temperature: float = 1.0


class Engine(Protocol):
    """Runs a network with its normalisation, mirrored views and temperature."""

    @property
    def name(self) -> str:
        """The engine's name in `ENGINES`."""

    @property
    def precision(self) -> str | None:
        """The precision that the engine chose, float32 or bfloat16; None if the graph says it."""

    @property
    def facts(self) -> NetworkFacts:
        """What is known of the network."""

    def logits(self, images: Images, progress: Progress = no_progress) -> NDArray[np.float32]:
        """Logits `(N, K)` of uint8 images `(N, H, W, C)`, computed batch by batch.

        The stage of `progress` is `predict`, in images.
        """


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities `(N, K)` of logits `(N, K)`."""
    if not logits.size:
        return logits
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
