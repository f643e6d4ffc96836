"""Networks: from pictures to logits. `MODELS` is the whole list."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neocog.errors import unknown

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Network:
    """An entry of `MODELS`: where the class is, and where it comes from.

    `location` is "module:Class" below `neocog.models`; the module, and torch with it, is imported
    when the network is built. `input` is the size the network was made for.
    """

    location: str
    year: int
    paper: str
    input: str


MODELS: dict[str, Network] = {
    "threenet": Network(
        "mlp:ThreeNet", 1986, "Rumelhart, Hinton, Williams: back-propagating errors", "1 x 28 x 28"
    ),
    "lenet": Network(
        "lenet:LeNet", 1998, "LeCun et al.: document recognition (max-pool form)", "1 x 28 x 28"
    ),
    "lenet5": Network(
        "lenet:LeNet5", 1998, "LeCun et al.: document recognition (modern form)", "1 x 28 x 28"
    ),
    "convnet": Network(
        "convnet:ConvNet", 2015, "Ioffe, Szegedy: batch normalization", "1 x 28 x 28"
    ),
    "stridednet": Network(
        "convnet:StridedNet", 2015, "Springenberg et al.: striving for simplicity", "1 x 28 x 28"
    ),
    "stridednet-small": Network(
        "convnet:StridedNetSmall",
        2015,
        "Springenberg et al.: striving for simplicity (narrow)",
        "1 x 28 x 28",
    ),
}


def build(
    name: str, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> "nn.Module":
    """A new network with random weights: N x C x H x W floats to N x K logits.

    `image_size` is (height, width). Random weights come from torch's global generator. Raises
    UsageError for an unknown name or pictures too small for the network.
    """
    if name not in MODELS:
        raise unknown("network", name, MODELS)
    module, _, network = MODELS[name].location.partition(":")
    made: nn.Module = getattr(importlib.import_module(f"neocog.models.{module}"), network)(
        num_classes, in_channels, image_size
    )
    return made


__all__ = ["MODELS", "Network", "build"]
