"""A network's layers and the shapes of its weights, made without memory for them.

On torch's meta device tensors have a shape and no numbers. What draws first weights is left out:
there is nothing to draw, and torch would import its decompositions for it, which takes seconds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neocog import models

_DRAWING = {
    "normal_", "uniform_", "fill_", "zero_", "copy_", "clamp_", "erfinv_",
    "add_", "sub_", "mul_", "div_",
}  # fmt: skip


class _WithoutNumbers(TorchFunctionMode):
    """Leaves out what changes a tensor's numbers in place."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", "") in _DRAWING and args and isinstance(args[0], Tensor):
            return args[0]
        return func(*args, **(kwargs or {}))


def build_on_meta(
    name: str, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> nn.Module:
    """The network that `models.build` gives for the same arguments, on the meta device.

    However large it is, it takes no memory. Raises as `models.build` does.
    """
    with torch.device("meta"), _WithoutNumbers():
        return models.build(name, num_classes, in_channels, image_size)


__all__ = ["build_on_meta"]
