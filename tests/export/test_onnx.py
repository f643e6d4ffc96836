"""Every network exports, with the same answers; the file describes itself."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from neocog import models
from neocog.data.preprocess import Preprocessing
from neocog.export import parity
from neocog.export.onnx import OPSET, quantized, to_onnx
from neocog.export.torch import module_network
from neocog.models import MODELS
from neocog.models.inference import InferenceModule

# The smallest image of a network that was designed for ImageNet, and networks of which even that
# takes seconds.
SMALL = {"alexnet-2012": 67, "alexnet": 64, "squeezenet1_1": 32}
LARGE = ("vgg", "alexnet", "vit", "convnext", "resnet50", "resnet101", "resnet152", "resnet110")


def module_of(name, mirrored=False, seed=0, side=None):
    """A network with random weights, and batch norms that have seen images."""
    torch.manual_seed(seed)
    network = MODELS[name]
    channels = network.input[0]
    if side is None:
        side = network.input[1] if network.input[1] <= 64 else SMALL.get(name, 32)
    mean, std = ((0.13,), (0.31,)) if channels == 1 else ((0.48, 0.45, 0.4), (0.23, 0.22, 0.22))
    fit, box = ("digit", 20) if channels == 1 else ("crop", 20)
    rule = Preprocessing((side, side), channels, fit, mean, std, box=box, mirrored=mirrored)
    model = models.build(name, 10, channels, rule.image_size)
    model.train()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _ in range(
            20 if any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules()) else 0
        ):
            model(rule.normalize(images_for(rule, 16, generator)))
    return InferenceModule(model.eval(), rule, temperature=1.5)


def images_for(rule, count, generator):
    return torch.randint(
        0, 256, (count, *rule.image_size, rule.channels), dtype=torch.uint8, generator=generator
    )


def check(module, **options):
    images = images_for(module.preprocessing, 35, torch.Generator().manual_seed(7)).numpy()
    content = to_onnx(module, {}, **options)
    expected = parity.run_in_batches(module_network(module), images)
    found = parity.run_in_batches(parity.onnx_network(content), images)
    return parity.compare(expected, found, "noise")


@pytest.mark.parametrize("name", [n for n in MODELS if not n.startswith(LARGE)])
def test_every_network_answers_the_same_in_onnx(name):
    result = check(module_of(name))
    assert result.passed, result.describe()


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in MODELS if n.startswith(LARGE)])
def test_every_large_network_answers_the_same_in_onnx(name):
    result = check(module_of(name))
    assert result.passed, result.describe()


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2"])
def test_feature_maps_with_odd_sides_are_padded_the_same_in_onnx(name):
    result = check(module_of(name, side=43))  # 22, 11, 6, 3 and 2 pixels
    assert result.passed, result.describe()


@pytest.mark.parametrize("name", ["resnet-cifar", "lenet5-1998"])
def test_mirrored_views_are_in_the_graph(name):
    result = check(module_of(name, mirrored=True))
    assert result.passed, result.describe()


def test_a_layer_pattern_exports():
    rule = Preprocessing((28, 28), 1, "digit", (0.5,), (0.5,))
    network = models.build("conv3-8 bn relu pool2 gelu gap fc", 3, 1, (28, 28)).eval()
    result = check(InferenceModule(network, rule))
    assert result.passed, result.describe()


@pytest.mark.parametrize("side", [1, 3, 13])
def test_adaptive_pooling_of_any_size_exports(side):
    rule = Preprocessing((side, side), 3, "crop", (0.5,) * 3, (0.5,) * 3)
    network = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d((6, 5)), torch.nn.Flatten(), torch.nn.Linear(90, 4)
    ).eval()
    result = check(InferenceModule(network, rule))
    assert result.passed, result.describe()
    assert "forward" not in network[0].__dict__  # the network is left as it was


def test_the_file_says_what_it_takes_and_gives():
    module = module_of("lenet5")
    content = to_onnx(module, {"neocog": json.dumps({"classes": ["零", "<b>"]})})
    proto = onnx.load_from_string(content)
    onnx.checker.check_model(proto, full_check=True)
    assert [(o.domain, o.version) for o in proto.opset_import] == [("", OPSET)]
    assert proto.producer_name == "neocog"
    session = onnxruntime.InferenceSession(content)
    (images,) = session.get_inputs()
    assert (images.name, images.type, images.shape) == ("images", "tensor(uint8)", ["N", 28, 28, 1])
    outputs = [(o.name, o.shape) for o in session.get_outputs()]
    assert outputs == [("logits", ["N", 10]), ("probabilities", ["N", 10])]
    assert json.loads(session.get_modelmeta().custom_metadata_map["neocog"])["classes"][0] == "零"


@pytest.mark.parametrize("name", ["efficientnet-lite0", "resnet-cifar", "mobilenet_v3_small"])
def test_feature_maps_are_what_the_last_pooling_receives(name):
    module = module_of(name, mirrored=True)
    images = images_for(module.preprocessing, 3, torch.Generator().manual_seed(1))
    seen = []
    pools = [m for m in module.network.modules() if isinstance(m, torch.nn.AdaptiveAvgPool2d)]
    handle = pools[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        logits = module(images)
    handle.remove()
    session = onnxruntime.InferenceSession(to_onnx(module, {}, feature_maps=True))
    found, _, maps = session.run(None, {"images": images.numpy()})
    assert np.allclose(found, logits, atol=1e-4)
    assert maps.shape == tuple(seen[0].shape)
    assert np.allclose(maps, seen[0], atol=1e-4)  # of the images, not of their mirror images


def test_a_network_without_pooling_has_no_feature_maps():
    session = onnxruntime.InferenceSession(to_onnx(module_of("lenet5"), {}, feature_maps=True))
    assert [o.name for o in session.get_outputs()] == ["logits", "probabilities"]


def test_int8_is_smaller_and_similar():
    module = module_of("lenet5")
    images = images_for(module.preprocessing, 64, torch.Generator().manual_seed(3)).numpy()
    content = to_onnx(module, {})
    smaller = quantized(content, images)
    assert len(smaller) < 0.4 * len(content)
    before, after = (parity.onnx_network(model)(images) for model in (content, smaller))
    assert not np.array_equal(before, after)
    assert np.abs(before - after).max() < 0.02


def test_batches_of_every_size_are_compared():
    sizes = []

    def network(images):
        sizes.append(len(images))
        return images[:, :1, 0, 0].astype(np.float32)

    images = np.arange(70, dtype=np.uint8).reshape(70, 1, 1, 1)
    assert np.array_equal(parity.run_in_batches(network, images)[:, 0], np.arange(70))
    assert sizes == [1, 32, 32, 5]


def test_a_difference_that_is_no_number_fails():
    expected, found = np.full((2, 2), 0.5, np.float32), np.full((2, 2), np.nan, np.float32)
    assert not parity.compare(expected, found, "two").passed
