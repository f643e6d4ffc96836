"""What a convolution saves: its parameters against full and local connection."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neocog.demos.convolution import no_convolution
from neocog.errors import NeocogError
from neocog.inspection.hooks import evaluating, record_layers
from neocog.models import build, describe
from neocog.models.summary import details


@dataclass(frozen=True)
class Sharing:
    """A convolution's parameters, biases included, by how its outputs are connected.

    `full`: every output to every input. `local`: every output to its own window, with weights of
    its own. `shared`: all places of a map with one window of weights, which is a convolution.
    """

    layer: str
    input: tuple[int, int, int]
    output: tuple[int, int, int]
    kernel: tuple[int, int]
    groups: int
    bias: bool
    full: int
    local: int
    shared: int


def sharing(
    name: str | None = None, layer: str | None = None, size: str | None = None
) -> tuple[str, list[Sharing]]:
    """A network's name and its convolutions' parameters, or those of one `layer`.

    `name` is as in `models.build`, by default lenet5; without one a `layer` may also be a
    convolution as a pattern writes it, conv5-6p0. `size` is the input as in `summary.details`.
    Raises as these do, UsageError for a layer that is no convolution, and NeocogError for a network
    without any.
    """
    if name is None and layer is not None and "-" in layer:
        name, layer = f"{layer} fc", None
    name = name or "lenet5"
    channels, height, width = map(int, details(name, size)["input"].split(" x "))
    with torch.device("meta"):
        model = build(name, describe(name).num_classes, channels, (height, width)).to("meta")
    return name, of_network(model, (channels, height, width), layer)


def of_network(
    model: nn.Module, size: tuple[int, int, int], layer: str | None = None
) -> list[Sharing]:
    """The convolutions that an image, channels x height x width, meets in a network; or one.

    The network may be on the meta device: nothing is computed. Raises UsageError for a layer that
    is no convolution, NeocogError where there is none at all, and for one with a table.
    """
    found: dict[str, Sharing] = {}
    modules = dict(model.named_modules())

    def note(name: str, module: nn.Module, given: Tensor, made: Tensor) -> None:
        if not isinstance(module, nn.Conv2d) or name not in modules:  # run a second time
            return
        channels, height, width = given.shape[1:]
        maps, rows, columns = made.shape[1:]
        outputs, inputs = maps * rows * columns, channels * height * width
        biases = 0 if module.bias is None else 1
        window = module.weight[0].numel()
        found[name] = Sharing(
            name,
            (channels, height, width),
            (maps, rows, columns),
            (module.kernel_size[0], module.kernel_size[1]),
            module.groups,
            bool(biases),
            full=(inputs + biases) * outputs,
            local=(window + biases) * outputs,
            shared=(window + biases) * maps,
        )

    inputs = torch.empty(1, *size, device=next(model.parameters()).device)
    with torch.no_grad(), evaluating(model), record_layers(model, note):
        model(inputs)
    if not found:
        raise NeocogError(
            "The network has no convolution, and shares no weights.",
            "For example: neocog demo sharing --model lenet5",
        )
    if layer is not None and layer not in found:
        raise no_convolution(layer, found, modules)
    return list(found.values()) if layer is None else [found[layer]]
