"""A tensor subclass that observes the functions applied to it."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch


class TracingTensor(torch.Tensor):
    """Base class: `on_result` is called for every tensor computed from tensors of the subclass."""

    @classmethod
    def on_result(cls, output: Self, inputs: Sequence[Self]) -> None:
        """Called after a function computed `output` from `inputs`, one entry for each use."""
        raise NotImplementedError

    @classmethod
    def __torch_function__(
        cls,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function, then `on_result` if it returned a tensor (and not a shape, say)."""
        parent: Any = super()
        output = parent.__torch_function__(func, types, args, dict(kwargs or {}))
        flat = [t for a in args for t in (a if isinstance(a, list | tuple) else [a])]
        inputs = [t for t in flat if isinstance(t, cls)]
        if isinstance(output, cls) and inputs:
            cls.on_result(output, inputs)
        return output
