"""Weight sharing: parameters of a convolution against full and local connections."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neocog.demos.convolution import unknown_convolution
from neocog.errors import NeocogError
from neocog.inspection.hooks import evaluation_mode, record_layers
from neocog.inspection.layers import ImageShape
from neocog.models import build, describe
from neocog.models.summary import parse_input


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters of one convolution, biases included, for three ways to connect its outputs.

    Attributes:
        layer: Its name.
        input: (C, H, W) of its input.
        output: (C, H, W) of its output.
        kernel: (height, width).
        groups: As in nn.Conv2d.
        bias: Whether it has a bias.
        full: Every output is connected to every input.
        local: Every output has its own window of weights.
        shared: All outputs of a feature map share one window of weights: a convolution.
    """

    layer: str
    input: ImageShape
    output: ImageShape
    kernel: tuple[int, int]
    groups: int
    bias: bool
    full: int
    local: int
    shared: int


def count_parameters(
    name: str | None = None, layer: str | None = None, size: str | None = None
) -> tuple[str, list[ParameterCounts]]:
    """The name of a network and the counts of its convolutions, or of one `layer`.

    `name` is as in `models.build`, lenet5 by default. Without a name, `layer` can also be a
    convolution in pattern notation, such as conv5-6p0. `size` is the input, such as "1x28x28".
    Raises as `models.build` and `parse_input` do, UsageError for a layer that is not a convolution,
    and NeocogError for a network without convolutions.
    """
    if name is None and layer is not None and "-" in layer:
        name, layer = f"{layer} fc", None
    name = name or "lenet5"
    network = describe(name)
    shape = parse_input(size) if size is not None else network.input
    with torch.device("meta"):
        model = build(name, network.num_classes, shape[0], shape[1:]).to("meta")
    return name, count_in_network(model, shape, layer)


def count_in_network(
    model: nn.Module, size: ImageShape, layer: str | None = None
) -> list[ParameterCounts]:
    """The counts of every convolution that an image of size (C, H, W) passes, or of one `layer`.

    The network may be on the meta device. Raises UsageError for a layer that is not a convolution,
    NeocogError for a network without convolutions or a layer with a connection table.
    """
    counts: dict[str, ParameterCounts] = {}
    modules = dict(model.named_modules())

    def record(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        if not isinstance(module, nn.Conv2d) or name not in modules:  # the second run of a layer
            return
        channels, height, width = inputs.shape[1:]
        maps, rows, columns = output.shape[1:]
        num_outputs, num_inputs = maps * rows * columns, channels * height * width
        biases = 0 if module.bias is None else 1
        window = module.weight[0].numel()
        counts[name] = ParameterCounts(
            name,
            (channels, height, width),
            (maps, rows, columns),
            (module.kernel_size[0], module.kernel_size[1]),
            module.groups,
            bool(biases),
            full=(num_inputs + biases) * num_outputs,
            local=(window + biases) * num_outputs,
            shared=(window + biases) * maps,
        )

    image = torch.empty(1, *size, device=next(model.parameters()).device)
    with torch.no_grad(), evaluation_mode(model), record_layers(model, record):
        model(image)
    if not counts:
        raise NeocogError(
            "The network has no convolution, so it shares no weights.",
            "For example: neocog demo sharing --model lenet5",
        )
    if layer is not None and layer not in counts:
        raise unknown_convolution(layer, counts, modules)
    return list(counts.values()) if layer is None else [counts[layer]]
