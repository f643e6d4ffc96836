"""Build networks without allocating memory for their weights.

Tensors on torch's meta device have a shape but no data. Weight initialisation is skipped: it would
have no effect, and torch would import its decompositions for it, which takes seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from neocog import models

_INITIALIZERS = {
    "normal_", "uniform_", "fill_", "zero_", "copy_", "clamp_", "erfinv_",
    "add_", "sub_", "mul_", "div_",
}  # fmt: skip


class _SkipInitialization(TorchFunctionMode):
    """Skips the in-place operations that initialise tensors."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", "") in _INITIALIZERS and args and isinstance(args[0], Tensor):
            return args[0]
        return func(*args, **(kwargs or {}))


def build_on_meta(
    name: str, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> nn.Module:
    """Build a network as `models.build` does, but on the meta device.

    It takes no memory, however large it is. Raises the same errors as `models.build`.
    """
    with torch.device("meta"), _SkipInitialization():
        return models.build(name, num_classes, in_channels, image_size)


__all__ = ["build_on_meta"]
