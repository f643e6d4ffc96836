"""Layer patterns: a small language that defines a network in one string.

It follows the pattern of CS231n ("Convolutional neural networks"),
`INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC`; for example
`[[conv3-32 relu]*2 pool2]*3 [fc128 relu]*1 fc`. Words are separated by spaces:

    conv3-32     3 x 3 convolution, 32 maps, padded to keep the size; conv3-64s2 has stride 2,
                 conv5-16p0 padding 0
    pool2        2 x 2 max pooling; avgpool2: average pooling; pool3s2p1: overlapping windows
    gap          global average pooling
    bn           batch normalisation
    relu tanh sigmoid gelu
    drop0.5      dropout with probability 0.5
    fc128        fully connected layer of 128 units
    fc           fully connected layer with one unit per class: the last word of every pattern
    [...]*3      the words in brackets, three times; brackets can be nested
    ->  INPUT    arrows and a leading INPUT are ignored

A pattern has at most 2,000 layers and 250 million parameters, and no layer has more than 100
million outputs per image. Shapes are inferred. A convolution before `bn` has a bias, too. Weights
use He initialisation, because deep patterns hardly start training with torch's defaults.
"""

import math
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from neocog.errors import UsageError, unknown
from neocog.models.geometry import conv_output_size
from neocog.models.initialization import init_he

MAX_LAYERS = 2000
MAX_UNITS = 65536
MAX_PARAMETERS = 250_000_000  # 1 GB in float32; VGG-19 has 144 million
MAX_VALUES = 100_000_000  # outputs of a layer per image; VGG-19 has 3 million at 224 x 224
MAX_CHARACTERS = 20_000
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
    "drop": re.compile(r"drop(?P<probability>0?\.\d{1,9}|0|1)"),
    "fc": re.compile(r"fc(?P<width>\d{0,9})"),
    "bn": re.compile(r"bn"),
    "gap": re.compile(r"gap"),
    **{word: re.compile(word) for word in _POINTWISE},
}
_EXAMPLES = ("conv3-32", "pool2", "avgpool2", "gap", "bn", *_POINTWISE, "drop0.5", "fc128", "fc")


@dataclass(frozen=True)
class Word:
    """A word of a pattern and its offset in the pattern, in characters."""

    text: str
    start: int


class PatternNet(nn.Sequential):
    """The layers of a pattern in sequence, named conv1, relu1, pool1 and so on, and output.

    It maps images `(N, C, H, W)` to logits `(N, K)`. `values_per_image` is the number of outputs
    of its largest layer.
    """

    values_per_image: int = 0


@dataclass
class _Builder:
    """The layers added so far, and the shape of the next layer's input without the batch axis."""

    pattern: str
    num_classes: int
    shape: tuple[int, ...]
    layers: dict[str, nn.Module] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    last_word: Word | None = None
    parameters: int = 0
    values_per_image: int = 0

    def check_size(self, word: Word, parameters: int, shape: tuple[int, ...]) -> None:
        """Raise UsageError if a layer, before it is built, exceeds the limits of a pattern."""
        self.parameters += parameters
        self.values_per_image = max(self.values_per_image, math.prod(shape))
        if self.parameters > MAX_PARAMETERS:
            raise _wrong(
                self.pattern,
                word,
                f"with this layer the network has {self.parameters:,} parameters, and a pattern "
                f"may have {MAX_PARAMETERS:,}",
                "Give it fewer units or maps, or pool more before it.",
            )
        if math.prod(shape) > MAX_VALUES:
            raise _wrong(
                self.pattern,
                word,
                f"this layer gives {math.prod(shape):,} values for an image, and may give "
                f"{MAX_VALUES:,}",
                "Give it fewer maps, stride more or pad less.",
            )

    def add(self, kind: str, layer: nn.Module, shape: tuple[int, ...]) -> None:
        """Append a layer whose output has this shape."""
        self.counts[kind] += 1
        self.layers[f"{kind}{self.counts[kind]}"] = layer
        self.shape = shape


def build(
    pattern: str, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> PatternNet:
    """Build the network that a pattern describes, with random weights.

    Raises UsageError that marks the invalid word and suggests a correction.
    """
    pattern = " ".join(pattern.split())  # errors show it on one line
    if len(pattern) > MAX_CHARACTERS:
        raise UsageError(
            f"The layer pattern has {len(pattern):,} characters, and may have {MAX_CHARACTERS:,}.",
            "Write repetitions as [...]*8.",
        )
    words = _expand(pattern)
    builder = _Builder(pattern, num_classes, (in_channels, *image_size))
    for index, word in enumerate(words):
        kind, values = _parse_word(pattern, word)
        if kind == "fc" and not values["width"] and index < len(words) - 1:
            raise _wrong(
                pattern, word, "`fc` without a number is the output layer, and must come last",
                "Give a hidden layer a width: fc128",
            )  # fmt: skip
        _ADD[kind](builder, word, values)
        builder.last_word = word
    if not words or words[-1].text.lower() != "fc":
        raise _wrong(
            pattern,
            Word("", len(pattern)),
            "the pattern must end in `fc`, one unit per class",
            f"For example: {f'{pattern} fc'.strip()}",
        )
    init_he(list(builder.layers.values())[:-1])
    model = PatternNet(OrderedDict(builder.layers))
    model.values_per_image = builder.values_per_image
    return model


def _expand(pattern: str) -> list[Word]:
    """Return the words in order, with brackets expanded."""
    stack: list[list[Word]] = [[]]
    brackets: list[int] = []  # offsets of the open ones
    count = 0  # words on the stack
    for match in re.finditer(r"\[|\](?:\s*\*\s*(\d{1,9}))?|[^\s\[\]]+", pattern):
        text, start = match.group(), match.start()
        if text == "->" or (text.lower() == "input" and not stack[0]):
            continue
        if text == "[":
            stack.append([])
            brackets.append(start)
        elif text.startswith("]"):
            if not brackets:
                raise _wrong(pattern, Word("]", start), "this bracket closes nothing", "Remove it.")
            brackets.pop()
            times, inner = int(match.group(1) or 1), stack.pop()
            count += len(inner) * (times - 1)
            if count > MAX_LAYERS:
                raise _too_many(pattern, Word(text, start))
            stack[-1] += inner * times
        else:
            stack[-1].append(Word(text, start))
            count += 1
        if count > MAX_LAYERS:
            raise _too_many(pattern, Word(text, start))
    if brackets:
        raise _wrong(
            pattern, Word("[", brackets[-1]), "this bracket is not closed", "Close it: [...]*2"
        )
    return stack[0]


def _parse_word(pattern: str, word: Word) -> tuple[str, dict[str, str | None]]:
    """Return the kind of layer that a word names, and its numbers."""
    for kind, syntax in _WORDS.items():
        match = syntax.fullmatch(word.text.lower())
        if match:
            return kind, match.groupdict()
    letters = re.match(r"[a-z]*", word.text.lower())
    name = letters.group() if letters else ""
    example = {"conv": "conv3-32", "maxpool": "pool2", "pool": "pool2", "drop": "drop0.5"}.get(name)
    if example:
        hint = f"For example {example}: see `neocog models --help` for the words."
    else:
        hint = unknown("word", word.text, _EXAMPLES).hint or f"Known: {', '.join(_EXAMPLES)}."
    raise _wrong(pattern, word, "this is not a layer", hint)


def _too_many(pattern: str, word: Word) -> UsageError:
    reason = f"this makes more than {MAX_LAYERS:,} layers"
    return _wrong(pattern, word, reason, "Repeat it less often.")


def _wrong(pattern: str, word: Word, reason: str, hint: str) -> UsageError:
    """Return the error that shows the pattern with a word underlined."""
    marker = " " * word.start + "^" * max(1, len(word.text))
    return UsageError(
        f"The layer pattern is wrong at {word.text!r}: {reason}.\n  {pattern}\n  {marker}", hint
    )


def _maps(builder: _Builder, word: Word) -> tuple[int, int, int]:
    """Return the input shape (C, H, W). Raises UsageError after a fully connected layer."""
    if len(builder.shape) != 3:
        last = builder.last_word.text if builder.last_word else ""
        raise _wrong(
            builder.pattern, word, f"it needs feature maps, and after {last!r} there are none",
            "Put it before the first fc.",
        )  # fmt: skip
    return builder.shape[0], builder.shape[1], builder.shape[2]


def _window(values: dict[str, str | None], stride: int, padding: int) -> tuple[int, int, int]:
    """Return (kernel, stride, padding) of a word, with these defaults."""
    kernel = int(values["kernel"] or 0)
    return (
        kernel,
        stride if values["stride"] is None else int(values["stride"]),
        padding if values["padding"] is None else int(values["padding"]),
    )


def _output_size(builder: _Builder, word: Word, window: tuple[int, int, int]) -> tuple[int, int]:
    """Return (height, width) after a window of (kernel, stride, padding)."""
    _, height, width = _maps(builder, word)
    kernel, stride, padding = window
    if not kernel or not stride:
        raise _wrong(
            builder.pattern, word, "kernel and stride are at least 1", "For example: conv3-32s1"
        )
    room = min(height, width) + 2 * padding
    if kernel > room:
        raise _wrong(
            builder.pattern,
            word,
            f"a window of {kernel} x {kernel} does not fit into maps of {height} x {width}"
            + (f" padded by {padding}" if padding else ""),
            f"At most {room} fits here: use a smaller one, or pool less before it.",
        )
    return conv_output_size(height, *window), conv_output_size(width, *window)


def _add_conv(builder: _Builder, word: Word, values: dict[str, str | None]) -> None:
    kernel, maps = int(values["kernel"] or 0), int(values["width"] or 0)
    window = _window(values, stride=1, padding=kernel // 2)
    if values["padding"] is None:
        if kernel and kernel % 2 == 0:
            raise _wrong(
                builder.pattern, word, "an even kernel cannot keep the size",
                f"Give the padding: conv{kernel}-{maps}p0",
            )  # fmt: skip
        if kernel // 2 > min(_maps(builder, word)[1:]):  # more padding than image
            _output_size(builder, word, (kernel, window[1], 0))
    height, width = _output_size(builder, word, window)
    if not 1 <= maps <= MAX_UNITS:
        raise _wrong(
            builder.pattern,
            word,
            f"a convolution has 1 to {MAX_UNITS:,} maps",
            "For example: conv3-32",
        )
    parameters = maps * (builder.shape[0] * kernel * kernel + 1)
    builder.check_size(word, parameters, (maps, height, width))
    layer = nn.Conv2d(builder.shape[0], maps, *window)
    builder.add("conv", layer, (maps, height, width))


def _add_pool(builder: _Builder, word: Word, values: dict[str, str | None]) -> None:
    window = _window(values, stride=int(values["kernel"] or 0), padding=0)
    height, width = _output_size(builder, word, window)
    if window[2] > window[0] // 2:
        raise _wrong(
            builder.pattern, word, "a pool is padded by at most half its window",
            f"Use p{window[0] // 2} or less.",
        )  # fmt: skip
    builder.check_size(word, 0, (builder.shape[0], height, width))
    layer = nn.AvgPool2d if word.text.lower().startswith("avg") else nn.MaxPool2d
    builder.add("pool", layer(*window), (builder.shape[0], height, width))


def _add_gap(builder: _Builder, word: Word, _values: dict[str, str | None]) -> None:
    maps, _, _ = _maps(builder, word)
    builder.add("gap", nn.AdaptiveAvgPool2d(1), (maps, 1, 1))


def _add_bn(builder: _Builder, word: Word, _values: dict[str, str | None]) -> None:
    builder.check_size(word, 2 * builder.shape[0], builder.shape)
    norm = nn.BatchNorm2d if len(builder.shape) == 3 else nn.BatchNorm1d
    builder.add("bn", norm(builder.shape[0]), builder.shape)


def _add_drop(builder: _Builder, _word: Word, values: dict[str, str | None]) -> None:
    builder.add("drop", nn.Dropout(float(values["probability"] or 0)), builder.shape)


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
        builder.check_size(word, (inputs + 1) * builder.num_classes, (builder.num_classes,))
        builder.layers["output"] = nn.Linear(inputs, builder.num_classes)
        return
    units = int(values["width"] or 0)
    if not 1 <= units <= MAX_UNITS:
        raise _wrong(
            builder.pattern, word, f"a layer has 1 to {MAX_UNITS:,} units", "For example: fc128"
        )
    builder.check_size(word, (inputs + 1) * units, (units,))
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
