import torch

from neocog import models
from neocog.explain.filters import first_filters


def test_the_first_convolutions_weights_are_the_filters():
    model = models.build("resnet18", 5, 3, (64, 64))
    filters = first_filters(model, torch.zeros(1, 3, 64, 64))
    assert filters.layer == "conv1" and torch.equal(filters.weights, model.conv1.weight)


def test_a_fully_connected_layers_weights_lie_as_the_pixels_do():
    model = models.build("threenet", 10, 1, (28, 28))
    filters = first_filters(model, torch.zeros(1, 1, 28, 28))
    first = model.get_submodule(filters.layer)
    assert filters.weights.shape == (first.out_features, 1, 28, 28)
    image = torch.rand(1, 1, 28, 28)
    by_hand = (filters.weights * image).sum((1, 2, 3)) + first.bias
    assert torch.allclose(by_hand, first(image.flatten(1))[0], atol=1e-5)


def test_layers_without_weights_have_no_filters():
    assert first_filters(torch.nn.Flatten(), torch.zeros(1, 3, 8, 8)) is None
