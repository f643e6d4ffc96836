"""Padding: output sizes, and how many windows cover each cell."""

from dataclasses import dataclass

import torch
from torch import Tensor

from neocog.demos.convolution import check_window, formula, output_size
from neocog.json_fields import JsonRecord


@dataclass(frozen=True)
class PaddingKind(JsonRecord):
    """One kind of padding, along one side and for stride 1.

    Attributes:
        name: valid, same or full.
        padding: Zeros before and after.
        output: Size of the output.
        formula: How the size is computed; None for different zeros before and after.
        seen: Number of windows that cover each cell of the input.
        corner: `seen` in the corner.
        middle: `seen` in the middle.
    """

    name: str
    padding: tuple[int, int]
    output: int
    formula: str | None
    seen: list[list[int]]
    corner: int
    middle: int


@dataclass(frozen=True)
class PaddingComparison(JsonRecord):
    """All kinds of padding for an input of size x size and a kernel of kernel x kernel.

    `shrinking` is the size after each layer without padding, until the kernel no longer fits.
    """

    size: int
    kernel: int
    kinds: list[PaddingKind]
    shrinking: list[int]


def compare_paddings(size: int = 5, kernel: int = 3) -> PaddingComparison:
    """Compare valid, same and full padding. Raises UsageError if the kernel does not fit."""
    check_window("kernel", kernel, size)
    before = (kernel - 1) // 2
    zeros = {
        "valid": (0, 0),
        "same": (before, kernel - 1 - before),
        "full": (kernel - 1, kernel - 1),
    }
    kinds = []
    for name, (first, last) in zeros.items():
        counts = count_windows(size, kernel, first, last)
        kinds.append(
            PaddingKind(
                name=name,
                padding=(first, last),
                output=size + first + last - kernel + 1,
                formula=formula(size, kernel, 1, first) if first == last else None,
                seen=counts.tolist(),
                corner=int(counts[0, 0]),
                middle=int(counts[size // 2, size // 2]),
            )
        )
    sizes = [size]
    while sizes[-1] >= kernel > 1:
        sizes.append(output_size(sizes[-1], kernel))
    return PaddingComparison(size, kernel, kinds, sizes)


def count_windows(size: int, kernel: int, first: int, last: int) -> Tensor:
    """Number of windows that cover each cell, (size, size), with so many zeros before and after."""
    along = torch.zeros(first + size + last, dtype=torch.int64)
    for begin in range(len(along) - kernel + 1):
        along[begin : begin + kernel] += 1
    along = along[first : first + size]
    return along[:, None] * along[None, :]
