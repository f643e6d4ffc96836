"""Tensors that take note of what is made of them."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch


class TracingTensor(torch.Tensor):
    """A tensor whose class is told of every tensor that a function makes of such tensors."""

    @classmethod
    def note(cls, out: Self, given: Sequence[Self]) -> None:
        """`out` was made of the tensors `given`, one or more; of each use of one there is one."""
        raise NotImplementedError

    @classmethod
    def __torch_function__(
        cls,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """What the function gives, after `note` where that is a tensor: not a shape, say."""
        parent: Any = super()
        out = parent.__torch_function__(func, types, args, dict(kwargs or {}))
        given = [t for a in args for t in (a if isinstance(a, list | tuple) else [a])]
        traced = [t for t in given if isinstance(t, cls)]
        if isinstance(out, cls) and traced:
            cls.note(out, traced)
        return out
