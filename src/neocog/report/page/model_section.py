"""Into a classifier: where it looks, its first filters, what its layers make of images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from markupsafe import Markup
from numpy.typing import NDArray
from torch import Tensor

from neocog.classifier import Classifier
from neocog.evaluation.evaluate import Evaluation
from neocog.explain.filters import first_filters
from neocog.explain.gradcam import default_layer, grad_cam
from neocog.inspection.hooks import as_maps, feature_maps
from neocog.rendering import grids
from neocog.report.page.diagram import Block, turns

MOST_LAYERS, MOST_MAPS, MOST_UNITS = 12, 16, 256
MOST_FILTERS = 64
SIDE, COLUMNS = 56, 8  # pixels of a map at most, and maps in a row
FILTER_SIDE = 40  # pixels of a filter at least
MOST_ANSWERS = 5  # classes whose probability is shown
AT_ONCE = 12  # images that go through the network with their gradients


@dataclass(frozen=True)
class HeatmapExample:
    """An answer to a test image; `heat` is where the network looked, if that can be said."""

    image: str
    heat: str | None
    truth: str
    guess: str
    probability: float
    path: str

    @property
    def right(self) -> bool:
        """Whether the answer is the label."""
        return self.truth == self.guess


@dataclass(frozen=True)
class Filters:
    """The first layer's filters as one image; `shown` of `count` are on it."""

    layer: str
    image: str
    shape: tuple[int, ...]
    shown: int
    count: int

    @property
    def columns(self) -> int:
        """How many filters are side by side."""
        return self.shown if self.shown <= COLUMNS else 2 * COLUMNS


@dataclass(frozen=True)
class LayerOutput:
    """What a layer made of an image: its maps as one image, or a vector's values as bars.

    `bars` are -1..1. `shown` of `count` maps or values are there; maps are in rows of `columns`.
    """

    layer: str
    shape: tuple[int, ...]
    image: str | None
    bars: tuple[float, ...]
    shown: int
    count: int

    @property
    def columns(self) -> int:
        """How many maps are side by side."""
        return min(self.shown, COLUMNS)

    @property
    def path(self) -> Markup:
        """The bars as SVG, 4 wide and up to 20 high each: those above 0 and those below."""
        parts = {"above": "", "below": ""}
        for n, value in enumerate(self.bars):
            high = round(-20 * value, 1)
            if high:
                parts["above" if value > 0 else "below"] += f"M{4 * n + 2} 0v{high:g}"
        return Markup("".join(f'<path class="{k}" d="{v}"/>' for k, v in parts.items() if v))


@dataclass(frozen=True)
class LayerTrace:
    """An image's way through the network, to the classes with their probabilities."""

    image: str
    truth: str
    path: str
    made: tuple[LayerOutput, ...]
    answers: tuple[tuple[str, float], ...]


def looks(
    evaluation: Evaluation, chosen: NDArray[np.int64], layer: str | None
) -> list[HeatmapExample]:
    """The answers to the `chosen` test images, with Grad-CAM at `layer` for what was answered."""
    test, classifier = evaluation.test, evaluation.classifier
    images = np.asarray(test.images[chosen])
    answers = evaluation.probabilities[chosen]
    predicted = answers.argmax(1)
    heats = _heats(classifier, images, predicted, layer) if layer else [None] * len(chosen)
    return [
        HeatmapExample(
            image=_packed(image),
            heat=None if heat is None else _packed_heat(image, heat),
            truth=test.classes[test.labels[n]],
            guess=test.classes[guess],
            probability=float(row[guess]),
            path=test.paths[n] if test.paths else "",
        )
        for n, image, row, guess, heat in zip(
            chosen, images, answers, predicted, heats, strict=True
        )
    ]


def layer_to_look_at(classifier: Classifier, images: NDArray[np.uint8]) -> str | None:
    """Where Grad-CAM looks into the network; None where it has no maps."""
    return default_layer(classifier.model, classifier.inputs(images[:1]))


def filters(classifier: Classifier, images: NDArray[np.uint8]) -> Filters | None:
    """The first layer's filters; None where that layer has none that can be looked at."""
    found = first_filters(classifier.model, classifier.inputs(images[:1]))
    if found is None:
        return None
    layer, weights = found
    some = weights[:MOST_FILTERS]
    found_filters = Filters(layer, "", tuple(weights.shape[1:]), len(some), len(weights))
    drawn = grids.filter_grid(some, found_filters.columns, FILTER_SIDE)
    return replace(found_filters, image=grids.uri(drawn))


def passages(
    evaluation: Evaluation, chosen: NDArray[np.int64], blocks: Sequence[Block]
) -> tuple[list[LayerTrace], int]:
    """The ways of the `chosen` test images through the network, and how many layers it has.

    A network of many layers is shown by the ends of its blocks, spread along its depth.
    """
    test = evaluation.test
    images = np.asarray(test.images[chosen])
    found = feature_maps(evaluation.classifier.model, evaluation.classifier.inputs(images))
    layers = _layers_shown(found, blocks)
    made = []
    for place, n in enumerate(chosen):
        row = evaluation.probabilities[n]
        best = np.argsort(-row, kind="stable")[:MOST_ANSWERS]
        made.append(
            LayerTrace(
                image=_packed(images[place]),
                truth=test.classes[test.labels[n]],
                path=test.paths[n] if test.paths else "",
                made=tuple(_made(name, found[name][place]) for name in layers),
                answers=tuple((test.classes[k], float(row[k])) for k in best),
            )
        )
    return made, len(found)


def clear_ones(evaluation: Evaluation, count: int = 3) -> NDArray[np.int64]:
    """Test images of different classes that are rightly classified, one a class, the first."""
    test = evaluation.test
    right = np.nonzero(evaluation.probabilities.argmax(1) == test.labels)[0]
    _, first = np.unique(test.labels[right], return_index=True)
    chosen = right[first[:count]]
    more = np.setdiff1d(right, chosen)[: count - len(chosen)]
    return np.concatenate([chosen, more]).astype(np.int64)


def _heats(
    classifier: Classifier, images: NDArray[np.uint8], targets: NDArray[np.int64], layer: str
) -> list[Tensor | None]:
    found: list[Tensor | None] = []
    for begin in range(0, len(images), AT_ONCE):
        some = slice(begin, begin + AT_ONCE)
        inputs = classifier.inputs(images[some])
        heats = grad_cam(classifier.model, inputs, torch.tensor(targets[some]), layer)
        found += heats.nan_to_num()  # a network may have diverged
    return found


def _layers_shown(found: dict[str, Tensor], blocks: Sequence[Block]) -> list[str]:
    """The layers to show: all, or where they are too many those that end something.

    First what ends a layer and what follows it, then what ends a block, then some of these.
    """
    layers = [layer for block in blocks for layer in block.layers]
    seen = [
        layer.name
        for layer in layers
        if layer.kind != "Flatten" and layer.name in found and _can_be_shown(found[layer.name])
    ]
    ends = [[layer.name for layer in block.layers if layer.name in seen] for block in blocks]
    last = [end[-1] for end in ends if end]
    for names in (seen, [name for name in seen if name in set(turns(layers))], last):
        if len(names) <= MOST_LAYERS:
            return names
    even = np.linspace(0, len(last) - 1, MOST_LAYERS).round().astype(int)
    return [last[k] for k in even]


def _can_be_shown(value: Tensor) -> bool:
    return as_maps(value) is not None or _is_vector(value)


def _is_vector(value: Tensor) -> bool:
    return value[0].numel() == value.shape[1]


def _made(name: str, value: Tensor) -> LayerOutput:
    """What a layer made of one image; `value` is without the batch."""
    shape, value = tuple(value.shape), value.nan_to_num()
    maps = as_maps(value[None])
    if maps is not None:
        some = maps[0, :MOST_MAPS]
        made = LayerOutput(name, shape, None, (), len(some), maps.shape[1])
        drawn = grids.map_grid(_no_larger(some), made.columns, SIDE // 2)
        return replace(made, image=grids.uri(drawn))
    flat = value.flatten()
    some = flat[:MOST_UNITS]
    bars = some / flat.abs().max().clamp_min(1e-12)
    values = tuple(round(v, 3) for v in bars.tolist())
    return LayerOutput(name, shape, None, values, len(some), len(flat))


def _no_larger(maps: Tensor) -> Tensor:
    """Maps M x H x W of at most `SIDE` pixels a side: means of the pixels that fall together."""
    times = -(-max(maps.shape[1:]) // SIDE)
    return F.avg_pool2d(maps[None], times)[0] if times > 1 else maps


def _packed(image: NDArray[np.uint8]) -> str:
    """An image as a data address; a small one in colour is enlarged, since JPEG blurs colours."""
    if image.shape[2] == 1:
        return grids.uri(grids.shown(image))
    return grids.uri(grids.grown(grids.shown(image)), photo=True)


def _packed_heat(image: NDArray[np.uint8], heat: Tensor) -> str:
    return grids.uri(grids.overlay(image, heat), photo=image.shape[2] == 3)
