"""Pooling on numbers: what a maximum and a mean keep of each window, and where gradients go."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from neocog.demos.convolution import SIDE, formula, output_size
from neocog.errors import UsageError

KINDS: dict[str, Callable[[Tensor, int, int], Tensor]] = {"max": F.max_pool2d, "mean": F.avg_pool2d}


def published() -> dict[str, Any]:
    """The tutorials' figure: 224 x 224 x 64 pooled to 112 x 112 x 64, in numbers."""
    channels, side = 64, 224
    window = stride = 2
    after = output_size(side, window, stride)
    return {
        "input": [channels, side, side],
        "window": window,
        "stride": stride,
        "output": [channels, after, after],
        "formula": formula(side, window, stride),
        "kept": after**2 / side**2,
        "parameters": 0,
    }


def example(
    size: int = 8, window: int = 4, stride: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Numbers 0..99, size x size, pooled by their maxima and their means.

    `stride` is by default the window. For each kind there are its `output` and, for a gradient of 1
    at every number of the output, the `gradient` at every number of the input. Raises UsageError
    for windows that do not fit.
    """
    if not 1 <= size <= SIDE:
        raise UsageError(f"The size can be 1 to {SIDE}, not {size}.", "For example: --size 8")
    if not 1 <= window <= size:
        raise UsageError(
            f"A window of {window} x {window} does not fit into {size} x {size} numbers.",
            f"What fits: --window 1 to {size}"
            + (f", or --size {window}." if size < window <= SIDE else "."),
        )
    stride = window if stride is None else stride
    if stride < 1:
        raise UsageError(f"The stride is {stride}.", "For example: --stride 2")
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(0, 100, (size, size), generator=generator).double()
    found: dict[str, Any] = {
        "input": numbers.long().tolist(),
        "window": window,
        "stride": stride,
        "formula": formula(size, window, stride),
    }
    for kind in KINDS:
        output, gradient = pooled(numbers, window, stride, kind)
        found[kind] = {"output": output.tolist(), "gradient": gradient.tolist()}
    return found


def pooled(numbers: Tensor, window: int, stride: int, kind: str) -> tuple[Tensor, Tensor]:
    """The pooled numbers, H x W, and the gradient of their sum at each of the given ones."""
    given = numbers.detach().clone().requires_grad_()
    output = KINDS[kind](given[None, None], window, stride)[0, 0]
    (gradient,) = torch.autograd.grad(output.sum(), given)
    return output.detach(), gradient
