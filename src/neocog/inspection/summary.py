"""A summary of any network: layers, shapes, parameters, FLOPs, receptive fields."""

import math

import torch
from torch import Tensor, nn

from neocog.inspection.hooks import evaluation_mode, record_layers
from neocog.inspection.layers import ImageShape, LayerSummary
from neocog.inspection.receptive_field import ReceptiveFieldTensor, update_receptive_field


def summarize_layers(model: nn.Module, size: ImageShape) -> list[LayerSummary]:
    """The layers of a network in the order in which an image of size (C, H, W) passes them.

    On the meta device no memory is needed, but its first use imports for two seconds.
    """
    layers: list[LayerSummary] = []

    def record(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        assert isinstance(output, ReceptiveFieldTensor)
        kernel_size, stride = update_receptive_field(module, inputs, output)
        has_kernel = kernel_size > 1 or isinstance(module, nn.Conv2d)
        trainable = [p.numel() for p in module.parameters() if p.requires_grad]
        is_repeated = name.endswith(")")
        fully, locally = _without_sharing(module, inputs, output)
        layers.append(
            LayerSummary(
                name=name,
                kind=type(module).__name__,
                kernel_size=kernel_size if has_kernel else None,
                stride=stride if has_kernel else 1,
                output=tuple(output.shape[1:]),
                parameters=0 if is_repeated else sum(trainable),
                flops=_flops(module, output),
                receptive_field=output.field,
                fully_connected_parameters=fully,
                locally_connected_parameters=locally,
            )
        )

    with torch.no_grad(), evaluation_mode(model), record_layers(model, record):
        device = next(model.parameters()).device
        model(torch.zeros(1, *size, device=device).as_subclass(ReceptiveFieldTensor))
    return layers


def _flops(module: nn.Module, output: Tensor) -> int:
    """FLOPs of one layer for one image.

    Not torch.utils.flop_counter, which is as fast but counts the zeros in the connection tables of
    LeNet-1 and LeNet-5 (833,040 instead of 656,192 for LeNet-5) and does not attribute functional
    calls to layers. For all other networks a test holds both to the same number.
    """
    if isinstance(module, nn.MultiheadAttention):
        tokens, width = output.shape[1], output.shape[2]
        # Four projections, then all pairs of tokens: their products, and the weighted sums.
        return 2 * tokens * width * (4 * width + 2 * tokens)
    weight = getattr(module, "weight", None)
    if weight is None or weight.dim() < 2:
        return 0
    if isinstance(module, nn.Linear):  # applied to every token, where there are tokens
        return 2 * weight.numel() * math.prod(output.shape[1:-1])
    return 2 * weight.numel() * math.prod(output.shape[2:])


def _without_sharing(
    module: nn.Module, inputs: Tensor, output: Tensor
) -> tuple[int | None, int | None]:
    """Parameters of a convolution if it were fully connected, and if it were locally connected."""
    weight = getattr(module, "weight", None)
    if output.dim() != 4 or weight is None or weight.dim() < 3 or weight.shape[1:] == (1, 1):
        return None, None
    units = output[0].numel()
    biases = units if getattr(module, "bias", None) is not None else 0
    fully = inputs[0].numel() * units + biases
    return fully, weight.numel() * math.prod(output.shape[2:]) + biases
