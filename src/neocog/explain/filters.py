"""The weights of a layer as images."""

import torch
from torch import Tensor, nn

from neocog.inspection.hooks import evaluating, record_layers


def first_filters(model: nn.Module, inputs: Tensor) -> tuple[str, Tensor] | None:
    """The name of the first layer with weights and its filters, F x C x h x w on the CPU.

    For a first fully connected layer each unit's weights lie as the pixels do that they belong to.
    None where the first layer with weights is neither. `inputs` are an image or more,
    N x C x H x W.
    """
    first: list[tuple[str, Tensor]] = []

    def note(name: str, module: nn.Module, given: Tensor, output: Tensor) -> None:
        del given, output
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.dim() >= 2 and not first:
            first.append((name, weight.detach().float().cpu()))

    with torch.no_grad(), evaluating(model), record_layers(model, note):
        model(inputs[:1])
    if not first:
        return None
    name, weight = first[0]
    if weight.dim() == 4:
        return name, weight
    if weight.dim() == 2 and weight.shape[1] == inputs[0].numel():
        return name, weight.view(-1, *inputs.shape[1:])
    return None
