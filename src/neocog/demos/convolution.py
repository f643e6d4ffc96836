"""A convolution taken apart: the products and sums behind every number of its output."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.errors import NeocogError, UsageError, unknown
from neocog.inspection.hooks import evaluating, is_convolution, record_layers

SIDE = 32  # cells a side that can be looked at
MOST_CHANNELS, MOST_FILTERS = 8, 6  # of a trained layer; what is left out is added up
MOST_NAMES = 10  # of layers, in a message


@dataclass(frozen=True)
class Dimensions:
    """The dimensions of an example, all of them square; the defaults are the classic animation's.

    Raises UsageError where no output is possible, or none that can be looked at.
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
                    f"The example's {name} can be {least} to {most}, not {value}.",
                    f"For example: --{name} {getattr(Dimensions, name)}",
                )
        _ = self.output

    @property
    def output(self) -> int:
        """The side of the output."""
        return output_size(self.size, self.kernel, self.stride, self.padding, self.dilation)


# What an example can be and still be looked at.
LIMITS = {
    "size": (1, SIDE), "channels": (1, 8), "filters": (1, 8), "kernel": (1, 11), "stride": (1, 16),
    "padding": (0, 8), "dilation": (1, 8),
}  # fmt: skip


@dataclass(frozen=True)
class Excerpt:
    """Which part of a trained layer is shown.

    `input` and `output` are the whole layer's shapes, C x H x W; `filters` and `channels` the
    numbers of those shown; `hidden` how many channels more each of these filters sees. `corner` is
    the place, in the layer's whole output, of the first number shown; `patch` the rows and columns
    of the input that are shown (first, last, first, last), None for all of them. `strongest` is the
    filter, row and column of the largest number shown, counted within what is shown. `sides` holds
    size, kernel, stride, padding and dilation, down and across; a padding of 0.5 is a zero on one
    side only.
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
        """The shape of a filter: channels that it sees, rows, columns."""
        return self.input[0] // self.groups, self.sides[0][1], self.sides[1][1]

    @property
    def uneven(self) -> list[tuple[int, int]]:
        """Zeros before and after a side, where these differ."""
        whole = [round(2 * padding) for _, _, _, padding, _ in self.sides]
        return [(zeros // 2, zeros - zeros // 2) for zeros in whole if zeros % 2]


@dataclass(frozen=True)
class Convolution:
    """Inputs, C x H x W, and the filters that are laid over them, F x C x kH x kW, with biases, F.

    `padding` is the rows and columns of zeros at the top, bottom, left and right; `stride` and
    `dilation` are (down, across). `sees`, F x C, says which channels a filter sees; `rest`, of the
    output's shape, is what channels add that are not among `inputs`.
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
        """The inputs with their border of zeros."""
        top, bottom, left, right = self.padding
        return F.pad(self.inputs, (left, right, top, bottom))

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Filters x rows x columns."""
        kernel, padded = self.weights.shape[2:], self.padded.shape[1:]
        rows, columns = (
            output_size(padded[k], kernel[k], self.stride[k], 0, self.dilation[k]) for k in (0, 1)
        )
        return len(self.weights), rows, columns


@dataclass(frozen=True)
class Part:
    """What one channel gives to one number: its window, each times its weight, and their sum."""

    channel: int
    window: list[list[float]]
    weights: list[list[float]]
    products: list[list[float]]
    sum: float


@dataclass(frozen=True)
class Sum:
    """How one number of the output comes about: the parts' sums, the rest and the bias."""

    filter: int
    row: int
    column: int
    parts: list[Part]
    rest: float
    bias: float
    total: float

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return asdict(self)


def output_size(
    size: int, kernel: int, stride: int = 1, padding: float = 0, dilation: int = 1
) -> int:
    """How often a window fits along one side: (W - F + 2P)/S + 1, rounded down.

    With a dilation D the window spans D(F - 1) + 1 cells. Raises UsageError, with the formula, for
    what cannot be.
    """
    named = {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}
    for name, value in named.items():
        if value < 1:
            raise UsageError(f"The {name} is {value}.", "It must be at least 1.")
    if padding < 0:
        raise UsageError(f"The padding is {padding}.", "It must be at least 0.")
    span, room = dilation * (kernel - 1) + 1, size + round(2 * padding)
    if span > room:
        widest, least = (room - 1) // dilation + 1, max(1, span - round(2 * padding))
        raise UsageError(
            f"A window that spans {span} cells does not fit into {size} + 2 x {padding:g} = {room} "
            f"cells: {formula(size, kernel, stride, padding, dilation)}, and there is no output.",
            f"What fits: a kernel of at most {widest}, a padding of at least "
            f"{math.ceil((span - size) / 2)}, or an input of at least {least}.",
        )
    return (room - span) // stride + 1


def formula(size: int, kernel: int, stride: int = 1, padding: float = 0, dilation: int = 1) -> str:
    """The formula of the output's size with its numbers filled in, and what it gives."""
    span = dilation * (kernel - 1) + 1
    exact = (size - span + 2 * padding) / stride + 1
    letters = "(W - F + 2P)/S + 1"
    if dilation > 1:
        letters = f"F' = D(F - 1) + 1 = {span}; (W - F' + 2P)/S + 1"
    filled = f"{letters} = ({size} - {span} + 2 x {padding:g})/{stride} + 1 = {exact:.4g}"
    return filled if exact == int(exact) else f"{filled}, rounded down {math.floor(exact)}"


def unseen(size: int, kernel: int, stride: int = 1, padding: float = 0, dilation: int = 1) -> int:
    """The last cells of the padded input that no window reaches, since the stride does not fit."""
    steps = output_size(size, kernel, stride, padding, dilation) - 1
    return size + round(2 * padding) - steps * stride - dilation * (kernel - 1) - 1


def example(dimensions: Dimensions, seed: int = 0) -> Convolution:
    """Small whole numbers, as in CS231n's animation: inputs 0..2, weights -1..1, biases 1, 0, ...

    A number depends on the seed and its place alone, so that a larger example goes on where a
    smaller ends; the page draws them in the same way.
    """
    d = dimensions
    side, kernel = range(d.size), range(d.kernel)
    inputs = [[[drawn(seed, 0, 0, c, i, j) for j in side] for i in side] for c in range(d.channels)]
    weights = [
        [
            [[drawn(seed, 1, f, c, i, j) - 1 for j in kernel] for i in kernel]
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


def drawn(*key: int) -> int:
    """0, 1 or 2, by the key alone: FNV-1a over its numbers, mixed as MurmurHash3 ends."""
    state = 2166136261
    for number in key:
        state = (state ^ number) * 16777619 & 0xFFFFFFFF
    state = (state ^ state >> 15) * 0x85EBCA6B & 0xFFFFFFFF
    state = (state ^ state >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return (state ^ state >> 16) % 3


def output(convolution: Convolution) -> Tensor:
    """Every number of the output, F x H' x W'."""
    c = convolution
    padded, shape = c.padded, c.output_shape
    weights = c.weights * c.sees[:, :, None, None]
    total = c.bias[:, None, None].expand(shape).clone()
    for i in range(weights.shape[2]):
        for j in range(weights.shape[3]):
            top, left = i * c.dilation[0], j * c.dilation[1]
            # The cells under weight i, j, one for each place of the window.
            under = padded[:, top :: c.stride[0], left :: c.stride[1]][:, : shape[1], : shape[2]]
            total += torch.einsum("fc,chw->fhw", weights[:, :, i, j], under)
    return total if c.rest is None else total + c.rest


def one_sum(convolution: Convolution, filter: int, row: int, column: int) -> Sum:  # noqa: A002
    """How the number of a filter at a row and column of the output comes about."""
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
    """What a convolution in a network does with one image, 1 x C x H x W, in float64.

    `layer` is its name, by default the first that the image meets. Shown are at most 32 x 32
    cells around the strongest answer, the channels that matter most, and `filters`: by default
    those that answer most strongly. Raises UsageError for a layer or filter that is not there, and
    NeocogError for a layer that cannot be shown.
    """
    name, module, given, made = _met(model, inputs, layer)
    x, zeros = given[0].double(), _zeros(module, given, made)
    weights, bias = _parameters(module)
    bordered = F.pad(x, (*zeros[1], *zeros[0]))[None]
    answers = F.conv2d(bordered, weights, bias, module.stride, 0, module.dilation, module.groups)[0]
    _check_is_plain(name, answers, made[0])
    chosen = _chosen(answers, filters)
    place = torch.unravel_index(answers[chosen].argmax(), answers[chosen].shape)
    axes = [_Axis(module, zeros[k], k, x.shape[k + 1], answers.shape[k + 1]) for k in (0, 1)]
    batch_bounds = [axis.cut(int(at)) for axis, at in zip(axes, place[1:], strict=True)]
    whole = Convolution(
        x[:, batch_bounds[0].cells, batch_bounds[1].cells],
        _dense(weights, len(x), module.groups)[chosen],
        bias[chosen],
        stride=(module.stride[0], module.stride[1]),
        padding=(*batch_bounds[0].padding, *batch_bounds[1].padding),
        dilation=(module.dilation[0], module.dilation[1]),
        sees=_seen_channels(len(weights), len(x), module.groups)[chosen],
    )
    channels = _strongest_channels(whole)
    hidden = whole.sees.clone()
    hidden[:, channels] = False
    first = (batch_bounds[0].first, batch_bounds[1].first)
    found = Excerpt(
        layer=name,
        input=(x.shape[0], x.shape[1], x.shape[2]),
        output=(answers.shape[0], answers.shape[1], answers.shape[2]),
        groups=module.groups,
        filters=tuple(chosen),
        channels=tuple(channels),
        hidden=tuple(hidden.sum(1).tolist()),
        corner=first,
        patch=(*batch_bounds[0].shown, *batch_bounds[1].shown) if max(x.shape[1:]) > SIDE else None,
        strongest=(int(place[0]), int(place[1]) - first[0], int(place[2]) - first[1]),
        sides=tuple(axis.numbers for axis in axes),
    )
    # What the channels add that are not shown, without the bias, which is added once.
    others = replace(whole, sees=hidden, bias=torch.zeros_like(whole.bias))
    return replace(
        whole,
        inputs=whole.inputs[channels],
        weights=whole.weights[:, channels],
        sees=whole.sees[:, channels],
        rest=output(others) if hidden.any() else None,
        excerpt=found,
    )


def _parameters(module: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Weights and biases in float64, zeros where there are none."""
    weights = module.weight.detach().double().cpu()
    if module.bias is None:
        return weights, weights.new_zeros(len(weights))
    return weights, module.bias.detach().double().cpu()


def _met(
    model: nn.Module, inputs: Tensor, layer: str | None
) -> tuple[str, nn.Conv2d, Tensor, Tensor]:
    """The convolution that is meant, what it is given for an image, and what it makes of that."""
    modules = dict(model.named_modules())
    known = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)]
    if not known:
        raise NeocogError(
            "The network has no convolution to show.",
            "Name a run of one that has: neocog train --model lenet5",
        )
    if layer is not None and layer not in known:
        raise no_convolution(layer, known, modules)
    met: list[tuple[str, nn.Conv2d, Tensor, Tensor]] = []

    def note(name: str, module: nn.Module, given: Tensor, made: Tensor) -> None:
        if not met and isinstance(module, nn.Conv2d) and layer in (None, name):
            met.append((name, module, given.detach().cpu(), made.detach().cpu()))

    with torch.no_grad(), evaluating(model), record_layers(model, note):
        model(inputs)
    if not met:
        raise NeocogError(f"The image does not meet {layer or 'a convolution'}.")
    return met[0]


def no_convolution(
    layer: str, known: Iterable[str], modules: Mapping[str, nn.Module]
) -> NeocogError:
    """The error for a `layer` that is not one of the `known`, a few of which it names."""
    names = list(known)
    module = modules.get(layer)
    if module is not None and is_convolution(module) and not isinstance(module, nn.Conv2d):
        return NeocogError(
            f"{layer} is a convolution with a table of connections, which cannot be shown here.",
            f"Choose another, for example: --layer {names[0]}",
        )
    if len(names) <= MOST_NAMES:
        return unknown("convolution", layer, names)
    near = [name for name in names if name.startswith(layer.lower())]
    near = near or get_close_matches(layer.lower(), names, n=1, cutoff=0.5)
    some = ", ".join([*names[: MOST_NAMES // 2], "...", names[-1]])
    return UsageError(
        f"There is no convolution {layer!r}.",
        f"There are {len(names)}: {some}. For example: --layer {(near or names)[0]}",
    )


def _zeros(module: nn.Conv2d, given: Tensor, made: Tensor) -> list[tuple[int, int]]:
    """The rows of zeros above and below, and the columns on the left and on the right."""
    if type(module).forward is nn.Conv2d.forward and not isinstance(module.padding, str):
        return [(int(side), int(side)) for side in module.padding]
    found = []
    for k in (0, 1):  # `same`: what the output's size needs, the odd one at the end
        span = module.dilation[k] * (module.kernel_size[k] - 1) + 1
        total = max(0, (made.shape[k + 2] - 1) * module.stride[k] + span - given.shape[k + 2])
        found.append((total // 2, total - total // 2))
    return found


def _check_is_plain(name: str, answers: Tensor, made: Tensor) -> None:
    """Raise NeocogError where a layer gives other answers than these."""
    same = answers.shape == made.shape
    if not same or not torch.allclose(answers, made.double(), 1e-3, 1e-3 * float(made.abs().max())):
        raise NeocogError(
            f"{name} does more than a convolution with a border of zeros, and cannot be shown.",
            "Choose another: --layer NAME",
        )


def _chosen(answers: Tensor, filters: tuple[int, ...]) -> list[int]:
    """The filters to show: those asked for, or those that answer most strongly."""
    count = len(answers)
    wrong = [f for f in filters if not 0 <= f < count]
    if wrong:
        raise UsageError(f"There is no filter {wrong[0]}.", f"There are 0 to {count - 1}.")
    if len(set(filters)) > LIMITS["filters"][1]:
        most = LIMITS["filters"][1]
        raise UsageError(f"{len(set(filters))} filters are too many.", f"At most {most} are shown.")
    if filters:
        return sorted(set(filters))
    if count <= MOST_FILTERS:
        return list(range(count))
    return sorted(answers.flatten(1).amax(1).topk(MOST_FILTERS).indices.tolist())


@dataclass(frozen=True)
class _Cut:
    """What is shown along a side: input cells, zeros before and after, and the first output."""

    cells: slice
    padding: tuple[int, int]
    first: int

    @property
    def shown(self) -> tuple[int, int]:
        return self.cells.start, self.cells.stop - 1


class _Axis:
    """A convolution's numbers along the height (0) or the width (1)."""

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
    def numbers(self) -> tuple[int, int, int, float, int]:
        """Size, kernel, stride, padding and dilation."""
        total = sum(self.zeros)
        padding = total / 2 if total % 2 else total // 2
        return self.size, self.kernel, self.stride, padding, self.dilation

    def cut(self, around: int) -> _Cut:
        """All of a side, or, of a long one, what the windows around an output see."""
        if self.size <= SIDE:
            return _Cut(slice(0, self.size), self.zeros, 0)
        span = self.dilation * (self.kernel - 1) + 1
        shown = min(self.count, max(1, (SIDE - span) // self.stride + 1))
        first = min(max(0, around - shown // 2), self.count - shown)
        begin = first * self.stride - self.zeros[0]
        end = begin + (shown - 1) * self.stride + span
        cells = slice(max(0, begin), min(self.size, end))
        return _Cut(cells, (max(0, -begin), max(0, end - self.size)), first)


def _seen_channels(filters: int, channels: int, groups: int) -> Tensor:
    """Filters x channels: whether the filter's group has the channel."""
    of_filter = torch.arange(filters) // (filters // groups)
    of_channel = torch.arange(channels) // (channels // groups)
    return of_filter[:, None] == of_channel[None, :]


def _dense(weights: Tensor, channels: int, groups: int) -> Tensor:
    """Weights for every channel, zero for those of other groups."""
    if groups == 1:
        return weights
    dense = weights.new_zeros(len(weights), channels, *weights.shape[2:])
    dense[_seen_channels(len(weights), channels, groups)] = weights.flatten(0, 1)
    return dense


def _strongest_channels(convolution: Convolution) -> list[int]:
    """The channels to show: all, or of many each filter's strongest in turn."""
    c = convolution
    if len(c.inputs) <= MOST_CHANNELS:
        return list(range(len(c.inputs)))
    windows = F.unfold(
        c.padded[:, None], (c.weights.shape[2], c.weights.shape[3]), c.dilation, 0, c.stride
    )  # channels x kernel cells x places
    added = torch.einsum("ckp,fck->fcp", windows, c.weights.flatten(2)).square().sum(2)
    order = added.argsort(1, descending=True)
    taken: list[int] = []
    for rank in range(len(c.inputs)):
        for f in range(len(c.weights)):
            channel = int(order[f, rank])
            if c.sees[f, channel] and channel not in taken and len(taken) < MOST_CHANNELS:
                taken.append(channel)
    return sorted(taken)
