"""The layers of an ONNX file compute what those of the network do."""

import numpy as np
import pytest
import torch

from neocog import models
from neocog.data.preprocess import Preprocessing
from neocog.engines.onnx_layers import LAYERS_KEY, OnnxLayers, recorded_table
from neocog.engines.onnx_runtime import OnnxEngine, network_metadata
from neocog.engines.torch import layer_table, network_facts
from neocog.export.onnx import to_onnx
from neocog.inspection.hooks import feature_maps
from neocog.inspection.summary import summarize_layers
from neocog.models.inference import InferenceModule


def exported(name, tmp_path):
    torch.manual_seed(0)
    channels, side = (1, 28) if name == "lenet5" else (3, 64)
    fit = "digit" if name == "lenet5" else "crop"
    half = (0.5,) * channels
    rule = Preprocessing((side, side), channels, fit, half, half, resize=side)
    module = InferenceModule(models.build(name, 10, channels, (side, side)).eval(), rule)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.uniform_(layer.running_mean, -0.5, 0.5)
    metadata = {**network_metadata(network_facts(module), ""), LAYERS_KEY: layer_table(module)}
    return module, OnnxEngine(to_onnx(module, metadata), tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "name", ["lenet5", "resnet-cifar", "resnet18", "efficientnet-lite0", "squeezenet1_1"]
)
def test_each_layer_has_the_networks_output(name, tmp_path):
    module, engine = exported(name, tmp_path)
    layers = OnnxLayers.of(engine)
    rule = module.preprocessing
    size = (rule.channels, *rule.image_size)
    assert layers.table == summarize_layers(module.network, size)
    images = np.random.default_rng(0).integers(0, 256, (2, *rule.image_size, rule.channels))
    images = images.astype(np.uint8)
    expected = feature_maps(module.network, module.normalize(torch.tensor(images)))
    names = [layer.name for layer in layers.table if layers.can_output([layer.name])]
    left_out = {layer.kind for layer in layers.table} - {
        layer.kind for layer in layers.table if layer.name in names
    }
    assert not left_out & {"BatchNorm2d", "ReLU", "ReLU6", "Linear", "MaxPool2d"}
    assert names[-1] == list(expected)[-1] and len(names) > len(expected) / 2
    found = layers.outputs(images, names)
    for layer in names:
        scale = max(1.0, float(expected[layer].abs().max()))
        assert found[layer].shape == tuple(expected[layer].shape), layer
        np.testing.assert_allclose(found[layer], expected[layer], atol=1e-4 * scale, err_msg=layer)


@pytest.mark.parametrize("text", ["", "3", "[1]", '[{"name": 1}]', '[{"nome": "a"}]', "[" * 9999])
def test_a_damaged_table_is_none(tmp_path, text):
    _, engine = exported("lenet5", tmp_path)
    engine.metadata[LAYERS_KEY] = text
    assert recorded_table(engine) is None and OnnxLayers.of(engine) is None
