"""The layer pattern as a language: a network from one string.

The pattern of the tutorials (CS231n, "Convolutional neural networks"),
`INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC`, written out:
`[[conv3-32 relu]*2 pool2]*3 [fc128 relu]*1 fc`. Words, apart by blanks:

    conv3-32     convolution of 3 x 3, 32 maps, keeps the size; conv3-64s2 strides by 2, and
                 conv5-16p0 pads by nothing
    pool2        the maximum of each 2 x 2; avgpool2 the mean; pool3s2p1 windows that overlap
    gap          the mean of each whole map
    bn           batch normalisation
    relu tanh sigmoid gelu
    drop0.5      dropout of half the values
    fc128        fully connected, 128 units
    fc           fully connected, one unit a class: the last word of every pattern
    [...]*3      what is in brackets three times; brackets may stand in brackets
    ->  INPUT    arrows, and INPUT at the beginning, may be written and change nothing

A pattern has at most 2,000 layers and 250 million parameters, and no layer gives more than 100
million values for an image. Shapes are inferred. A convolution keeps its bias before `bn`, too.
Weights are drawn as He et al. (2015) do, so that deep patterns learn from the first step.
"""

import math
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from neocog.errors import UsageError, unknown
from neocog.models.geometry import convolved
from neocog.models.initialization import draw_as_he

MOST_LAYERS = 2000
MOST_UNITS = 65536
MOST_PARAMETERS = 250_000_000  # 1 GB of them; VGG-19 has 144 million
MOST_VALUES = 100_000_000  # that a layer gives for an image; VGG-19 has 3 million at 224 x 224
MOST_CHARACTERS = 20_000
_POINTWISE: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}
_WORDS = {
    "conv": re.compile(
        r"conv(?P<kernel>\d{1,9})-(?P<width>\d{1,9})(s(?P<stride>\d{1,9}))?(p(?P<padding>\d{1,9}))?"
    ),
    "pool": re.compile(
        r"(max|avg)?pool(?P<kernel>\d{1,9})(s(?P<stride>\d{1,9}))?(p(?P<padding>\d{1,9}))?"
    ),
    "drop": re.compile(r"drop(?P<share>0?\.\d{1,9}|0|1)"),
    "fc": re.compile(r"fc(?P<width>\d{0,9})"),
    "bn": re.compile(r"bn"),
    "gap": re.compile(r"gap"),
    **{word: re.compile(word) for word in _POINTWISE},
}
_FORMS = ("conv3-32", "pool2", "avgpool2", "gap", "bn", *_POINTWISE, "drop0.5", "fc128", "fc")


@dataclass(frozen=True)
class Word:
    """A word of a pattern and where it stands in it."""

    text: str
    begin: int


class PatternNet(nn.Sequential):
    """The layers of a pattern, named by what they are and counted: conv1, relu1, pool1 ... output.

    A sequence: N x C x H x W to N x K logits. `values_per_image` is what its largest layer gives.
    """

    values_per_image: int = 0


@dataclass
class _Builder:
    """The network so far: its layers, and the shape that the next one is given."""

    pattern: str
    num_classes: int
    shape: tuple[int, ...]
    layers: dict[str, nn.Module] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    last: Word | None = None
    parameters: int = 0
    values_per_image: int = 0

    def allow(self, word: Word, parameters: int, shape: tuple[int, ...]) -> None:
        """Raise UsageError where a layer, not yet made, would be larger than a pattern may be."""
        self.parameters += parameters
        self.values_per_image = max(self.values_per_image, math.prod(shape))
        if self.parameters > MOST_PARAMETERS:
            raise _wrong(
                self.pattern,
                word,
                f"with this layer the network has {self.parameters:,} parameters, and a pattern "
                f"may have {MOST_PARAMETERS:,}",
                "Give it fewer units or maps, or pool more before it.",
            )
        if math.prod(shape) > MOST_VALUES:
            raise _wrong(
                self.pattern,
                word,
                f"this layer gives {math.prod(shape):,} values for an image, and may give "
                f"{MOST_VALUES:,}",
                "Give it fewer maps, stride more or pad less.",
            )

    def add(self, kind: str, layer: nn.Module, shape: tuple[int, ...]) -> None:
        self.counts[kind] += 1
        self.layers[f"{kind}{self.counts[kind]}"] = layer
        self.shape = shape


def build(
    pattern: str, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> PatternNet:
    """The network that a pattern describes, with random weights.

    Raises UsageError that points at the word which is wrong or does not fit, and says what would.
    """
    pattern = " ".join(pattern.split())  # an error shows it on one line
    if len(pattern) > MOST_CHARACTERS:
        raise UsageError(
            f"The layer pattern has {len(pattern):,} characters, and may have {MOST_CHARACTERS:,}.",
            "Write what is repeated once: [...]*8",
        )
    words = _expand(pattern)
    builder = _Builder(pattern, num_classes, (in_channels, *image_size))
    for place, word in enumerate(words):
        kind, values = _read(pattern, word)
        if kind == "fc" and not values["width"] and place < len(words) - 1:
            raise _wrong(
                pattern, word, "`fc` without a number gives the classes, and ends the pattern",
                "Give the layer in between a width: fc128",
            )  # fmt: skip
        _ADD[kind](builder, word, values)
        builder.last = word
    if not words or words[-1].text.lower() != "fc":
        raise _wrong(
            pattern,
            Word("", len(pattern)),
            "the pattern must end in `fc`, one unit a class",
            f"For example: {f'{pattern} fc'.strip()}",
        )
    draw_as_he(list(builder.layers.values())[:-1])  # torch's own weights hardly start deep ones
    made = PatternNet(OrderedDict(builder.layers))
    made.values_per_image = builder.values_per_image
    return made


def _expand(pattern: str) -> list[Word]:
    """The words in order, brackets multiplied out."""
    stack: list[list[Word]] = [[]]
    opened: list[int] = []
    held = 0  # words on the stack
    for match in re.finditer(r"\[|\](?:\s*\*\s*(\d{1,9}))?|[^\s\[\]]+", pattern):
        text, begin = match.group(), match.start()
        if text == "->" or (text.lower() == "input" and not stack[0]):
            continue
        if text == "[":
            stack.append([])
            opened.append(begin)
        elif text.startswith("]"):
            if not opened:
                raise _wrong(pattern, Word("]", begin), "this bracket closes none", "Remove it.")
            opened.pop()
            times, inner = int(match.group(1) or 1), stack.pop()
            held += len(inner) * (times - 1)
            if held > MOST_LAYERS:
                raise _too_many(pattern, Word(text, begin))
            stack[-1] += inner * times
        else:
            stack[-1].append(Word(text, begin))
            held += 1
        if held > MOST_LAYERS:
            raise _too_many(pattern, Word(text, begin))
    if opened:
        raise _wrong(
            pattern, Word("[", opened[-1]), "this bracket is not closed", "Close it: [...]*2"
        )
    return stack[0]


def _read(pattern: str, word: Word) -> tuple[str, dict[str, str | None]]:
    """What kind of layer a word is, and its numbers."""
    for kind, form in _WORDS.items():
        match = form.fullmatch(word.text.lower())
        if match:
            return kind, match.groupdict()
    begins = re.match(r"[a-z]*", word.text.lower())
    name = begins.group() if begins else ""
    meant = {"conv": "conv3-32", "maxpool": "pool2", "pool": "pool2", "drop": "drop0.5"}.get(name)
    if meant:
        hint = f"For example {meant}: see `neocog models --help` for the words."
    else:
        hint = unknown("word", word.text, _FORMS).hint or f"Known: {', '.join(_FORMS)}."
    raise _wrong(pattern, word, "this is no layer", hint)


def _too_many(pattern: str, word: Word) -> UsageError:
    what = f"this makes more than {MOST_LAYERS:,} layers"
    return _wrong(pattern, word, what, "Repeat it less often.")


def _wrong(pattern: str, word: Word, what: str, hint: str) -> UsageError:
    mark = " " * word.begin + "^" * max(1, len(word.text))
    return UsageError(
        f"The layer pattern is wrong at {word.text!r}: {what}.\n  {pattern}\n  {mark}", hint
    )


def _maps(builder: _Builder, word: Word) -> tuple[int, int, int]:
    if len(builder.shape) != 3:
        last = builder.last.text if builder.last else ""
        raise _wrong(
            builder.pattern, word, f"it works on maps, and after {last!r} there are none",
            "Put it before the first fc.",
        )  # fmt: skip
    return builder.shape[0], builder.shape[1], builder.shape[2]


def _numbers(values: dict[str, str | None], stride: int, padding: int) -> tuple[int, int, int]:
    kernel = int(values["kernel"] or 0)
    return (
        kernel,
        stride if values["stride"] is None else int(values["stride"]),
        padding if values["padding"] is None else int(values["padding"]),
    )


def _after(builder: _Builder, word: Word, window: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width after a window of (kernel, stride, padding)."""
    _, height, width = _maps(builder, word)
    kernel, stride, padding = window
    if not kernel or not stride:
        raise _wrong(builder.pattern, word, "kernel and stride are at least 1", "Say: conv3-32s1")
    room = min(height, width) + 2 * padding
    if kernel > room:
        raise _wrong(
            builder.pattern,
            word,
            f"a window of {kernel} x {kernel} does not fit into maps of {height} x {width}"
            + (f" padded by {padding}" if padding else ""),
            f"At most {room} fits here: use a smaller one, or pool less before it.",
        )
    return convolved(height, *window), convolved(width, *window)


def _add_conv(builder: _Builder, word: Word, values: dict[str, str | None]) -> None:
    kernel, maps = int(values["kernel"] or 0), int(values["width"] or 0)
    window = _numbers(values, stride=1, padding=kernel // 2)
    if values["padding"] is None:
        if kernel and kernel % 2 == 0:
            raise _wrong(
                builder.pattern, word, "an even kernel cannot keep the size",
                f"Say how it is padded: conv{kernel}-{maps}p0",
            )  # fmt: skip
        if kernel // 2 > min(_maps(builder, word)[1:]):  # more padding than image
            _after(builder, word, (kernel, window[1], 0))
    height, width = _after(builder, word, window)
    if not 1 <= maps <= MOST_UNITS:
        raise _wrong(
            builder.pattern, word, f"a convolution has 1 to {MOST_UNITS:,} maps", "Say: conv3-32"
        )
    weights = maps * (builder.shape[0] * kernel * kernel + 1)
    builder.allow(word, weights, (maps, height, width))
    layer = nn.Conv2d(builder.shape[0], maps, *window)
    builder.add("conv", layer, (maps, height, width))


def _add_pool(builder: _Builder, word: Word, values: dict[str, str | None]) -> None:
    window = _numbers(values, stride=int(values["kernel"] or 0), padding=0)
    height, width = _after(builder, word, window)
    if window[2] > window[0] // 2:
        raise _wrong(
            builder.pattern, word, "a pool is padded by at most half its window",
            f"Say: p{window[0] // 2} or less.",
        )  # fmt: skip
    builder.allow(word, 0, (builder.shape[0], height, width))
    kind = nn.AvgPool2d if word.text.lower().startswith("avg") else nn.MaxPool2d
    builder.add("pool", kind(*window), (builder.shape[0], height, width))


def _add_gap(builder: _Builder, word: Word, _values: dict[str, str | None]) -> None:
    maps, _, _ = _maps(builder, word)
    builder.add("gap", nn.AdaptiveAvgPool2d(1), (maps, 1, 1))


def _add_bn(builder: _Builder, word: Word, _values: dict[str, str | None]) -> None:
    builder.allow(word, 2 * builder.shape[0], builder.shape)
    norm = nn.BatchNorm2d if len(builder.shape) == 3 else nn.BatchNorm1d
    builder.add("bn", norm(builder.shape[0]), builder.shape)


def _add_drop(builder: _Builder, _word: Word, values: dict[str, str | None]) -> None:
    builder.add("drop", nn.Dropout(float(values["share"] or 0)), builder.shape)


def _add_pointwise(builder: _Builder, word: Word, _values: dict[str, str | None]) -> None:
    kind = word.text.lower()
    builder.add(kind, _POINTWISE[kind](), builder.shape)


def _add_fc(builder: _Builder, word: Word, values: dict[str, str | None]) -> None:
    if len(builder.shape) == 3:
        maps, height, width = builder.shape
        builder.layers["flatten"] = nn.Flatten()
        builder.shape = (maps * height * width,)
    (inputs,) = builder.shape
    if values["width"] == "":
        builder.allow(word, (inputs + 1) * builder.num_classes, (builder.num_classes,))
        builder.layers["output"] = nn.Linear(inputs, builder.num_classes)
        return
    units = int(values["width"] or 0)
    if not 1 <= units <= MOST_UNITS:
        raise _wrong(builder.pattern, word, f"a layer has 1 to {MOST_UNITS:,} units", "Say: fc128")
    builder.allow(word, (inputs + 1) * units, (units,))
    builder.add("fc", nn.Linear(inputs, units), (units,))


_ADD: dict[str, Callable[[_Builder, Word, dict[str, str | None]], None]] = {
    "conv": _add_conv,
    "pool": _add_pool,
    "gap": _add_gap,
    "bn": _add_bn,
    "drop": _add_drop,
    "fc": _add_fc,
    **dict.fromkeys(_POINTWISE, _add_pointwise),
}
