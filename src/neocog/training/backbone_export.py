"""Export a pretrained network without its head, and compare the file with the network."""

import copy
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from neocog import models
from neocog.data import Preprocessing
from neocog.engines import softmax
from neocog.engines.onnx_runtime import open_session
from neocog.engines.torch import layer_table, network_facts
from neocog.export import parity
from neocog.export.graph import FEATURES, IMAGES
from neocog.export.images import stand_ins
from neocog.export.onnx import backbone_to_onnx
from neocog.export.torch import module_network
from neocog.models import pretrained
from neocog.models.inference import InferenceModule
from neocog.onnx_file import CHECK_IMAGES, ExportError
from neocog.recipes import Recipe
from neocog.training.backbone import FACTS, GRAPH, WEIGHT

CLASSES = 1000  # of the head that a new file is compared with: ImageNet's, if it is there


def export_backbone(recipe: Recipe, rule: Preprocessing) -> dict[str, NDArray[np.generic]]:
    """The arrays that `backbone.find_backbone` keeps. Raises as it does."""
    network = models.build(recipe.model, CLASSES, rule.channels, rule.image_size)
    pretrained.load_pretrained(network, recipe.model, recipe.weights)
    network.eval()
    name = pretrained.last_layer(network)
    head = network.get_submodule(name)
    assert isinstance(head, nn.Linear | nn.Conv2d)
    backbone = copy.deepcopy(network)
    parent, _, leaf = name.rpartition(".")
    setattr(backbone.get_submodule(parent), leaf, nn.Identity())
    try:
        if head.bias is None:
            raise ValueError("its last layer has no bias")
        content = backbone_to_onnx(InferenceModule(backbone, rule))
        weights = {key: tensor.numpy() for key, tensor in backbone.state_dict().items()}
        found = _compare(InferenceModule(network, rule), head, content)
    except (RuntimeError, ValueError, TypeError) as error:  # of the exporter, or a NeocogError
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(f"{recipe.model} cannot be exported to ONNX ({reason}).") from error
    if not found.passed:
        raise ExportError(f"{recipe.model} exported to ONNX differs: {found.describe()}.")
    own = sum(parameter.numel() for parameter in head.parameters())
    facts = network_facts(InferenceModule(network, rule))
    about = {
        "head": name,
        "head_shape": head.weight.shape[2:],
        "network": asdict(replace(facts, parameters=facts.parameters - own)),
        "layers": layer_table(InferenceModule(network, rule)),
    }
    return {
        GRAPH: np.frombuffer(content, np.uint8),
        FACTS: np.frombuffer(json.dumps(about).encode(), np.uint8),
        **{WEIGHT + key: array for key, array in weights.items()},
    }


def _compare(module: InferenceModule, head: nn.Linear | nn.Conv2d, content: bytes) -> parity.Parity:
    """Compare the network's probabilities with those of its head, applied to the features."""
    files, described = stand_ins(module.preprocessing, CHECK_IMAGES)
    images, _ = parity.fit_files(files, module.preprocessing)
    session = open_session(content, Path("the backbone"))
    state = {key: tensor.numpy() for key, tensor in head.state_dict().items()}
    weight, bias = state["weight"].reshape(head.weight.shape[0], -1), state["bias"]

    def from_features(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        features = session.run([FEATURES], {IMAGES: batch})[0]
        return softmax(features @ weight.T + bias)

    expected = parity.run_in_batches(module_network(module), images)
    return parity.compare(expected, parity.run_in_batches(from_features, images), described)
