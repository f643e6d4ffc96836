"""The filters of the first layer."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neocog.inspection.hooks import evaluation_mode, record_layers


@dataclass(frozen=True)
class Filters:
    """The weights of the layer named `layer` as filters (F, C, h, w), on the CPU."""

    layer: str
    weights: Tensor


def first_filters(model: nn.Module, inputs: Tensor) -> Filters | None:
    """The filters of the first layer with weights.

    The weights of a fully connected layer are reshaped to those of the image, one filter per unit.
    None if the layer is neither convolutional nor fully connected. `inputs` is (N, C, H, W).
    """
    layers: list[tuple[str, Tensor]] = []

    def record(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        del inputs, output
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.dim() >= 2:
            layers.append((name, weight))

    with torch.no_grad(), evaluation_mode(model), record_layers(model, record):
        model(inputs[:1])
    if not layers:
        return None
    name, weight = layers[0][0], layers[0][1].detach().float().cpu()
    if weight.dim() == 4:
        return Filters(name, weight)
    if weight.dim() == 2 and weight.shape[1] == inputs[0].numel():
        return Filters(name, weight.view(-1, *inputs.shape[1:]))
    return None
