"""Receptive fields: the window of the image that a unit of a layer depends on.

They are carried through the network by a tensor subclass, so that branches and functional calls
need no table of rules.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from neocog.inspection.hooks import evaluation_mode, record_layers
from neocog.inspection.tracing import TracingTensor


class ReceptiveFieldTensor(TracingTensor):
    """A tensor that knows the receptive field of its units.

    `field` is the side of the receptive field in pixels, `jump` the distance in pixels between the
    fields of neighbouring units, `begin` the (row, column) at which the field of the first unit
    begins; it is negative in the padding.
    """

    field: int = 1
    jump: int = 1
    begin: tuple[int, int] = (0, 0)

    @classmethod
    def on_result(cls, output: Self, inputs: Sequence[Self]) -> None:
        """The output of a function has the widest field of its inputs."""
        output.field = max(t.field for t in inputs)
        output.jump = max(t.jump for t in inputs)
        output.begin = (min(t.begin[0] for t in inputs), min(t.begin[1] for t in inputs))
        largest = max(inputs, key=lambda t: t.dim())
        if output.dim() == 2 and largest.dim() == 4:  # flattened: a unit covers the whole map
            output.field += (largest.shape[2] - 1) * output.jump


@dataclass(frozen=True)
class ReceptiveField:
    """The receptive field of a layer's units; the fields are those of `ReceptiveFieldTensor`."""

    field: int
    jump: int
    begin: tuple[int, int]

    def window(self, row: int, column: int, height: int, width: int) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of one unit's field in an image of height x width pixels."""
        top, left = self.begin[0] + row * self.jump, self.begin[1] + column * self.jump
        bottom, right = min(height, top + self.field), min(width, left + self.field)
        return max(0, top), max(0, left), bottom, right


def receptive_fields(model: nn.Module, size: Sequence[int]) -> dict[str, ReceptiveField]:
    """The receptive field of every layer by name, for images of size (C, H, W)."""
    fields: dict[str, ReceptiveField] = {}

    def record(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        update_receptive_field(module, inputs, output)
        assert isinstance(output, ReceptiveFieldTensor)
        fields[name] = ReceptiveField(output.field, output.jump, output.begin)

    parameter = next(model.parameters())
    image = torch.zeros(1, *size, dtype=parameter.dtype, device=parameter.device)
    with torch.no_grad(), evaluation_mode(model), record_layers(model, record):
        model(image.as_subclass(ReceptiveFieldTensor))
    return fields


def update_receptive_field(module: nn.Module, inputs: Tensor, output: Tensor) -> tuple[int, int]:
    """Set the receptive field of a layer's `output` from its `inputs`.

    Returns the layer's kernel size and stride along the height, (1, 1) for pointwise layers.
    """
    assert isinstance(inputs, ReceptiveFieldTensor) and isinstance(output, ReceptiveFieldTensor)
    kernel, stride, dilation = _kernel_stride_dilation(module, inputs, output)
    span = (kernel - 1) * dilation
    output.field = max(output.field, inputs.field + span * inputs.jump)
    if output.dim() == inputs.dim() == 4:
        top, left = (
            _padding(module, axis, inputs.shape[axis], (output.shape[axis] - 1) * stride + span + 1)
            for axis in (2, 3)
        )
        output.begin = (inputs.begin[0] - top * inputs.jump, inputs.begin[1] - left * inputs.jump)
    output.jump = max(output.jump, inputs.jump * stride)
    return kernel, stride


def _kernel_stride_dilation(
    module: nn.Module, inputs: Tensor, output: Tensor
) -> tuple[int, int, int]:
    """Along the height; (1, 1, 1) for pointwise layers."""
    if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
        size, output_size = inputs.shape[2], output.shape[2]
        return max(1, math.ceil(size / output_size)), max(1, size // output_size), 1
    sizes = (getattr(module, key, 1) for key in ("kernel_size", "stride", "dilation"))
    kernel, stride, dilation = (int(v[0] if isinstance(v, tuple) else v) for v in sizes)
    return kernel, stride, dilation


def _padding(module: nn.Module, axis: int, size: int, covered: int) -> int:
    """Padding before the first row or column; from the shapes for layers that do not state it."""
    padding = getattr(module, "padding", 0)
    before = padding[axis - 2] if isinstance(padding, tuple) else padding
    return before if isinstance(before, int) and before else max(0, covered - size) // 2
