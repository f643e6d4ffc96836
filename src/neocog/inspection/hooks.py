"""Inputs and outputs of every layer of a network, recorded by forward hooks."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from neocog.errors import UnknownNameError

# Called with a layer's name, the layer, its input and its output, each time the layer runs.
LayerCallback = Callable[[str, nn.Module, Tensor, Tensor], Any]

# A Linear that is never called: nn.MultiheadAttention reads its weights directly.
_NEVER_CALLED = nn.modules.linear.NonDynamicallyQuantizableLinear

MAX_NAMES = 30  # layers listed in an error message


def is_layer(module: nn.Module) -> bool:
    """Whether a module is a leaf that computes something.

    An attention block counts as one layer; its output projection belongs to it.
    """
    if isinstance(module, nn.MultiheadAttention):
        return True
    return not list(module.children()) and not isinstance(module, nn.Identity | _NEVER_CALLED)


def is_convolution(module: nn.Module) -> bool:
    """Whether a layer has kernels: nn.Conv2d, or a layer like it, such as LeNet-5's C3."""
    if isinstance(module, nn.Conv2d):
        return True
    weight = getattr(module, "weight", None)
    has_kernels = isinstance(weight, Tensor) and weight.dim() > 2 and weight.shape[1:] != (1, 1)
    return has_kernels and hasattr(module, "kernel_size")


@contextmanager
def record_layers(model: nn.Module, callback: LayerCallback) -> Iterator[None]:
    """Call `callback` for every layer that runs inside the context, in order.

    The second run of the same layer is named "name (2)". A value returned by `callback`, other than
    None, replaces the layer's output.
    """
    runs: dict[str, int] = {}

    def hook(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        runs[name] = runs.get(name, 0) + 1
        display_name = name if runs[name] == 1 else f"{name} ({runs[name]})"
        tensor = output[0] if isinstance(output, tuple) else output
        replacement = callback(display_name, module, inputs[0], tensor)
        if isinstance(output, tuple) and replacement is not None:
            return (replacement, *output[1:])
        return replacement

    handles = [
        module.register_forward_hook(lambda m, i, o, name=name: hook(name, m, i, o))
        for name, module in model.named_modules()
        if is_layer(module)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put the network in evaluation mode inside the context, and restore its mode afterwards."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@torch.no_grad()
def feature_maps(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """The output of every layer by name, in the order of the forward pass.

    `inputs` is (N, C, H, W), normalised. Outputs are float32 on the CPU, (N, ...).
    """
    outputs: dict[str, Tensor] = {}

    def record(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        del module, inputs
        # A copy, because the next layer may work in place.
        outputs[name] = output.detach().float().cpu().clone()

    with evaluation_mode(model), record_layers(model, record):
        model(inputs)
    return outputs


def as_feature_maps(activation: Tensor) -> Tensor | None:
    """An activation as (N, M, h, w) feature maps; None where it has no spatial dimensions.

    Channels-last activations (N, h, w, M) with h = w are permuted. The tokens (N, T, M) of a vision
    transformer become maps, without the class token.
    """
    shape = activation.shape
    if activation.dim() == 4:
        if shape[1] == shape[2] != shape[3]:
            activation = activation.permute(0, 3, 1, 2)
        return activation if activation.shape[2] * activation.shape[3] > 1 else None
    if activation.dim() != 3:
        return None
    for class_tokens in (0, 1):
        side = math.isqrt(shape[1] - class_tokens)
        if side > 1 and side * side == shape[1] - class_tokens:
            patches = activation[:, class_tokens:].transpose(1, 2)
            return patches.reshape(shape[0], shape[2], side, side)
    return None


def get_layer(model: nn.Module, name: str) -> nn.Module:
    """The layer with this name. Raises UsageError, listing the layers, for an unknown name."""
    layers = {name: module for name, module in model.named_modules() if is_layer(module)}
    if name not in layers:
        names = list(layers)
        if len(names) > MAX_NAMES:
            names = [*names[: MAX_NAMES // 2], "...", *names[-MAX_NAMES // 2 :]]
        raise UnknownNameError(
            f"The network has no layer {name!r}.", f"Its layers: {', '.join(names)}."
        )
    return layers[name]
