import pytest
import torch
from torch import nn

from neocog import models
from neocog.errors import UsageError
from neocog.inspection.hooks import as_feature_maps, feature_maps, get_layer
from neocog.models import summary


@pytest.mark.parametrize("name", ["threenet", "lenet5-1998", "resnet-cifar", "mobilenet_v3_small"])
def test_feature_maps_are_those_that_the_summary_lists(name):
    network = models.describe(name)
    channels, height, width = network.input
    torch.manual_seed(0)
    model = models.build(name, 10, channels, (height, width))
    found = feature_maps(model, torch.rand(2, channels, height, width))
    listed = summary.summarize(name).layers
    assert list(found) == [layer.name for layer in listed]
    sizes = [layer.output for layer in listed]
    if network.num_classes != 10:
        sizes[-1] = (10,)
    assert [tuple(maps.shape[1:]) for maps in found.values()] == sizes
    assert model.training  # as it was


def test_a_later_layer_that_works_in_place_does_not_change_the_maps():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))
    images = torch.randn(1, 1, 8, 8)
    assert torch.equal(feature_maps(model, images)["0"], model[0](images))


def test_tokens_become_maps_without_the_class_token():
    tokens = torch.arange(2 * 10 * 3.0).view(2, 10, 3)
    maps = as_feature_maps(tokens)
    assert maps.shape == (2, 3, 3, 3)
    assert maps[1, 2, 0, 1] == tokens[1, 2, 2]  # the second place is the third token


def test_maps_that_lie_last_come_to_the_front():
    assert as_feature_maps(torch.zeros(2, 7, 7, 96)).shape == (2, 96, 7, 7)


@pytest.mark.parametrize("shape", [(2, 10), (2, 16, 1, 1), (2, 12, 5)])
def test_what_has_no_places_has_no_maps(shape):
    assert as_feature_maps(torch.zeros(shape)) is None


def test_an_unknown_layer_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match="no layer 'c9'") as refused:
        get_layer(models.build("lenet5", 10, 1, (28, 28)), "c9")
    assert "c1, c1_relu, s2" in refused.value.hint
