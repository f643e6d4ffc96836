"""Inside the model: Grad-CAM of test images, filters of the first layer, outputs of all layers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from safetensors import safe_open

from neocog.classifier import Classifier
from neocog.engines.onnx_layers import OnnxLayers, recorded_table
from neocog.engines.onnx_runtime import OnnxEngine
from neocog.engines.pooled_maps import PooledMaps
from neocog.evaluation.evaluate import Evaluation
from neocog.rendering import grids
from neocog.report.page.diagram import DiagramBlock, stage_ends

Floats = NDArray[np.float32]

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


def filters_image(evaluation: Evaluation) -> FiltersImage | None:
    """The filters of the first layer; None if they cannot be drawn."""
    filters = _recorded_filters(evaluation) or _network_filters(evaluation)
    if filters is None:
        return None
    layer, everything = filters
    weights = everything[:MAX_FILTERS]
    result = FiltersImage(layer, "", everything.shape[1:], len(weights), len(everything))
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
    found = _layers_of(evaluation.classifier)
    layers = _select_layers(blocks, lambda name: found is None or found.can_output([name]))
    outputs = _outputs(evaluation.classifier, found, images, layers)
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
    return traces, sum(len(block.layers) for block in blocks)


def _layers_of(classifier: Classifier) -> OnnxLayers | None:
    """The layers in the engine's graph; None where it has two views of an image, or no table."""
    return None if classifier.preprocessing.mirrored else OnnxLayers.of(classifier.engine)


def _outputs(
    classifier: Classifier,
    layers: OnnxLayers | None,
    images: NDArray[np.uint8],
    names: Sequence[str],
) -> dict[str, Floats]:
    """The outputs of layers, by the engine or by the network."""
    if layers:
        return layers.outputs(images, names)
    from neocog.inspection.hooks import feature_maps  # it imports torch

    found = feature_maps(classifier.model, classifier.inputs(images))
    return {name: found[name].numpy() for name in names}


def _recorded_filters(evaluation: Evaluation) -> tuple[str, Floats] | None:
    """The first layer with weights, and its filters, from the model file, as `first_filters`.

    None if they are not there as they are drawn: then the network is asked.
    """
    table, run = recorded_table(evaluation.classifier.engine), evaluation.run
    if table is None or run is None:
        return None
    with safe_open(run.model_file, framework="np") as file:
        names = list(file.keys())
        for layer in table:
            own = [name for name in names if name.startswith(f"{layer.name}.")]
            if not own:
                continue
            weight = f"{layer.name}.weight"
            if weight not in own or len(file.get_slice(weight).get_shape()) != 4:
                return None
            return layer.name, file.get_tensor(weight)
    return None


def _network_filters(evaluation: Evaluation) -> tuple[str, Floats] | None:
    from neocog.explain.filters import first_filters  # it imports torch

    classifier = evaluation.classifier
    filters = first_filters(classifier.model, classifier.inputs(evaluation.test.images[:1]))
    return (filters.layer, filters.weights.numpy()) if filters else None


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
) -> tuple[Sequence[Floats | None], str | None]:
    """Grad-CAM of each image, and its layer: by the engine where that has the maps.

    Of averaged maps and a linear head it is the head's weights times the maps; any other network
    needs gradients.
    """
    engine = classifier.engine
    pooled = PooledMaps.of(engine.content) if isinstance(engine, OnnxEngine) else None
    if pooled:
        return [*np.nan_to_num(pooled.heat(images, targets))], pooled.layer
    import torch

    from neocog.explain.gradcam import default_layer, grad_cam

    layer = default_layer(classifier.model, classifier.inputs(images[:1]))
    if layer is None:
        return [None] * len(images), None
    heatmaps: list[Floats | None] = []
    for begin in range(0, len(images), GRADIENT_BATCH_SIZE):
        batch = slice(begin, begin + GRADIENT_BATCH_SIZE)
        inputs = classifier.inputs(images[batch])
        heat = grad_cam(classifier.model, inputs, torch.tensor(targets[batch]), layer)
        heatmaps += [*heat.nan_to_num().numpy()]  # training may have diverged
    return heatmaps, layer


def _select_layers(blocks: Sequence[DiagramBlock], is_known: Callable[[str], bool]) -> list[str]:
    """At most MAX_LAYERS layers: all, else the ends of stages, of blocks, of some blocks.

    Only layers whose output `is_known` count.
    """
    layers = [layer for block in blocks for layer in block.layers]
    drawable = [
        layer.name
        for layer in layers
        if layer.kind != "Flatten" and is_known(layer.name) and _is_drawable(layer.output)
    ]
    by_block = [[x.name for x in block.layers if x.name in drawable] for block in blocks]
    block_ends = [names[-1] for names in by_block if names]
    ends = set(stage_ends(layers))
    for names in (drawable, [name for name in drawable if name in ends], block_ends):
        if len(names) <= MAX_LAYERS:
            return names
    even = np.linspace(0, len(block_ends) - 1, MAX_LAYERS).round().astype(int)
    return [block_ends[k] for k in even]


def _is_drawable(shape: Sequence[int]) -> bool:
    """Whether the output of a layer for one image has feature maps or is a vector."""
    output = np.broadcast_to(np.float32(0), shape)
    return _as_maps(output) is not None or math.prod(shape) == shape[0]


def _as_maps(output: Floats) -> Floats | None:
    """The output of a layer for one image as maps (M, h, w), as `hooks.as_feature_maps` has them.

    None if it has no spatial dimensions.
    """
    shape = output.shape
    if output.ndim == 3:
        maps = output.transpose(2, 0, 1) if shape[0] == shape[1] != shape[2] else output
        return maps if maps.shape[1] * maps.shape[2] > 1 else None
    for class_tokens in (0, 1) if output.ndim == 2 else ():
        side = math.isqrt(shape[0] - class_tokens)
        if side > 1 and side * side == shape[0] - class_tokens:
            return output[class_tokens:].T.reshape(shape[1], side, side)
    return None


def _layer_output(name: str, value: Floats) -> LayerOutput:
    """The output of a layer for one image; `value` has no batch dimension."""
    shape, value = value.shape, np.nan_to_num(value)
    maps = _as_maps(value)
    if maps is not None:
        first_maps = maps[:MAX_MAPS]
        result = LayerOutput(name, shape, None, (), len(first_maps), len(maps))
        grid = grids.map_grid(_shrink(first_maps), result.columns, SIDE // 2)
        return replace(result, image=grids.data_uri(grid))
    units = value.flatten()
    bars = units[:MAX_UNITS] / max(np.abs(units).max(), np.float32(1e-12))
    values = tuple(round(v, 3) for v in bars.tolist())
    return LayerOutput(name, shape, None, values, len(bars), len(units))


def _shrink(maps: Floats) -> Floats:
    """Feature maps (M, h, w) average-pooled to at most SIDE pixels."""
    factor = -(-max(maps.shape[1:]) // SIDE)
    high, wide = (n // factor for n in maps.shape[1:])
    windows = maps[:, : high * factor, : wide * factor].reshape(-1, high, factor, wide, factor)
    pooled: Floats = windows.mean((2, 4))
    return pooled


def _image_uri(image: NDArray[np.uint8]) -> str:
    """An image as a data: URI; small colour images are enlarged, because JPEG blurs colours."""
    if image.shape[2] == 1:
        return grids.data_uri(grids.to_image(image))
    return grids.data_uri(grids.enlarge(grids.to_image(image)), photo=True)


def _overlay_uri(image: NDArray[np.uint8], heat: Floats) -> str:
    return grids.data_uri(grids.overlay(image, heat), photo=image.shape[2] == 3)
