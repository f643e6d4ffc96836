"""What every layer of a network gives for an image."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from neocog.errors import UsageError

# Told a layer's name, the layer, what it takes and what it gives, each time that it is run.
Note = Callable[[str, nn.Module, Tensor, Tensor], Any]

# Subclasses of Linear that are never called: attention takes their weights.
_PARTS = nn.modules.linear.NonDynamicallyQuantizableLinear


def is_layer(module: nn.Module) -> bool:
    """Whether a module does something itself; the projection in an attention is part of it."""
    if isinstance(module, nn.MultiheadAttention):
        return True
    inside = list(module.children()) or isinstance(module, nn.Identity | _PARTS)
    return not inside


def is_convolution(module: nn.Module) -> bool:
    """Whether a layer has kernels: torch's convolution, or one of its own kind that says so."""
    if isinstance(module, nn.Conv2d):
        return True
    weight = getattr(module, "weight", None)
    kernels = isinstance(weight, Tensor) and weight.dim() > 2 and weight.shape[1:] != (1, 1)
    return kernels and hasattr(module, "kernel_size")


@contextmanager
def record_layers(model: nn.Module, note: Note) -> Iterator[None]:
    """Within it `note` is told of every layer that is run, in order.

    A layer that is run a second time is called "name (2)". What `note` returns, if anything,
    takes the place of what the layer gave.
    """
    met: dict[str, int] = {}

    def tell(name: str, module: nn.Module, given: tuple[Any, ...], made: Any) -> Any:
        met[name] = met.get(name, 0) + 1
        shown = name if met[name] == 1 else f"{name} ({met[name]})"
        output = made[0] if isinstance(made, tuple) else made
        other = note(shown, module, given[0], output)
        return (other, *made[1:]) if isinstance(made, tuple) and other is not None else other

    hooks = [
        module.register_forward_hook(lambda m, i, o, name=name: tell(name, m, i, o))
        for name, module in model.named_modules()
        if is_layer(module)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within it the network is in evaluation mode; then it is again in the mode that it was in."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@torch.no_grad()
def feature_maps(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """What each layer gives, float32 on the CPU, N x ..., by name in the order of the pass.

    `inputs` are N x C x H x W, normalised. Layers are the innermost modules.
    """
    found: dict[str, Tensor] = {}

    def note(name: str, module: nn.Module, given: Tensor, output: Tensor) -> None:
        del module, given
        found[name] = output.detach().float().cpu().clone()  # a later layer may work in place

    with evaluating(model), record_layers(model, note):
        model(inputs)
    return found


def as_maps(activation: Tensor) -> Tensor | None:
    """An activation as N x maps x H x W; None where it has no places, such as a vector.

    Maps that lie last (N x H x W x maps, H = W) are brought to the front; the N x places x numbers
    of a transformer become maps without its class token.
    """
    shape = activation.shape
    if activation.dim() == 4:
        if shape[1] == shape[2] != shape[3]:
            activation = activation.permute(0, 3, 1, 2)
        return activation if activation.shape[2] * activation.shape[3] > 1 else None
    if activation.dim() != 3:
        return None
    for extra in (0, 1):
        side = math.isqrt(shape[1] - extra)
        if side > 1 and side * side == shape[1] - extra:
            places = activation[:, extra:].transpose(1, 2)
            return places.reshape(shape[0], shape[2], side, side)
    return None


def layer_called(model: nn.Module, name: str) -> nn.Module:
    """The layer of that name. Raises UsageError, with those there are, for another."""
    layers = {name: module for name, module in model.named_modules() if is_layer(module)}
    if name not in layers:
        some = (
            list(layers) if len(layers) <= 30 else [*list(layers)[:15], "...", *list(layers)[-15:]]
        )
        raise UsageError(f"The network has no layer {name!r}.", f"Its layers: {', '.join(some)}.")
    return layers[name]
