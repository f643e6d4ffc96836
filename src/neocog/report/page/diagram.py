"""A diagram of a network: a row of blocks with their kind, output shape and parameters."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

from neocog.inspection.layers import ImageShape, LayerSummary
from neocog.rendering.numbers import format_count
from neocog.report.phrases.report import Translate

MAX_BLOCKS = 14  # in a longer network, neighbours with the same output shape are merged
SIDE, DEPTH = 58.0, 26.0  # of the drawing of the largest feature maps, and of most of them

# Layers that do not change the shape and are listed with the layer before them.
_FOLLOWERS = (
    "ReLU", "ReLU6", "GELU", "Tanh", "ScaledTanh", "Sigmoid", "SiLU", "Hardswish", "Hardsigmoid",
    "BatchNorm2d", "LayerNorm", "LayerNorm2d", "LocalResponseNorm", "Dropout", "Flatten",
    "StochasticDepth", "Permute", "LogSoftmax", "Softmax",
)  # fmt: skip
_KINDS = (
    (re.compile("Adaptive"), "global"),
    (re.compile("Pool|Subsampling"), "pool"),
    (re.compile("Conv"), "conv"),
    (re.compile("Linear|Rbf"), "full"),
    (re.compile("Attention"), "attention"),
)
# Layers with a phrase of their own, because that of their kind would be wrong.
_NAMED_LAYERS = ("AvgPool2d", "AdaptiveMaxPool2d", "Subsampling", "RbfOutput", "Flatten")


@dataclass(frozen=True)
class DiagramBlock:
    """Consecutive layers that are drawn as one card.

    Attributes:
        names: Names of the merged blocks.
        kind: conv, pool, global, full, attention, other, or group: a block that the network itself
            defines, with layers of several kinds.
        layers: All its layers.
        followers: Kinds of the layers at its end that do not change the shape.
        repeats: Number of merged blocks of the same kind and shape.
    """

    names: tuple[str, ...]
    kind: str
    layers: tuple[LayerSummary, ...]
    followers: tuple[str, ...] = ()
    repeats: int = 1

    @property
    def name(self) -> str:
        """The name; for merged blocks the first one's with the number of the last one."""
        first, last = self.names[0], self.names[-1]
        if first == last:
            return first
        number, last_number = re.search(r"\d+$", first), re.search(r"\d+$", last)
        if number and last_number and first[: number.start()] == last[: last_number.start()]:
            return f"{first}–{last_number.group()}"
        return f"{first} – {last}"

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of the output; feature maps that the block flattens at its end count as maps."""
        shapes = [layer.output for layer in self.layers if layer.kind != "Flatten"]
        return (shapes or [self.layers[-1].output])[-1]

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def flops(self) -> int:
        """FLOPs for one image."""
        return sum(layer.flops for layer in self.layers)

    @property
    def kernel(self) -> tuple[int | None, int]:
        """Kernel size, None without a kernel, and stride of the first layer."""
        return self.layers[0].kernel_size, self.layers[0].stride


def blocks(layers: Sequence[LayerSummary]) -> list[DiagramBlock]:
    """The blocks of a network, in order.

    The layers of a group that the network defines (blocks.3.*, layer1.0.*) are one block, and so
    are a layer and its followers, which do not change the shape. In a network with more than
    MAX_BLOCKS, neighbours of the same kind and shape are merged.
    """
    result: list[DiagramBlock] = []
    for layer in layers:
        group = _group(layer.name)
        if group and result and result[-1].names == (group,):
            result[-1] = replace(result[-1], layers=(*result[-1].layers, layer))
        elif group:
            result.append(DiagramBlock((group,), "group", (layer,)))
        elif layer.kind in _FOLLOWERS and result and _keeps_size(layer, result[-1]):
            followers = result[-1].followers
            if layer.kind != "Flatten" and layer.kind not in followers:
                followers = (*followers, layer.kind)
            result[-1] = replace(
                result[-1], layers=(*result[-1].layers, layer), followers=followers
            )
        else:
            result.append(DiagramBlock((layer.name,), _kind(layer.kind), (layer,)))
    return _merge_neighbours(result) if len(result) > MAX_BLOCKS else result


def stage_ends(layers: Sequence[LayerSummary]) -> list[str]:
    """Names of the layers before a new shape or new weights, and of the last layer."""
    maps = [layer for layer in layers if layer.kind != "Flatten"]
    return [
        layer.name
        for layer, after in zip(maps, [*maps[1:], None], strict=True)
        if after is None or after.kind not in _FOLLOWERS
    ]


def draw(size: ImageShape, blocks: Sequence[DiagramBlock], t: Translate) -> Markup:
    """The input, (C, H, W), and the blocks as an HTML list with one card each."""
    shapes = [size, *(block.output for block in blocks)]
    sides = [max(s[1:]) for s in shapes if len(s) == 3]
    most_maps = max((s[0] for s in shapes if len(s) == 3), default=1)
    cards = [_card("input", t("kind_input"), size, "", _glyph(size, sides, most_maps))]
    for block in blocks:
        parameters = t("parameters", n=f"{block.parameters:,}") if block.parameters else ""
        field = block.layers[-1].receptive_field
        title = t("block_title", flops=format_count(block.flops), seen=field)
        glyph = _glyph(block.output, sides, most_maps)
        text = _description(block, t)
        cards.append(_card(block.name, text, block.output, parameters, glyph, block.kind, title))
    return Markup(f'<ol class="network">{"".join(cards)}</ol>')


def shape_text(shape: Sequence[int]) -> str:
    """A shape as text: 6 × 28 × 28."""
    return " × ".join(map(str, shape))


def _group(name: str) -> str:
    """The shortest prefix of a layer's name that is numbered: blocks.3, layer1.0, else block1.

    Empty for a layer without such a prefix, as in a plain nn.Sequential.
    """
    parts = name.split(" ")[0].split(".")
    prefixes = [".".join(parts[:k]) for k in range(1, len(parts))]
    numbered = [prefix for prefix in prefixes if prefix.rpartition(".")[2].isdecimal()]
    with_digit = [prefix for prefix in prefixes if re.search(r"\d$", prefix)]
    return (numbered or with_digit or [""])[0]


def _keeps_size(layer: LayerSummary, before: DiagramBlock) -> bool:
    return math.prod(layer.output) == math.prod(before.output) and before.kind != "group"


def _kind(name: str) -> str:
    return next((kind for pattern, kind in _KINDS if pattern.search(name)), "other")


def _merge_neighbours(blocks: Sequence[DiagramBlock]) -> list[DiagramBlock]:
    """Merge neighbours of the same kind, kernel and output shape."""
    merged: list[DiagramBlock] = []
    for block in blocks:
        last = merged[-1] if merged else None
        is_alike = last and (last.kind, last.output) == (block.kind, block.output)
        if last and is_alike and (block.kind == "group" or last.kernel == block.kernel):
            merged[-1] = replace(
                last,
                names=(*last.names, *block.names),
                layers=(*last.layers, *block.layers),
                repeats=last.repeats + 1,
            )
        else:
            merged.append(block)
    return merged


def _description(block: DiagramBlock, t: Translate) -> str:
    """A block in words: `convolution 5×5 · ReLU`, `3 blocks: convolutions: 6`."""
    if block.kind == "group":
        return _group_description(block, t)
    first = block.layers[0].kind
    kernel = ""
    size, stride = block.kernel
    if size is not None and block.kind != "global":
        kernel = f" {size}×{size}" + (t("stride", n=stride) if stride > 1 else "")
    key = f"kind_{first}" if first in _NAMED_LAYERS else f"kind_{block.kind}"
    kind = t(key) if key != "kind_other" else first
    repeats = f"{block.repeats} × " if block.repeats > 1 else ""
    followers = "".join(f" · {_follower(name)}" for name in block.followers)
    return f"{repeats}{kind}{kernel}{followers}"


def _group_description(block: DiagramBlock, t: Translate) -> str:
    """The number of layers of each kind in a group, for layers with weights and pooling."""
    counts = Counter(_kind(layer.kind) for layer in block.layers)
    parts = [
        t(f"count_{kind}", n=counts[kind])
        for kind in ("conv", "attention", "full", "pool")
        if counts[kind]
    ]
    repeats = t("count_blocks", n=block.repeats) + t("colon") if block.repeats > 1 else ""
    return repeats + t("list_comma").join(parts)


def _follower(name: str) -> str:
    return {"BatchNorm2d": "BatchNorm", "ScaledTanh": "tanh", "Tanh": "tanh"}.get(name, name)


def _card(
    name: str, text: str, shape: Sequence[int], below: str, glyph: str, kind: str = "input",
    title: str = "",
) -> str:  # fmt: skip
    return (
        f'<li class="block {kind}" title="{escape(title)}">{glyph}<b>{escape(name)}</b>'
        f'<span>{escape(text)}</span><span class="shape">{escape(shape_text(shape))}</span>'
        f'<span class="quiet">{escape(below)}</span></li>'
    )


def _glyph(shape: Sequence[int], sides: Sequence[int], most_maps: int) -> str:
    """Feature maps as a stack of sheets, a vector as a bar, as SVG.

    The side of a sheet grows with the root of the map's side, the depth of the stack with the
    logarithm of the number of maps, so that all shapes of a network stay visible.
    """
    if len(shape) == 3 and max(shape[1:]) > 1:
        side = max(5.0, SIDE * math.sqrt(max(shape[1:]) / max(sides)))
        sheets = max(1, min(6, round(math.log2(1 + shape[0]))))
        depth = DEPTH * math.log2(1 + shape[0]) / math.log2(1 + most_maps) if sheets > 1 else 0.0
        step = depth / max(1, sheets)
        top, left = (SIDE + DEPTH - side - depth) / 2 + depth, (SIDE + DEPTH - side - depth) / 2
        boxes = [
            f'<rect x="{left + k * step:.1f}" y="{top - k * step:.1f}" '
            f'width="{side:.1f}" height="{side:.1f}"/>'
            for k in range(sheets - 1, -1, -1)
        ]
    else:
        units = math.prod(shape)
        height = max(8.0, min(SIDE + DEPTH, (SIDE + DEPTH) * math.log2(1 + units) / 12))
        middle = (SIDE + DEPTH) / 2
        boxes = [
            f'<rect x="{middle - 5:.1f}" y="{middle - height / 2:.1f}" '
            f'width="10" height="{height:.1f}"/>'
        ]
    box = f"-1 -1 {SIDE + DEPTH + 2:g} {SIDE + DEPTH + 2:g}"
    return f'<svg viewBox="{box}" aria-hidden="true">{"".join(boxes)}</svg>'
