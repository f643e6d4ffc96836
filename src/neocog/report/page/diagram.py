"""A network drawn as a row of blocks: what each is, the shape that leaves it, its parameters."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

from neocog.models.summary import Layer
from neocog.report.words.report import Say

MOST = 14  # blocks, above which neighbours whose outputs have the same shape become one
SIDE, DEEP = 58.0, 26.0  # of the drawing of the largest maps, and of the most of them

# Layers that change no shape and are named with the layer before them.
_FOLLOWS = (
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
# Layers with words of their own, where those of their kind would not do.
_SAID = ("AvgPool2d", "AdaptiveMaxPool2d", "Subsampling", "RbfOutput", "Flatten")


@dataclass(frozen=True)
class Block:
    """Some layers, one after the other, that are drawn as one.

    `kind` is conv, pool, global, full, attention, group (the network's own, of layers of several
    kinds) or other; `repeats` how many blocks of the same kind and shape it is.
    `follows` are the kinds of the layers that end it and change no shape.
    """

    names: tuple[str, ...]
    kind: str
    layers: tuple[Layer, ...]
    follows: tuple[str, ...] = ()
    repeats: int = 1

    @property
    def name(self) -> str:
        """Its layer's name; of several that are counted, the first's with the last's number."""
        first, last = self.names[0], self.names[-1]
        if first == last:
            return first
        one, other = re.search(r"\d+$", first), re.search(r"\d+$", last)
        if one and other and first[: one.start()] == last[: other.start()]:
            return f"{first}–{other.group()}"
        return f"{first} – {last}"

    @property
    def output(self) -> list[int]:
        """The shape that leaves it; maps that are flattened for the next block are still maps."""
        made = [layer.output for layer in self.layers if layer.kind != "Flatten"]
        return (made or [self.layers[-1].output])[-1]

    @property
    def parameters(self) -> int:
        """Those that are trained."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def flops(self) -> int:
        """Those of all its layers, for one image."""
        return sum(layer.flops for layer in self.layers)

    @property
    def kernel(self) -> str:
        """The kernel of the layer that gives it its kind; empty for layers without one."""
        return self.layers[0].kernel


def blocks(layers: Sequence[Layer]) -> list[Block]:
    """What is drawn of a network's layers, in their order.

    Layers of one of the network's own groups (blocks.3.*, layer1.0.*) are one block, and so are a
    layer and what follows it without a change of shape. Of a long network, neighbours of the same
    kind and shape become one.
    """
    found: list[Block] = []
    for layer in layers:
        group = _group(layer.name)
        if group and found and found[-1].names == (group,):
            found[-1] = replace(found[-1], layers=(*found[-1].layers, layer))
        elif group:
            found.append(Block((group,), "group", (layer,)))
        elif layer.kind in _FOLLOWS and found and _changes_nothing(layer, found[-1]):
            follows = found[-1].follows
            if layer.kind != "Flatten" and layer.kind not in follows:
                follows = (*follows, layer.kind)
            found[-1] = replace(found[-1], layers=(*found[-1].layers, layer), follows=follows)
        else:
            found.append(Block((layer.name,), _kind(layer.kind), (layer,)))
    return _shortened(found) if len(found) > MOST else found


def turns(layers: Sequence[Layer]) -> list[str]:
    """The names of the layers after which the shape changes or new weights come."""
    made = [layer for layer in layers if layer.kind != "Flatten"]
    return [
        layer.name
        for layer, after in zip(made, [*made[1:], None], strict=True)
        if after is None or after.kind not in _FOLLOWS
    ]


def draw(size: tuple[int, int, int], found: Sequence[Block], say: Say) -> Markup:
    """The input, channels x height x width, and the blocks as HTML, one card each.

    `say` gives the words for the kinds: `kind_conv`, `parameters` and so on.
    """
    shapes = [list(size), *(b.output for b in found)]
    sides = [max(s[1:]) for s in shapes if len(s) == 3]
    widest = max((s[0] for s in shapes if len(s) == 3), default=1)
    cards = [_card("input", say("kind_input"), list(size), "", _glyph(list(size), sides, widest))]
    for block in found:
        words = _words(block, say)
        below = say("parameters", n=f"{block.parameters:,}") if block.parameters else ""
        seen = block.layers[-1].receptive_field
        title = say("block_title", flops=short(block.flops), seen=seen)
        glyph = _glyph(block.output, sides, widest)
        cards.append(_card(block.name, words, block.output, below, glyph, block.kind, title))
    return Markup(f'<ol class="network">{"".join(cards)}</ol>')


def short(count: float) -> str:
    """A large number with its unit: 24, 341 k, 1.82 M, 15.5 G."""
    for power, unit in ((9, " G"), (6, " M"), (3, " k")):
        if count >= 10**power:
            return f"{count / 10**power:.3g}{unit}"
    return f"{count:.0f}"


def shape_text(shape: Sequence[int]) -> str:
    """A shape as it is read: 6 × 28 × 28."""
    return " × ".join(map(str, shape))


def _group(name: str) -> str:
    """The shortest part of a layer's name that is one of many: blocks.3, layer1.0, else block1.

    Empty for a layer that stands alone, in a plain sequence too.
    """
    parts = name.split(" ")[0].split(".")
    inside = [".".join(parts[:k]) for k in range(1, len(parts))]
    numbered = [path for path in inside if path.rpartition(".")[2].isdecimal()]
    counted = [path for path in inside if re.search(r"\d$", path)]
    return (numbered or counted or [""])[0]


def _changes_nothing(layer: Layer, before: Block) -> bool:
    return math.prod(layer.output) == math.prod(before.output) and before.kind != "group"


def _kind(name: str) -> str:
    return next((kind for pattern, kind in _KINDS if pattern.search(name)), "other")


def _shortened(found: list[Block]) -> list[Block]:
    """Neighbours of the same kind, kernel and shape as one block."""
    kept: list[Block] = []
    for block in found:
        last = kept[-1] if kept else None
        alike = last and (last.kind, last.output) == (block.kind, block.output)
        if last and alike and (block.kind == "group" or last.kernel == block.kernel):
            kept[-1] = replace(
                last,
                names=(*last.names, *block.names),
                layers=(*last.layers, *block.layers),
                repeats=last.repeats + 1,
            )
        else:
            kept.append(block)
    return kept


def _words(block: Block, say: Say) -> str:
    """What a block is: `convolution 5 × 5, ReLU`, `3 blocks, each 2 convolutions`."""
    if block.kind == "group":
        return _inside(block, say)
    first = block.layers[0].kind
    kernel = ""
    if block.kernel and block.kind != "global":
        window, _, stride = block.kernel.replace(" x ", "×").partition(" / ")
        kernel = f" {window}" + (say("stride", n=stride) if stride else "")
    known = f"kind_{first}" if first in _SAID else f"kind_{block.kind}"
    kind = say(known) if known != "kind_other" else first
    times = f"{block.repeats} × " if block.repeats > 1 else ""
    after = "".join(f" · {_follower(name)}" for name in block.follows)
    return f"{times}{kind}{kernel}{after}"


def _inside(block: Block, say: Say) -> str:
    """The layers of a group by their kinds, weighted ones only."""
    counts = Counter(_kind(layer.kind) for layer in block.layers)
    parts = [
        say(f"count_{kind}", n=counts[kind])
        for kind in ("conv", "attention", "full", "pool")
        if counts[kind]
    ]
    several = say("count_blocks", n=block.repeats) + say("colon") if block.repeats > 1 else ""
    return several + say("list_comma").join(parts)


def _follower(name: str) -> str:
    return {"BatchNorm2d": "BatchNorm", "ScaledTanh": "tanh", "Tanh": "tanh"}.get(name, name)


def _card(
    name: str, words: str, shape: Sequence[int], below: str, glyph: str, kind: str = "input",
    title: str = "",
) -> str:  # fmt: skip
    return (
        f'<li class="block {kind}" title="{escape(title)}">{glyph}<b>{escape(name)}</b>'
        f'<span>{escape(words)}</span><span class="shape">{escape(shape_text(shape))}</span>'
        f'<span class="quiet">{escape(below)}</span></li>'
    )


def _glyph(shape: Sequence[int], sides: Sequence[int], widest: int) -> str:
    """Maps as a stack of sheets, a vector as a bar: areas grow with the root of the numbers."""
    if len(shape) == 3 and max(shape[1:]) > 1:
        side = max(5.0, SIDE * math.sqrt(max(shape[1:]) / max(sides)))
        sheets = max(1, min(6, round(math.log2(1 + shape[0]))))
        deep = DEEP * math.log2(1 + shape[0]) / math.log2(1 + widest) if sheets > 1 else 0.0
        step = deep / max(1, sheets)
        top, left = (SIDE + DEEP - side - deep) / 2 + deep, (SIDE + DEEP - side - deep) / 2
        boxes = [
            f'<rect x="{left + k * step:.1f}" y="{top - k * step:.1f}" '
            f'width="{side:.1f}" height="{side:.1f}"/>'
            for k in range(sheets - 1, -1, -1)
        ]
    else:
        units = math.prod(shape)
        tall = max(8.0, min(SIDE + DEEP, (SIDE + DEEP) * math.log2(1 + units) / 12))
        middle = (SIDE + DEEP) / 2
        boxes = [
            f'<rect x="{middle - 5:.1f}" y="{middle - tall / 2:.1f}" '
            f'width="10" height="{tall:.1f}"/>'
        ]
    box = f"-1 -1 {SIDE + DEEP + 2:g} {SIDE + DEEP + 2:g}"
    return f'<svg viewBox="{box}" aria-hidden="true">{"".join(boxes)}</svg>'
