"""What part of the image a unit of a layer sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from neocog.inspection.hooks import evaluating, record_layers
from neocog.inspection.tracing import TracingTensor


class ReceptiveFieldTensor(TracingTensor):
    """A tensor that knows how far its units see in the image.

    A unit sees `field` pixels a side, the next one sees them `jump` pixels on, and those of the
    first one begin at row and column `begin`, which is negative in the padding.
    """

    field: int = 1
    jump: int = 1
    begin: tuple[int, int] = (0, 0)

    @classmethod
    def note(cls, out: Self, given: Sequence[Self]) -> None:
        """Whatever a function makes of tensors sees what the widest of them sees."""
        out.field = max(t.field for t in given)
        out.jump = max(t.jump for t in given)
        out.begin = (min(t.begin[0] for t in given), min(t.begin[1] for t in given))
        widest = max(given, key=lambda t: t.dim())
        if out.dim() == 2 and widest.dim() == 4:  # flattened: a unit is part of the whole map
            out.field += (widest.shape[2] - 1) * out.jump


@dataclass(frozen=True)
class Window:
    """Where the units of a layer look: as in `ReceptiveFieldTensor`."""

    field: int
    jump: int
    begin: tuple[int, int]

    def at(self, row: int, column: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of what a unit sees of an image of height x width."""
        top, left = self.begin[0] + row * self.jump, self.begin[1] + column * self.jump
        bottom, right = min(height, top + self.field), min(width, left + self.field)
        return max(0, top), max(0, left), bottom, right


def windows(model: nn.Module, size: Sequence[int]) -> dict[str, Window]:
    """Where the units of each layer look, by the layer's name, for images C x H x W."""
    found: dict[str, Window] = {}

    def note(name: str, module: nn.Module, given: Tensor, output: Tensor) -> None:
        look(module, given, output)
        assert isinstance(output, ReceptiveFieldTensor)
        found[name] = Window(output.field, output.jump, output.begin)

    first = next(model.parameters())
    image = torch.zeros(1, *size, dtype=first.dtype, device=first.device)
    with torch.no_grad(), evaluating(model), record_layers(model, note):
        model(image.as_subclass(ReceptiveFieldTensor))
    return found


def look(module: nn.Module, given: Tensor, output: Tensor) -> tuple[int, int]:
    """Note in `output` what a layer makes of what `given` sees; returns its kernel and stride."""
    assert isinstance(given, ReceptiveFieldTensor) and isinstance(output, ReceptiveFieldTensor)
    kernel, stride, dilation = _window(module, given, output)
    span = (kernel - 1) * dilation
    output.field = max(output.field, given.field + span * given.jump)
    if output.dim() == given.dim() == 4:
        top, left = (
            _padding(module, axis, given.shape[axis], (output.shape[axis] - 1) * stride + span + 1)
            for axis in (2, 3)
        )
        output.begin = (given.begin[0] - top * given.jump, given.begin[1] - left * given.jump)
    output.jump = max(output.jump, given.jump * stride)
    return kernel, stride


def _window(module: nn.Module, given: Tensor, output: Tensor) -> tuple[int, int, int]:
    """The kernel, stride and dilation of a layer along the height; 1, 1, 1 for pointwise ones."""
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        have, want = given.shape[2], output.shape[2]
        return max(1, math.ceil(have / want)), max(1, have // want), 1
    sizes = (getattr(module, key, 1) for key in ("kernel_size", "stride", "dilation"))
    kernel, stride, dilation = (int(v[0] if isinstance(v, tuple) else v) for v in sizes)
    return kernel, stride, dilation


def _padding(module: nn.Module, axis: int, size: int, covered: int) -> int:
    """How many places a layer adds before the first; by the shapes where it does not say."""
    said = getattr(module, "padding", 0)
    before = said[axis - 2] if isinstance(said, tuple) else said
    return before if isinstance(before, int) and before else max(0, covered - size) // 2
