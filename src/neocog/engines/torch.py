"""The reference engine: the network itself, run by PyTorch on a CPU or GPU."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from neocog.allocator import keep_freed_memory
from neocog.data.images import Images
from neocog.data.preprocess import Preprocessing
from neocog.engines import NetworkFacts
from neocog.errors import UnknownNameError, UsageError
from neocog.inspection.layers import layers_to_json
from neocog.inspection.summary import summarize_layers
from neocog.models.inference import InferenceModule, batch_size_for, predict_logits
from neocog.models.protocols import RejectsByOutput
from neocog.progress import Progress, no_progress


class TorchEngine:
    """Runs a network where it is, with the preprocessing and temperature of its classifier."""

    name = "torch"
    precision = None

    def __init__(
        self, network: nn.Module, preprocessing: Preprocessing, temperature: float = 1.0
    ) -> None:
        self.module = InferenceModule(network, preprocessing, temperature)

    @property
    def facts(self) -> NetworkFacts:
        """What is known of the network."""
        return network_facts(self.module)

    def logits(self, images: Images, progress: Progress = no_progress) -> NDArray[np.float32]:
        """Logits `(N, K)` of uint8 images `(N, H, W, C)`, as `Engine.logits`."""
        keep_freed_memory()
        logits: NDArray[np.float32] = predict_logits(self.module, images, progress).cpu().numpy()
        return logits


def network_facts(module: InferenceModule) -> NetworkFacts:
    """The facts of the network in `module`."""
    network, rule = module.network, module.preprocessing
    return NetworkFacts(
        parameters=sum(p.numel() for p in network.parameters() if p.requires_grad),
        batch_size=batch_size_for((1, *rule.image_size, rule.channels), network),
        rejects_by_output=isinstance(network, RejectsByOutput),
        temperature=module.temperature,
    )


def layer_table(module: InferenceModule) -> str:
    """The layers of the network in `module`, as an exported file records them."""
    rule = module.preprocessing
    return layers_to_json(summarize_layers(module.network, (rule.channels, *rule.image_size)))


def pick_device(name: str) -> torch.device:
    """The torch device for auto, cpu, cuda or mps. Raises UsageError if the machine has none."""
    has = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in has.items() if there))
    if name not in has:
        raise UnknownNameError(f"There is no device {name!r}.", "Known: auto, cpu, cuda, mps.")
    if not has[name]:
        raise UsageError(
            f"This machine has no {name} device.", "Use {settings}.", [("device", "auto")]
        )
    return torch.device(name)
