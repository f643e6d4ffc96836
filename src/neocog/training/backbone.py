"""A pretrained network without its head as an ONNX graph: exported once per machine, then kept."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog.data import Preprocessing
from neocog.data.images import Images
from neocog.engines import NetworkFacts
from neocog.engines.onnx_runtime import open_session
from neocog.export.graph import FEATURES, IMAGES
from neocog.inspection.layers import LayerSummary, layers_from_json
from neocog.models import pretrained
from neocog.recipes import Recipe
from neocog.storage import cache
from neocog.storage.checksummed import load_arrays, save_arrays
from neocog.storage.download import digest_of
from neocog.training.features import version_of
from neocog.training.split_metrics import Floats

BACKBONE_VERSION = 2  # increment when the same weights give another file
GRAPH, FACTS = "graph", "facts"  # the arrays of a file that are no weights
WEIGHT = "weights/"  # before the name of a weight


@dataclass(frozen=True)
class ExportedBackbone:
    """A network without its head, run by ONNX Runtime.

    `graph` maps `images`, uint8 `(N, H, W, C)`, to `features`, `(N, D)`. `weights` is the network's
    state dict without its `head`, the name of the layer that is fitted; `head_shape` is the shape
    of that layer's weight after (K, D). `facts` do not count the head's parameters. `layers` are
    those of the network with its published head. `key` stands for weights, preprocessing and
    exporter.
    """

    key: str
    graph: bytes
    weights: Mapping[str, NDArray[np.generic]]
    head: str
    head_shape: tuple[int, ...]
    facts: NetworkFacts
    layers: Sequence[LayerSummary]

    def views(self, images: Images, views: int, on_done: Callable[[int], None]) -> Floats:
        """Features, `(1, N, D)`, of the images, `(N, H, W, C)`, as `features.Backbone.views`."""
        assert views == 1, "other views need PyTorch"
        session, size = open_session(self.graph, Path(self.key)), self.facts.batch_size
        batches: list[Floats] = []
        for begin in range(0, len(images), size):
            batch = np.ascontiguousarray(images[begin : begin + size])
            batches.append(session.run([FEATURES], {IMAGES: batch})[0])
            on_done(len(batch))
        return np.concatenate(batches)[None]

    def identity(self) -> tuple[str, ...]:
        """All that features depend on except the pixels, as `features.Backbone.identity`."""
        return (self.key, "onnxruntime", version_of("onnxruntime"))

    def with_head(self, weight: Floats, bias: Floats) -> dict[str, NDArray[np.generic]]:
        """The network's state dict with a fitted head, `(K, D)` and `(K,)`."""
        fitted = {
            f"{self.head}.weight": weight.reshape(*weight.shape, *self.head_shape),
            f"{self.head}.bias": bias,
        }
        return {**self.weights, **fitted}

    def layers_with_head(self, weight: Floats, bias: Floats) -> list[LayerSummary] | None:
        """The network's layers with a fitted head; None if the head is not its last layer."""
        *before, head = self.layers
        if head.name != self.head or head.kind != "Linear":
            return None
        size, flops = weight.size + bias.size, 2 * weight.size
        return [*before, replace(head, output=(len(bias),), parameters=size, flops=flops)]


def find_backbone(recipe: Recipe, rule: Preprocessing) -> ExportedBackbone:
    """The backbone of a recipe: from the cache, or exported by PyTorch and kept there.

    Raises ExportError if the network cannot be exported or its head is not linear in the features,
    and NeocogError if its weights are missing or do not fit.
    """
    file = pretrained.weights_path(recipe.model, recipe.weights)
    inputs = (rule.image_size, rule.channels, rule.mean, rule.std)
    facts = (BACKBONE_VERSION, version_of("torch"), recipe.model, inputs, digest_of(file))
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
    place = cache.entry("backbones", f"{key}.safetensors")
    arrays = load_arrays(place)
    if arrays is None:
        from neocog.training.backbone_export import export_backbone

        arrays = export_backbone(recipe, rule)
        save_arrays(place, arrays)
        cache.evict()
    about = json.loads(arrays[FACTS].tobytes())
    return ExportedBackbone(
        key=key,
        graph=arrays[GRAPH].tobytes(),
        weights={
            name.removeprefix(WEIGHT): array
            for name, array in arrays.items()
            if name.startswith(WEIGHT)
        },
        head=about["head"],
        head_shape=tuple(about["head_shape"]),
        facts=NetworkFacts(**about["network"]),
        layers=layers_from_json(about["layers"]),
    )
