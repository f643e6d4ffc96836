import re
from pathlib import Path

import pytest
import torch
from torch import nn

from neocog import models
from neocog.classifier import Classifier, load
from neocog.data import Preprocessing
from neocog.errors import NeocogError, UsageError
from neocog.model_card import Architecture
from neocog.model_file import load_weights
from neocog.models import MODELS
from neocog.models.pretrained import last_layer

MNIST = {"num_classes": 10, "in_channels": 1, "image_size": (28, 28)}
THREE_WAYS = Path(__file__).parents[2] / "docs" / "tutorials" / "lenet5-three-ways.md"
ONE_SIZE = ("lenet1", "lenet5-1998")  # as published, and nothing else
IMAGENET = {"alexnet": 64, "alexnet-2012": 67, "squeezenet1_1": 48}  # pixels; the others take 32
LARGE = 15_000_000  # parameters: larger networks take seconds to make
DEEP = ("resnet32", "resnet44", "resnet56", "resnet110")  # resnet20 is built by the same lines


def shape_of(name):
    """Channels, height and width small enough for a test."""
    network = MODELS[name]
    if network.num_classes == 1000:
        side = IMAGENET.get(name, 32)
        return 3, side, side
    return network.input


def is_large(name):
    channels, height, width = shape_of(name)
    with torch.device("meta"):
        model = models.build(name, 10, channels, (height, width))
    return sum(p.numel() for p in model.parameters()) > LARGE


def by_size(name):
    large = name in DEEP or (MODELS[name].num_classes == 1000 and is_large(name))
    return pytest.param(name, marks=pytest.mark.slow) if large else name


EVERY = [by_size(name) for name in MODELS]


@pytest.fixture(params=EVERY, scope="module")
def built(request):
    torch.manual_seed(0)
    channels, height, width = shape_of(request.param)
    model = models.build(request.param, 10, channels, (height, width))
    head = model.get_submodule(last_layer(model))
    if not head.weight.any():  # torchvision starts ViT's head at zero, which passes no gradient on
        nn.init.normal_(head.weight, std=0.02)
    return request.param, model, torch.randn(4, channels, height, width)


def test_gives_logits_of_the_right_shape_and_gradients_reach_every_parameter(built):
    _, model, batch = built
    model.train()
    logits = model(batch)
    assert logits.shape == (4, 10)
    assert logits.dtype == torch.float32
    nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    model.zero_grad()


def test_works_on_one_image_and_deterministically(built):
    _, model, batch = built
    model.eval()
    with torch.inference_mode():
        together = model(batch)
        assert torch.equal(together, model(batch))
        alone = torch.cat([model(image[None]) for image in batch])
    scale = together.abs().max()
    assert torch.allclose(alone / scale, together / scale, atol=1e-4)


def test_does_not_change_its_input(built):
    _, model, batch = built
    before = batch.clone()
    with torch.inference_mode():
        model(batch)
    assert torch.equal(batch, before)


def test_is_saved_and_loaded_and_rejects_the_wrong_state(built, tmp_path):
    name, model, batch = built
    channels, height, width = batch.shape[1:]
    architecture = Architecture(name, 10, channels, (height, width))
    rule = Preprocessing((height, width), channels, "square", (0.5,) * channels, (0.5,) * channels)
    classes = tuple("0123456789")
    Classifier.of_network(model, architecture, rule, classes).save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors", device="cpu", engine="torch").model
    model.eval()
    with torch.inference_mode():
        assert torch.equal(model(batch), again(batch))
    state = dict(model.state_dict())
    first = next(iter(state))
    state[first] = state[first].new_zeros(1, 1, 1, 1, 1)
    with pytest.raises(NeocogError, match=re.escape(repr(first))):
        load_weights(model, state, "a file")


@pytest.mark.parametrize("name", [n for n in MODELS if MODELS[n].num_classes == 10])
@pytest.mark.parametrize("size", [(32, 48), (28, 28), (17, 16)])
def test_accepts_other_sizes_channels_and_classes(name, size):
    if name in ONE_SIZE:
        with pytest.raises(UsageError, match="as published"):
            models.build(name, num_classes=3, in_channels=3, image_size=size)
        return
    model = models.build(name, num_classes=3, in_channels=2, image_size=size)
    assert model(torch.randn(2, 2, *size)).shape == (2, 3)


def test_torchvisions_networks_accept_grey_images():
    model = models.build("resnet18", num_classes=3, in_channels=1, image_size=(40, 32))
    assert model(torch.randn(2, 1, 40, 32)).shape == (2, 3)


# By hand, layer by layer: weights + biases of each, as the tutorials' text counts them.
COUNTS = {
    "threenet": 784 * 200 + 200 + 200 * 60 + 60 + 60 * 10 + 10,
    "lenet": 156 + 2416 + (256 * 120 + 120) + (120 * 84 + 84) + 850,
    "lenet5": 156 + 2416 + 48120 + 10164 + 850,
    "convnet": (16 * 25 + 16) + 32 + (32 * 16 * 25 + 32) + 64 + (1568 * 10 + 10),
    "lenet1": 104 + 8 + (20 * 25 + 12) + 24 + 1930,  # 2,578, as the paper says
}


@pytest.mark.parametrize("name", COUNTS)
def test_has_the_number_of_parameters_counted_by_hand(name):
    model = models.build(name, **MNIST)
    assert sum(p.numel() for p in model.parameters()) == COUNTS[name]


@pytest.mark.parametrize(
    "name", ["lenet", "lenet5", "convnet", "stridednet", "allconv", "resnet-cifar", "vgg11"]
)
def test_images_that_are_too_small_are_rejected(name):
    with pytest.raises(UsageError, match=f"{name} needs images of at least"):
        models.build(name, num_classes=10, in_channels=1, image_size=(3, 3))


def test_an_unknown_network_suggests_the_nearest_name():
    with pytest.raises(UsageError, match="Did you mean 'lenet5'"):
        models.build("lenet-5", **MNIST)


def test_lenet5_written_three_ways_gives_the_same_logits():
    """The three programs of the tutorial, with the weights of `lenet5`."""
    blocks = re.findall(r"```python\n(.*?)```", THREE_WAYS.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 3
    ours = models.build("lenet5", **MNIST).eval()
    weights = list(ours.state_dict().values())
    batch = torch.randn(16, 1, 28, 28)
    for block in blocks:
        space: dict = {}
        exec(block, space)
        model = space["LeNet5"]()
        names = list(model.state_dict())
        assert len(names) == len(weights)
        model.load_state_dict(dict(zip(names, weights, strict=True)))
        assert torch.equal(model(batch), ours(batch))


def test_weights_that_do_not_fit_are_rejected_with_the_first_layer_named():
    ours = models.build("lenet5", **MNIST)
    other = models.build("lenet", **MNIST).state_dict()
    with pytest.raises(NeocogError, match=r"'c5.weight' is \(120, 256\) there and \(120, 400\)"):
        load_weights(ours, other, "a file")
    short = dict(ours.state_dict())
    del short["c3.bias"]
    with pytest.raises(NeocogError, match=r"have no 'c3.bias'"):
        load_weights(ours, short, "a file")
    with pytest.raises(NeocogError, match="'extra' is not in the network"):
        load_weights(ours, {**ours.state_dict(), "extra": torch.zeros(1)}, "a file")
