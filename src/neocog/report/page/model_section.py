"""Inside the model: Grad-CAM of test images, filters of the first layer, outputs of all layers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from markupsafe import Markup
from numpy.typing import NDArray
from torch import Tensor

from neocog.classifier import Classifier
from neocog.engines.onnx_runtime import OnnxEngine
from neocog.engines.pooled_maps import PooledMaps
from neocog.evaluation.evaluate import Evaluation
from neocog.explain.filters import first_filters
from neocog.explain.gradcam import default_layer, grad_cam
from neocog.inspection.hooks import as_feature_maps, feature_maps
from neocog.rendering import grids
from neocog.report.page.diagram import DiagramBlock, stage_ends

Heat = Tensor | NDArray[np.float32]  # (h, w)

MAX_LAYERS, MAX_MAPS, MAX_UNITS, MAX_FILTERS, MAX_CLASSES = 12, 16, 256, 64, 5
SIDE, COLUMNS = 56, 8  # pixels of a feature map at most; maps in a row
FILTER_SIDE = 40  # pixels of a filter at least
GRADIENT_BATCH_SIZE = 12  # images: gradients take memory
BAR_WIDTH, BAR_HEIGHT = 4, 20  # of a unit, in units of the SVG


@dataclass(frozen=True)
class HeatmapExample:
    """The prediction for a test image; `heat` is its Grad-CAM overlay, if there is one.

    `image` and `heat` are data: URIs; `path` is the file of the image, or empty.
    """

    image: str
    heat: str | None
    label: str
    predicted: str
    probability: float
    path: str

    @property
    def is_correct(self) -> bool:
        """Whether the prediction is the label."""
        return self.label == self.predicted


@dataclass(frozen=True)
class FiltersImage:
    """The first `shown` of the `total` filters of a layer; `image` is a data: URI."""

    layer: str
    image: str
    shape: tuple[int, ...]
    shown: int
    total: int

    @property
    def columns(self) -> int:
        """Filters in a row."""
        return self.shown if self.shown <= COLUMNS else 2 * COLUMNS


@dataclass(frozen=True)
class LayerOutput:
    """The output of a layer: feature maps as an image, or a vector as bars.

    Attributes:
        layer: Its name.
        shape: Without the batch dimension.
        image: The feature maps as a data: URI; None for a vector.
        bars: The values of a vector, scaled to -1..1.
        shown: Number of maps or values in `image` or `bars`.
        total: Number of maps or values of the layer.
    """

    layer: str
    shape: tuple[int, ...]
    image: str | None
    bars: tuple[float, ...]
    shown: int
    total: int

    @property
    def columns(self) -> int:
        """Feature maps in a row."""
        return min(self.shown, COLUMNS)

    @property
    def path(self) -> Markup:
        """The bars as SVG paths, one for values above 0 and one for values below."""
        paths = {"above": "", "below": ""}
        for n, value in enumerate(self.bars):
            height = round(-BAR_HEIGHT * value, 1)
            if height:
                middle = BAR_WIDTH * n + BAR_WIDTH // 2
                paths["above" if value > 0 else "below"] += f"M{middle} 0v{height:g}"
        return Markup("".join(f'<path class="{k}" d="{v}"/>' for k, v in paths.items() if v))


@dataclass(frozen=True)
class LayerTrace:
    """The layer outputs for one image, and its classes with the highest probabilities."""

    image: str
    label: str
    path: str
    outputs: tuple[LayerOutput, ...]
    top: tuple[tuple[str, float], ...]


def heatmap_examples(
    evaluation: Evaluation, indices: NDArray[np.int64]
) -> tuple[list[HeatmapExample], str | None]:
    """The predictions for these test images, with Grad-CAM of the predicted class, and its layer.

    The layer is None for a network without feature maps.
    """
    test, classifier = evaluation.test, evaluation.classifier
    images = np.asarray(test.images[indices])
    probabilities = evaluation.probabilities[indices]
    predicted = probabilities.argmax(1)
    heats, layer = _heatmaps(classifier, images, predicted)
    examples = [
        HeatmapExample(
            image=_image_uri(image),
            heat=None if heat is None else _overlay_uri(image, heat),
            label=test.classes[test.labels[n]],
            predicted=test.classes[k],
            probability=float(row[k]),
            path=test.paths[n] if test.paths else "",
        )
        for n, image, row, k, heat in zip(
            indices, images, probabilities, predicted, heats, strict=True
        )
    ]
    return examples, layer


def filters_image(classifier: Classifier, images: NDArray[np.uint8]) -> FiltersImage | None:
    """The filters of the first layer; None if they cannot be drawn."""
    filters = first_filters(classifier.model, classifier.inputs(images[:1]))
    if filters is None:
        return None
    weights = filters.weights[:MAX_FILTERS]
    shape, total = tuple(filters.weights.shape[1:]), len(filters.weights)
    result = FiltersImage(filters.layer, "", shape, len(weights), total)
    grid = grids.filter_grid(weights, result.columns, FILTER_SIDE)
    return replace(result, image=grids.data_uri(grid))


def layer_traces(
    evaluation: Evaluation, indices: NDArray[np.int64], blocks: Sequence[DiagramBlock]
) -> tuple[list[LayerTrace], int]:
    """The layer outputs for these test images, and the number of layers of the network.

    Of a network with more than MAX_LAYERS, the ends of blocks are shown, evenly spread.
    """
    test = evaluation.test
    images = np.asarray(test.images[indices])
    outputs = feature_maps(evaluation.classifier.model, evaluation.classifier.inputs(images))
    layers = _select_layers(outputs, blocks)
    traces = []
    for position, n in enumerate(indices):
        row = evaluation.probabilities[n]
        top = np.argsort(-row, kind="stable")[:MAX_CLASSES]
        traces.append(
            LayerTrace(
                image=_image_uri(images[position]),
                label=test.classes[test.labels[n]],
                path=test.paths[n] if test.paths else "",
                outputs=tuple(_layer_output(name, outputs[name][position]) for name in layers),
                top=tuple((test.classes[k], float(row[k])) for k in top),
            )
        )
    return traces, len(outputs)


def select_correct(evaluation: Evaluation, count: int = 3) -> NDArray[np.int64]:
    """Indices of correctly classified test images, the first one of each of `count` classes."""
    test = evaluation.test
    correct = np.nonzero(evaluation.probabilities.argmax(1) == test.labels)[0]
    _, first = np.unique(test.labels[correct], return_index=True)
    indices = correct[first[:count]]
    more = np.setdiff1d(correct, indices)[: count - len(indices)]
    return np.concatenate([indices, more]).astype(np.int64)


def _heatmaps(
    classifier: Classifier, images: NDArray[np.uint8], targets: NDArray[np.int64]
) -> tuple[Sequence[Heat | None], str | None]:
    """Grad-CAM of each image, and its layer: by the engine where that has the maps.

    Of averaged maps and a linear head it is the head's weights times the maps; any other network
    needs gradients.
    """
    engine = classifier.engine
    pooled = PooledMaps.of(engine.content) if isinstance(engine, OnnxEngine) else None
    if pooled:
        return [*np.nan_to_num(pooled.heat(images, targets))], pooled.layer
    layer = default_layer(classifier.model, classifier.inputs(images[:1]))
    if layer is None:
        return [None] * len(images), None
    heatmaps: list[Heat | None] = []
    for begin in range(0, len(images), GRADIENT_BATCH_SIZE):
        batch = slice(begin, begin + GRADIENT_BATCH_SIZE)
        inputs = classifier.inputs(images[batch])
        heat = grad_cam(classifier.model, inputs, torch.tensor(targets[batch]), layer)
        heatmaps += heat.nan_to_num()  # training may have diverged
    return heatmaps, layer


def _select_layers(outputs: dict[str, Tensor], blocks: Sequence[DiagramBlock]) -> list[str]:
    """At most MAX_LAYERS layers: all, else the ends of stages, of blocks, of some blocks."""
    layers = [layer for block in blocks for layer in block.layers]
    drawable = [
        layer.name
        for layer in layers
        if layer.kind != "Flatten" and layer.name in outputs and _is_drawable(outputs[layer.name])
    ]
    by_block = [[x.name for x in block.layers if x.name in drawable] for block in blocks]
    block_ends = [names[-1] for names in by_block if names]
    ends = set(stage_ends(layers))
    for names in (drawable, [name for name in drawable if name in ends], block_ends):
        if len(names) <= MAX_LAYERS:
            return names
    even = np.linspace(0, len(block_ends) - 1, MAX_LAYERS).round().astype(int)
    return [block_ends[k] for k in even]


def _is_drawable(output: Tensor) -> bool:
    """Whether an output (N, ...) has feature maps or is a vector per image."""
    return as_feature_maps(output) is not None or output[0].numel() == output.shape[1]


def _layer_output(name: str, value: Tensor) -> LayerOutput:
    """The output of a layer for one image; `value` has no batch dimension."""
    shape, value = tuple(value.shape), value.nan_to_num()
    maps = as_feature_maps(value[None])
    if maps is not None:
        first_maps = maps[0, :MAX_MAPS]
        result = LayerOutput(name, shape, None, (), len(first_maps), maps.shape[1])
        grid = grids.map_grid(_shrink(first_maps), result.columns, SIDE // 2)
        return replace(result, image=grids.data_uri(grid))
    units = value.flatten()
    bars = units[:MAX_UNITS] / units.abs().max().clamp_min(1e-12)
    values = tuple(round(v, 3) for v in bars.tolist())
    return LayerOutput(name, shape, None, values, len(bars), len(units))


def _shrink(maps: Tensor) -> Tensor:
    """Feature maps (M, h, w) average-pooled to at most SIDE pixels."""
    factor = -(-max(maps.shape[1:]) // SIDE)
    return F.avg_pool2d(maps[None], factor)[0] if factor > 1 else maps


def _image_uri(image: NDArray[np.uint8]) -> str:
    """An image as a data: URI; small colour images are enlarged, because JPEG blurs colours."""
    if image.shape[2] == 1:
        return grids.data_uri(grids.to_image(image))
    return grids.data_uri(grids.enlarge(grids.to_image(image)), photo=True)


def _overlay_uri(image: NDArray[np.uint8], heat: Heat) -> str:
    return grids.data_uri(grids.overlay(image, heat), photo=image.shape[2] == 3)
