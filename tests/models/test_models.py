import re
from pathlib import Path

import pytest
import torch
from torch import nn

from neocog import models
from neocog.classifier import fit_weights
from neocog.errors import NeocogError, UsageError
from neocog.models import MODELS

MNIST = {"num_classes": 10, "in_channels": 1, "image_size": (28, 28)}
THREE_WAYS = Path(__file__).parents[2] / "docs" / "tutorials" / "lenet5-three-ways.md"


@pytest.fixture(params=MODELS)
def model(request):
    torch.manual_seed(0)
    return models.build(request.param, **MNIST)


def test_gives_logits_of_the_right_shape_and_gradients_reach_every_parameter(model):
    logits = model(torch.randn(5, 1, 28, 28))
    assert logits.shape == (5, 10)
    assert logits.dtype == torch.float32
    nn.functional.cross_entropy(logits, torch.arange(5)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_works_on_one_picture_and_deterministically(model):
    model.eval()
    batch = torch.randn(3, 1, 28, 28)
    together = model(batch)
    assert torch.equal(together, model(batch))
    alone = torch.cat([model(picture[None]) for picture in batch])
    assert torch.allclose(alone, together, atol=1e-5)


def test_does_not_change_its_input(model):
    batch = torch.randn(4, 1, 28, 28)
    before = batch.clone()
    model(batch)
    assert torch.equal(batch, before)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [(32, 48), (28, 28), (17, 16)])
def test_takes_other_sizes_channels_and_classes(name, size):
    model = models.build(name, num_classes=3, in_channels=3, image_size=size)
    assert model(torch.randn(2, 3, *size)).shape == (2, 3)


# By hand, layer by layer: weights + biases of each, as the tutorials' text counts them.
COUNTS = {
    "threenet": 784 * 200 + 200 + 200 * 60 + 60 + 60 * 10 + 10,
    "lenet": 156 + 2416 + (256 * 120 + 120) + (120 * 84 + 84) + 850,
    "lenet5": 156 + 2416 + 48120 + 10164 + 850,
    "convnet": (16 * 25 + 16) + 32 + (32 * 16 * 25 + 32) + 64 + (1568 * 10 + 10),
}


@pytest.mark.parametrize("name", COUNTS)
def test_has_the_parameters_counted_by_hand(name):
    model = models.build(name, **MNIST)
    assert sum(p.numel() for p in model.parameters()) == COUNTS[name]


@pytest.mark.parametrize("name", ["lenet", "lenet5", "convnet", "stridednet"])
def test_pictures_too_small_are_refused(name):
    with pytest.raises(UsageError, match=f"{name} needs pictures of at least"):
        models.build(name, num_classes=10, in_channels=1, image_size=(3, 3))


def test_an_unknown_network_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'lenet5'"):
        models.build("lenet-5", **MNIST)


def test_lenet5_written_three_ways_gives_the_same_logits():
    """The three programs of the documentation, with the weights of ours."""
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


def test_weights_that_do_not_fit_are_refused_with_the_first_layer_named():
    ours = models.build("lenet5", **MNIST)
    other = models.build("lenet", **MNIST).state_dict()
    with pytest.raises(NeocogError, match=r"'c5.weight' is \(120, 256\) there and \(120, 400\)"):
        fit_weights(ours, other, "a file")
    short = dict(ours.state_dict())
    del short["c3.bias"]
    with pytest.raises(NeocogError, match=r"have no 'c3.bias'"):
        fit_weights(ours, short, "a file")
    with pytest.raises(NeocogError, match="'extra' is not in the network"):
        fit_weights(ours, {**ours.state_dict(), "extra": torch.zeros(1)}, "a file")
