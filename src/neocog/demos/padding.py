"""What a border of zeros does: the sizes it keeps, and how often each cell is seen."""

from typing import Any

import torch
from torch import Tensor

from neocog.demos.convolution import SIDE, formula, output_size
from neocog.errors import UsageError


def compare(size: int = 5, kernel: int = 3) -> dict[str, Any]:
    """A size x size input under a kernel, without padding, with `same` and with `full` padding.

    For each there are the zeros before and after a side, the output's side and `seen`: in how many
    windows each cell of the input lies. `shrinking` is the side after each convolution without
    padding, until the kernel fits no more. Raises UsageError where it does not fit at all.
    """
    if not 1 <= size <= SIDE:
        raise UsageError(f"The size can be 1 to {SIDE}, not {size}.", "For example: --size 5")
    if not 1 <= kernel <= size:
        raise UsageError(
            f"A kernel of {kernel} x {kernel} does not fit into {size} x {size} cells.",
            f"What fits: --kernel 1 to {size}"
            + (f", or --size {kernel}." if size < kernel <= SIDE else "."),
        )
    before = (kernel - 1) // 2
    borders = {
        "valid": (0, 0),
        "same": (before, kernel - 1 - before),
        "full": (kernel - 1, kernel - 1),
    }
    kinds = []
    for name, (first, last) in borders.items():
        counts = seen(size, kernel, first, last)
        kinds.append(
            {
                "name": name,
                "padding": [first, last],
                "output": size + first + last - kernel + 1,
                "formula": formula(size, kernel, 1, first) if first == last else None,
                "seen": counts.tolist(),
                "corner": int(counts[0, 0]),
                "middle": int(counts[size // 2, size // 2]),
            }
        )
    sides = [size]
    while sides[-1] >= kernel > 1:
        sides.append(output_size(sides[-1], kernel))
    return {"size": size, "kernel": kernel, "kinds": kinds, "shrinking": sides}


def seen(size: int, kernel: int, first: int, last: int) -> Tensor:
    """In how many windows each cell lies, size x size, with so many zeros before and after."""
    along = torch.zeros(first + size + last, dtype=torch.int64)
    for begin in range(len(along) - kernel + 1):
        along[begin : begin + kernel] += 1
    along = along[first : first + size]
    return along[:, None] * along[None, :]
