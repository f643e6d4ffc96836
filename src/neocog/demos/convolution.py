"""A convolution in detail: the products and sums behind every number of its output."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.errors import NeocogError, UsageError, unknown
from neocog.inspection.hooks import evaluation_mode, is_convolution, record_layers
from neocog.json_fields import JsonRecord

SIDE = 32  # cells: the largest grid that is shown
MAX_CHANNELS, MAX_FILTERS = 8, 6  # of a trained layer; other channels become one sum
MAX_NAMES = 10  # layers listed in an error message


@dataclass(frozen=True)
class Dimensions:
    """The dimensions of an example; input and kernel are square.

    The defaults are those of CS231n's animation. Raises UsageError for values outside LIMITS, and
    if the kernel does not fit into the input.
    """

    size: int = 5
    channels: int = 3
    filters: int = 2
    kernel: int = 3
    stride: int = 2
    padding: int = 1
    dilation: int = 1

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise UsageError(
                    f"The {name} must be {least} to {most}, not {value}.",
                    f"For example: --{name} {getattr(Dimensions, name)}",
                )
        _ = self.output

    @property
    def output(self) -> int:
        """Height and width of the output."""
        return output_size(self.size, self.kernel, self.stride, self.padding, self.dilation)


# (lowest, highest) value of each dimension for which the example can still be shown.
LIMITS = {
    "size": (1, SIDE), "channels": (1, 8), "filters": (1, 8), "kernel": (1, 11), "stride": (1, 16),
    "padding": (0, 8), "dilation": (1, 8),
}  # fmt: skip


@dataclass(frozen=True)
class Excerpt:
    """The part of a trained layer that is shown.

    Attributes:
        layer: Its name.
        input: (C, H, W) of the layer's whole input.
        output: (C, H, W) of its whole output.
        groups: As in nn.Conv2d.
        filters: Indices of the shown filters.
        channels: Indices of the shown input channels.
        hidden: For each shown filter, how many of its input channels are not shown.
        corner: (row, column) in the whole output of the first number that is shown.
        patch: (top, bottom, left, right) of the shown input, inclusive; None for the whole input.
        strongest: (filter, row, column) of the highest number, counted within the shown part.
        sides: (size, kernel, stride, padding, dilation) along the height and the width; a padding
            of 0.5 is a zero on one side only.
    """

    layer: str
    input: tuple[int, int, int]
    output: tuple[int, int, int]
    groups: int
    filters: tuple[int, ...]
    channels: tuple[int, ...]
    hidden: tuple[int, ...]
    corner: tuple[int, int]
    patch: tuple[int, int, int, int] | None
    strongest: tuple[int, int, int]
    sides: tuple[tuple[int, int, int, float, int], ...]

    @property
    def kernel(self) -> tuple[int, int, int]:
        """(C, H, W) of a filter."""
        return self.input[0] // self.groups, self.sides[0][1], self.sides[1][1]

    @property
    def uneven(self) -> list[tuple[int, int]]:
        """(zeros before, zeros after) along the sides where the two differ."""
        whole = [round(2 * padding) for _, _, _, padding, _ in self.sides]
        return [(zeros // 2, zeros - zeros // 2) for zeros in whole if zeros % 2]


@dataclass(frozen=True)
class Convolution:
    """Inputs and the filters that are applied to them.

    Attributes:
        inputs: (C, H, W).
        weights: (F, C, kH, kW).
        bias: (F,).
        stride: (down, across).
        padding: Zeros at the (top, bottom, left, right).
        dilation: (down, across).
        sees: (F, C), whether a filter uses a channel; all True without groups.
        rest: Sum over the channels that are not in `inputs`, with the shape of the output.
        excerpt: Which part of a trained layer this is; None for an example.
    """

    inputs: Tensor
    weights: Tensor
    bias: Tensor
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    sees: Tensor
    rest: Tensor | None = None
    excerpt: Excerpt | None = None

    @property
    def padded(self) -> Tensor:
        """The inputs with zero padding."""
        top, bottom, left, right = self.padding
        return F.pad(self.inputs, (left, right, top, bottom))

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """(F, rows, columns)."""
        kernel, padded = self.weights.shape[2:], self.padded.shape[1:]
        rows, columns = (
            output_size(padded[k], kernel[k], self.stride[k], 0, self.dilation[k]) for k in (0, 1)
        )
        return len(self.weights), rows, columns


@dataclass(frozen=True)
class Part(JsonRecord):
    """The contribution of one channel to one output: window, weights, their products and sum."""

    channel: int
    window: list[list[float]]
    weights: list[list[float]]
    products: list[list[float]]
    sum: float


@dataclass(frozen=True)
class Sum(JsonRecord):
    """One number of the output: the sums of all parts, the rest and the bias."""

    filter: int
    row: int
    column: int
    parts: list[Part]
    rest: float
    bias: float
    total: float


def check_window(name: str, window: int, size: int) -> None:
    """Raise UsageError if a window does not fit; `name` is its name in the message."""
    if not 1 <= size <= SIDE:
        raise UsageError(f"The size must be 1 to {SIDE}, not {size}.", "For example: --size 8")
    if not 1 <= window <= size:
        larger = f", or --size {window}" if size < window <= SIDE else ""
        raise UsageError(
            f"A {name} of {window} x {window} does not fit into {size} x {size} cells.",
            f"Use --{name} 1 to {size}{larger}.",
        )


def output_size(
    size: int, kernel: int, stride: int = 1, padding: float = 0, dilation: int = 1
) -> int:
    """The output size along one side: (W - F + 2P)/S + 1, rounded down.

    With dilation D, the kernel spans D(F - 1) + 1 cells. Raises UsageError, with the formula, if
    there is no output.
    """
    named = {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}
    for name, value in named.items():
        if value < 1:
            raise UsageError(f"The {name} must be at least 1, not {value}.")
    if padding < 0:
        raise UsageError(f"The padding must be at least 0, not {padding:g}.")
    span, room = dilation * (kernel - 1) + 1, size + round(2 * padding)
    if span > room:
        widest, least = (room - 1) // dilation + 1, max(1, span - round(2 * padding))
        raise UsageError(
            f"A kernel that spans {span} cells does not fit into {size} + 2 x {padding:g} = {room} "
            f"cells: {formula(size, kernel, stride, padding, dilation)}, and there is no output.",
            f"Use a kernel of at most {widest}, a padding of at least "
            f"{math.ceil((span - size) / 2)}, or an input of at least {least}.",
        )
    return (room - span) // stride + 1


def formula(size: int, kernel: int, stride: int = 1, padding: float = 0, dilation: int = 1) -> str:
    """The formula of the output size with the numbers filled in, and its result."""
    span = dilation * (kernel - 1) + 1
    exact = (size - span + 2 * padding) / stride + 1
    letters = "(W - F + 2P)/S + 1"
    if dilation > 1:
        letters = f"F' = D(F - 1) + 1 = {span}; (W - F' + 2P)/S + 1"
    filled = f"{letters} = ({size} - {span} + 2 x {padding:g})/{stride} + 1 = {exact:.4g}"
    return filled if exact == int(exact) else f"{filled}, rounded down to {math.floor(exact)}"


def unseen(size: int, kernel: int, stride: int = 1, padding: float = 0, dilation: int = 1) -> int:
    """Number of cells at the end of the padded input that no window covers."""
    steps = output_size(size, kernel, stride, padding, dilation) - 1
    return size + round(2 * padding) - steps * stride - dilation * (kernel - 1) - 1


def example(dimensions: Dimensions, seed: int = 0) -> Convolution:
    """An example with small integers, as in CS231n's animation.

    Inputs are 0..2, weights -1..1, biases 1, 0, 1, ... A number depends only on the seed and its
    position, so that a larger example contains the smaller ones. The page's script computes the
    same numbers.
    """
    d = dimensions
    side, kernel = range(d.size), range(d.kernel)
    inputs = [
        [[hashed_number(seed, 0, 0, c, i, j) for j in side] for i in side]
        for c in range(d.channels)
    ]
    weights = [
        [
            [[hashed_number(seed, 1, f, c, i, j) - 1 for j in kernel] for i in kernel]
            for c in range(d.channels)
        ]
        for f in range(d.filters)
    ]
    return Convolution(
        torch.tensor(inputs, dtype=torch.float64),
        torch.tensor(weights, dtype=torch.float64),
        torch.tensor([float(1 - f % 2) for f in range(d.filters)], dtype=torch.float64),
        stride=(d.stride, d.stride),
        padding=(d.padding,) * 4,
        dilation=(d.dilation, d.dilation),
        sees=torch.ones(d.filters, d.channels, dtype=torch.bool),
    )


def hashed_number(*key: int) -> int:
    """0, 1 or 2 as a hash of the key: FNV-1a, then the finalizer of MurmurHash3."""
    state = 2166136261
    for number in key:
        state = (state ^ number) * 16777619 & 0xFFFFFFFF
    state = (state ^ state >> 15) * 0x85EBCA6B & 0xFFFFFFFF
    state = (state ^ state >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return (state ^ state >> 16) % 3


def output(convolution: Convolution) -> Tensor:
    """The output, (F, H', W')."""
    c = convolution
    padded, shape = c.padded, c.output_shape
    weights = c.weights * c.sees[:, :, None, None]
    total = c.bias[:, None, None].expand(shape).clone()
    for i in range(weights.shape[2]):
        for j in range(weights.shape[3]):
            top, left = i * c.dilation[0], j * c.dilation[1]
            # The cells that are multiplied by weight (i, j), one for each window.
            cells = padded[:, top :: c.stride[0], left :: c.stride[1]][:, : shape[1], : shape[2]]
            total += torch.einsum("fc,chw->fhw", weights[:, :, i, j], cells)
    return total if c.rest is None else total + c.rest


def one_sum(convolution: Convolution, filter: int, row: int, column: int) -> Sum:  # noqa: A002
    """The products and sums of one number of the output. Raises UsageError for no such number."""
    c = convolution
    filters, rows, columns = c.output_shape
    if not (0 <= filter < filters and 0 <= row < rows and 0 <= column < columns):
        raise UsageError(
            f"There is no output {filter}, {row}, {column}.",
            f"There are {filters} x {rows} x {columns}, counted from 0.",
        )
    height, width = c.weights.shape[2:]
    top, left = row * c.stride[0], column * c.stride[1]
    windows = c.padded[
        :,
        top : top + c.dilation[0] * (height - 1) + 1 : c.dilation[0],
        left : left + c.dilation[1] * (width - 1) + 1 : c.dilation[1],
    ]
    parts = []
    for channel in torch.nonzero(c.sees[filter]).flatten().tolist():
        window, weights = windows[channel], c.weights[filter, channel]
        products = window * weights + 0.0  # no -0
        parts.append(
            Part(
                channel,
                window.tolist(),
                weights.tolist(),
                products.tolist(),
                float(products.sum()),
            )
        )
    rest = 0.0 if c.rest is None else float(c.rest[filter, row, column])
    bias = float(c.bias[filter])
    total = sum(part.sum for part in parts) + rest + bias
    return Sum(filter, row, column, parts, rest, bias, total)


def of_layer(
    model: nn.Module, inputs: Tensor, layer: str | None = None, filters: tuple[int, ...] = ()
) -> Convolution:
    """A convolution of a network applied to one image, (1, C, H, W), in float64.

    `layer` is its name, by default the first one that runs. At most 32 x 32 cells around the
    highest output are included, the channels with the largest contributions, and `filters`, by
    default those with the highest outputs. Raises UsageError for an unknown layer or filter, and
    NeocogError for a layer that cannot be shown.
    """
    name, module, layer_input, layer_output = _run_layer(model, inputs, layer)
    x, zeros = layer_input[0].double(), _zeros(module, layer_input, layer_output)
    weights, bias = _parameters(module)
    padded = F.pad(x, (*zeros[1], *zeros[0]))[None]
    outputs = F.conv2d(padded, weights, bias, module.stride, 0, module.dilation, module.groups)[0]
    _check_reproduced(name, outputs, layer_output[0])
    selected = _select_filters(outputs, filters)
    position = torch.unravel_index(outputs[selected].argmax(), outputs[selected].shape)
    axes = [_Axis(module, zeros[k], k, x.shape[k + 1], outputs.shape[k + 1]) for k in (0, 1)]
    cuts = [axis.cut(int(at)) for axis, at in zip(axes, position[1:], strict=True)]
    whole = Convolution(
        x[:, cuts[0].cells, cuts[1].cells],
        _dense(weights, len(x), module.groups)[selected],
        bias[selected],
        stride=(module.stride[0], module.stride[1]),
        padding=(*cuts[0].padding, *cuts[1].padding),
        dilation=(module.dilation[0], module.dilation[1]),
        sees=_group_mask(len(weights), len(x), module.groups)[selected],
    )
    channels = _strongest_channels(whole)
    hidden = whole.sees.clone()
    hidden[:, channels] = False
    first = (cuts[0].first, cuts[1].first)
    excerpt = Excerpt(
        layer=name,
        input=(x.shape[0], x.shape[1], x.shape[2]),
        output=(outputs.shape[0], outputs.shape[1], outputs.shape[2]),
        groups=module.groups,
        filters=tuple(selected),
        channels=tuple(channels),
        hidden=tuple(hidden.sum(1).tolist()),
        corner=first,
        patch=(*cuts[0].shown, *cuts[1].shown) if max(x.shape[1:]) > SIDE else None,
        strongest=(int(position[0]), int(position[1]) - first[0], int(position[2]) - first[1]),
        sides=tuple(axis.parameters for axis in axes),
    )
    # The sum over the hidden channels, without the bias, which is added once.
    others = replace(whole, sees=hidden, bias=torch.zeros_like(whole.bias))
    return replace(
        whole,
        inputs=whole.inputs[channels],
        weights=whole.weights[:, channels],
        sees=whole.sees[:, channels],
        rest=output(others) if hidden.any() else None,
        excerpt=excerpt,
    )


def _parameters(module: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weights and biases in float64, zeros where there are none."""
    weights = module.weight.detach().double().cpu()
    if module.bias is None:
        return weights, weights.new_zeros(len(weights))
    return weights, module.bias.detach().double().cpu()


def _run_layer(
    model: nn.Module, inputs: Tensor, layer: str | None
) -> tuple[str, nn.Conv2d, Tensor, Tensor]:
    """Name, module, input and output of a convolution, by default the first one that runs."""
    modules = dict(model.named_modules())
    known = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
    if not known:
        raise NeocogError(
            "The network has no convolution to show.",
            "Use the run of a convolutional network: neocog train --model lenet5",
        )
    if layer is not None and layer not in known:
        raise unknown_convolution(layer, known, modules)
    runs: list[tuple[str, nn.Conv2d, Tensor, Tensor]] = []

    def record(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        if not runs and isinstance(module, nn.Conv2d) and layer in (None, name):
            runs.append((name, module, inputs.detach().cpu(), output.detach().cpu()))

    with torch.no_grad(), evaluation_mode(model), record_layers(model, record):
        model(inputs)
    if not runs:
        raise NeocogError(f"The network does not run {layer or 'a convolution'} for this image.")
    return runs[0]


def unknown_convolution(
    layer: str, known: Iterable[str], modules: Mapping[str, nn.Module]
) -> NeocogError:
    """The error for a `layer` that is not in `known`; its hint lists some of `known`."""
    names = list(known)
    module = modules.get(layer)
    if module is not None and is_convolution(module) and not isinstance(module, nn.Conv2d):
        return NeocogError(
            f"{layer} is a convolution with a connection table, which cannot be shown.",
            f"Choose another one, for example: --layer {names[0]}",
        )
    if len(names) <= MAX_NAMES:
        return unknown("convolution", layer, names)
    near = [name for name in names if name.startswith(layer.lower())]
    near = near or get_close_matches(layer.lower(), names, n=1, cutoff=0.5)
    listed = ", ".join([*names[: MAX_NAMES // 2], "...", names[-1]])
    return UsageError(
        f"There is no convolution {layer!r}.",
        f"There are {len(names)}: {listed}. For example: --layer {(near or names)[0]}",
    )


def _zeros(module: nn.Conv2d, inputs: Tensor, output: Tensor) -> list[tuple[int, int]]:
    """The padding as (top, bottom) and (left, right)."""
    if type(module).forward is nn.Conv2d.forward and not isinstance(module.padding, str):
        return [(int(side), int(side)) for side in module.padding]
    sides = []
    for k in (0, 1):  # "same": from the size of the output, an odd zero at the end
        span = module.dilation[k] * (module.kernel_size[k] - 1) + 1
        total = max(0, (output.shape[k + 2] - 1) * module.stride[k] + span - inputs.shape[k + 2])
        sides.append((total // 2, total - total // 2))
    return sides


def _check_reproduced(name: str, outputs: Tensor, expected: Tensor) -> None:
    """Raise NeocogError if a layer's output is not that of a convolution with zero padding."""
    tolerance = 1e-3 * float(expected.abs().max())
    if outputs.shape != expected.shape or not torch.allclose(
        outputs, expected.double(), 1e-3, tolerance
    ):
        raise NeocogError(
            f"{name} does more than a convolution with zero padding, so it cannot be shown.",
            "Choose another one: --layer NAME",
        )


def _select_filters(outputs: Tensor, filters: tuple[int, ...]) -> list[int]:
    """The requested filters, or those with the highest outputs."""
    count = len(outputs)
    invalid = [f for f in filters if not 0 <= f < count]
    if invalid:
        raise UsageError(f"There is no filter {invalid[0]}.", f"There are 0 to {count - 1}.")
    limit = LIMITS["filters"][1]
    if len(set(filters)) > limit:
        raise UsageError(
            f"{len(set(filters))} filters are too many.", f"At most {limit} can be shown."
        )
    if filters:
        return sorted(set(filters))
    if count <= MAX_FILTERS:
        return list(range(count))
    return sorted(outputs.flatten(1).amax(1).topk(MAX_FILTERS).indices.tolist())


@dataclass(frozen=True)
class _Cut:
    """The shown part along a side: input cells, zeros before and after, and the first output."""

    cells: slice
    padding: tuple[int, int]
    first: int

    @property
    def shown(self) -> tuple[int, int]:
        return self.cells.start, self.cells.stop - 1


class _Axis:
    """The parameters of a convolution along the height (0) or the width (1)."""

    def __init__(
        self, module: nn.Conv2d, zeros: tuple[int, int], k: int, size: int, count: int
    ) -> None:
        self.kernel, self.stride, self.dilation = (
            module.kernel_size[k],
            module.stride[k],
            module.dilation[k],
        )
        self.zeros, self.size, self.count = zeros, size, count

    @property
    def parameters(self) -> tuple[int, int, int, float, int]:
        """(size, kernel, stride, padding, dilation)."""
        total = sum(self.zeros)
        padding = total / 2 if total % 2 else total // 2
        return self.size, self.kernel, self.stride, padding, self.dilation

    def cut(self, around: int) -> _Cut:
        """The whole side, or of a long one the cells of the windows around an output."""
        if self.size <= SIDE:
            return _Cut(slice(0, self.size), self.zeros, 0)
        span = self.dilation * (self.kernel - 1) + 1
        shown = min(self.count, max(1, (SIDE - span) // self.stride + 1))
        first = min(max(0, around - shown // 2), self.count - shown)
        begin = first * self.stride - self.zeros[0]
        end = begin + (shown - 1) * self.stride + span
        cells = slice(max(0, begin), min(self.size, end))
        return _Cut(cells, (max(0, -begin), max(0, end - self.size)), first)


def _group_mask(filters: int, channels: int, groups: int) -> Tensor:
    """(F, C): whether the channel belongs to the filter's group."""
    of_filter = torch.arange(filters) // (filters // groups)
    of_channel = torch.arange(channels) // (channels // groups)
    return of_filter[:, None] == of_channel[None, :]


def _dense(weights: Tensor, channels: int, groups: int) -> Tensor:
    """Weights (F, C, kH, kW) over all channels, 0 for those of other groups."""
    if groups == 1:
        return weights
    dense = weights.new_zeros(len(weights), channels, *weights.shape[2:])
    dense[_group_mask(len(weights), channels, groups)] = weights.flatten(0, 1)
    return dense


def _strongest_channels(convolution: Convolution) -> list[int]:
    """The channels to show: all, or of many those with the largest contributions per filter."""
    c = convolution
    if len(c.inputs) <= MAX_CHANNELS:
        return list(range(len(c.inputs)))
    windows = F.unfold(
        c.padded[:, None], (c.weights.shape[2], c.weights.shape[3]), c.dilation, 0, c.stride
    )  # (C, kH * kW, windows)
    contributions = torch.einsum("ckp,fck->fcp", windows, c.weights.flatten(2)).square().sum(2)
    order = contributions.argsort(1, descending=True)
    selected: list[int] = []
    for rank in range(len(c.inputs)):
        for f in range(len(c.weights)):
            channel = int(order[f, rank])
            if c.sees[f, channel] and channel not in selected and len(selected) < MAX_CHANNELS:
                selected.append(channel)
    return sorted(selected)
