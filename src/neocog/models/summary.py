"""What the networks are made of, in numbers: layers, shapes, parameters, FLOPs, receptive field."""

import math
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.inspection.hooks import evaluating, record_layers
from neocog.inspection.receptive_field import ReceptiveFieldTensor, look
from neocog.models import MODELS, Network, build, describe


@dataclass(frozen=True)
class Layer:
    """One layer of a network, for one image.

    `flops` counts a multiplication and an addition as two, in layers with weights; norms,
    activations and pooling, about a hundredth, are left out. `receptive_field` is the side, in
    pixels of the input, of what a unit sees, borders included. `fully_connected_parameters` is what
    the layer would have if each output saw each input, `locally_connected_parameters` if it saw
    its window only but shared no weights; None for layers that are no convolution.
    """

    name: str
    kind: str
    kernel: str
    output: list[int]
    parameters: int
    flops: int
    receptive_field: int
    fully_connected_parameters: int | None
    locally_connected_parameters: int | None


def rows() -> list[dict[str, Any]]:
    """One row a network: name, year, paper, input, classes, and its parameters and FLOPs there."""
    return [dict(_facts_and_layers(name, network)[0]) for name, network in MODELS.items()]


def details(name: str, size: str | None = None) -> dict[str, Any]:
    """The row of one network, or of a layer pattern, with its `layers`.

    `size` is the input as channels x height x width, "3x32x32"; None is what the network was made
    for, a grey 28 x 28 for a pattern. Raises UsageError for an unknown network, a pattern that
    cannot be read, or an input that does not fit.
    """
    network = describe(name)
    if size is not None:
        parts = size.replace(" ", "").split("x")
        if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
            raise UsageError(
                f"An input is channels x height x width, not {size!r}.",
                "For example: --input 3x32x32",
            )
        network = replace(network, input=" x ".join(parts))
    facts, found = _facts_and_layers(name, network)
    return {**facts, "layers": [asdict(layer) for layer in found]}


@cache
def _facts_and_layers(name: str, network: Network) -> tuple[dict[str, Any], list[Layer]]:
    """A network's row and its layers, made without memory for its weights."""
    channels, height, width = map(int, network.input.split(" x "))
    with torch.device("meta"):
        model = build(name, network.num_classes, channels, (height, width)).to("meta")
    found = layers(model, (channels, height, width))
    facts = {
        "name": name,
        "year": network.year,
        "paper": network.paper,
        "input": network.input,
        "num_classes": network.num_classes,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "flops": sum(layer.flops for layer in found),
    }
    return facts, found


def layers(model: nn.Module, size: tuple[int, int, int]) -> list[Layer]:
    """The layers of a network, in the order in which an image meets them.

    `size` is the input's channels, height and width. A layer that is met twice is listed twice, its
    parameters once. On the meta device no memory is needed, but what torch imports for it takes two
    seconds.
    """
    found: list[Layer] = []

    def note(name: str, module: nn.Module, given: Tensor, output: Tensor) -> None:
        assert isinstance(output, ReceptiveFieldTensor)
        kernel, stride = look(module, given, output)
        parts = [part for part in module.parameters() if part.requires_grad]
        has_kernel = kernel > 1 or isinstance(module, nn.Conv2d)
        again = name.endswith(")")
        found.append(
            Layer(
                name=name,
                kind=type(module).__name__,
                kernel=_kernel(kernel, stride) if has_kernel else "",
                output=list(output.shape[1:]),
                parameters=0 if again else sum(p.numel() for p in parts),
                flops=_flops(module, output),
                receptive_field=output.field,
                **_without_sharing(module, given, output),
            )
        )

    with torch.no_grad(), evaluating(model), record_layers(model, note):
        device = next(model.parameters()).device
        model(torch.zeros(1, *size, device=device).as_subclass(ReceptiveFieldTensor))
    return found


def _kernel(kernel: int, stride: int) -> str:
    return f"{kernel} x {kernel}" + (f" / {stride}" if stride > 1 else "")


def _flops(module: nn.Module, output: Tensor) -> int:
    if isinstance(module, nn.MultiheadAttention):
        places, width = output.shape[1], output.shape[2]
        # Four projections, then every place with every place: their products, and the sums.
        return 2 * places * width * (4 * width + 2 * places)
    weight = getattr(module, "weight", None)
    if weight is None or weight.dim() < 2:
        return 0
    if isinstance(module, nn.Linear):  # at every place, where there are some
        return 2 * weight.numel() * math.prod(output.shape[1:-1])
    return 2 * weight.numel() * math.prod(output.shape[2:])


def _without_sharing(module: nn.Module, given: Tensor, output: Tensor) -> dict[str, int | None]:
    """What a convolution would cost as full connection, and with windows but no shared weights."""
    weight = getattr(module, "weight", None)
    if output.dim() != 4 or weight is None or weight.dim() < 3 or weight.shape[1:] == (1, 1):
        return {"fully_connected_parameters": None, "locally_connected_parameters": None}
    units = output[0].numel()
    biases = units if getattr(module, "bias", None) is not None else 0
    return {
        "fully_connected_parameters": given[0].numel() * units + biases,
        "locally_connected_parameters": weight.numel() * math.prod(output.shape[2:]) + biases,
    }
