"""Max pooling and average pooling on numbers, with their gradients."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from neocog.demos.convolution import check_window, formula, output_size
from neocog.errors import UsageError
from neocog.json_fields import JsonRecord

KINDS: dict[str, Callable[[Tensor, int, int], Tensor]] = {"max": F.max_pool2d, "mean": F.avg_pool2d}


@dataclass(frozen=True)
class PoolingShapes(JsonRecord):
    """The sizes of a pooling layer; `kept` is the fraction of the numbers that remain."""

    input: tuple[int, int, int]
    window: int
    stride: int
    output: tuple[int, int, int]
    formula: str
    kept: float
    parameters: int = 0


@dataclass(frozen=True)
class Pooled(JsonRecord):
    """The output of a pooling layer, and the gradient of its sum with respect to the input."""

    output: list[list[float]]
    gradient: list[list[float]]


@dataclass(frozen=True)
class PoolingExample(JsonRecord):
    """Max and average pooling of the numbers `input`."""

    input: list[list[int]]
    window: int
    stride: int
    formula: str
    max: Pooled
    mean: Pooled


def published_example() -> PoolingShapes:
    """The figure of the tutorials: 224 x 224 x 64 pooled to 112 x 112 x 64."""
    channels, size, window = 64, 224, 2
    pooled_size = output_size(size, window, window)
    return PoolingShapes(
        input=(channels, size, size),
        window=window,
        stride=window,
        output=(channels, pooled_size, pooled_size),
        formula=formula(size, window, window),
        kept=pooled_size**2 / size**2,
    )


def pooling_example(
    size: int = 8, window: int = 4, stride: int | None = None, seed: int = 0
) -> PoolingExample:
    """Pool random integers 0..99, size x size.

    `stride` is the window by default. Raises UsageError for windows that do not fit.
    """
    check_window("window", window, size)
    stride = window if stride is None else stride
    if stride < 1:
        raise UsageError(f"The stride must be at least 1, not {stride}.")
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(0, 100, (size, size), generator=generator).double()
    return PoolingExample(
        input=numbers.long().tolist(),
        window=window,
        stride=stride,
        formula=formula(size, window, stride),
        max=_pool(numbers, window, stride, "max"),
        mean=_pool(numbers, window, stride, "mean"),
    )


def _pool(numbers: Tensor, window: int, stride: int, kind: str) -> Pooled:
    inputs = numbers.detach().clone().requires_grad_()
    output = KINDS[kind](inputs[None, None], window, stride)[0, 0]
    (gradient,) = torch.autograd.grad(output.sum(), inputs)
    return Pooled(output.detach().tolist(), gradient.tolist())
