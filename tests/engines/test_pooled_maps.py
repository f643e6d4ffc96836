"""Grad-CAM from an ONNX file is that of the network, at the input of its last pooling."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from neocog import models
from neocog.data.preprocess import Preprocessing
from neocog.engines.pooled_maps import PooledMaps
from neocog.explain.gradcam import grad_cam
from neocog.export.onnx import to_onnx
from neocog.models.inference import InferenceModule

# The layer whose output the pooling averages, where it runs once.
NETWORKS = {
    "resnet18": ("avgpool", "layer4.1.relu_1", None),
    "efficientnet-lite0": ("pool", "last_relu", "last_relu"),
    "resnet-cifar": ("average", "stage3.1.relu2", "stage3.1.relu2"),
}


def network_of(name, side=64, mirrored=False):
    torch.manual_seed(0)
    channels = 1 if name == "lenet5" else 3
    size, half = (28, 28) if name == "lenet5" else (side, side), (0.5,) * channels
    fit = "digit" if name == "lenet5" else "crop"
    rule = Preprocessing(size, channels, fit, half, half, resize=side, mirrored=mirrored)
    return InferenceModule(models.build(name, 10, channels, size).eval(), rule, temperature=1.5)


def at_pooling(network, pooling, inputs, targets):
    """Grad-CAM as the paper has it, by gradients, at the input of a pooling layer."""
    kept = []
    layer = network.get_submodule(pooling)
    handle = layer.register_forward_pre_hook(lambda _, given: kept.append(given[0]))
    logits = network(inputs.requires_grad_())
    handle.remove()
    (gradient,) = torch.autograd.grad(logits.gather(1, targets[:, None]).sum(), kept[0])
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * kept[0]).sum(1).relu().detach().numpy()


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_exactly_grad_cam(name):
    pooling, layer, module = NETWORKS[name]
    inference = network_of(name)
    maps = PooledMaps.of(to_onnx(inference, {}))
    assert maps.layer == layer
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)  # more than a batch
    targets = rng.integers(0, 10, 40)
    heat = maps.heat(images, targets)
    inputs = inference.normalize(torch.tensor(images))
    expected = at_pooling(inference.network, pooling, inputs, torch.tensor(targets))
    assert expected.max() > 0
    np.testing.assert_allclose(heat, expected, atol=1e-4 * expected.max())
    if module:
        cam = grad_cam(inference.network, inputs.detach(), torch.tensor(targets), module)
        larger = F.interpolate(torch.tensor(heat)[:, None], (64, 64), mode="bilinear")[:, 0]
        np.testing.assert_allclose(larger, cam, atol=1e-4 * float(cam.max()))


@pytest.mark.parametrize("name", ["lenet5", "allconv", "squeezenet1_1", "mobilenet_v3_small"])
def test_networks_of_another_form_have_none(name):
    assert PooledMaps.of(to_onnx(network_of(name), {})) is None


def test_mirrored_views_have_none():
    assert PooledMaps.of(to_onnx(network_of("resnet-cifar", 32, mirrored=True), {})) is None
