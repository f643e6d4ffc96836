import pytest
import torch
from torch import nn

from neocog.errors import UsageError
from neocog.explain.top_activations import top_activations


def test_the_strongest_are_found_across_batches_with_their_places():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 36, 2))
    images = torch.randn(50, 1, 8, 8)
    found = top_activations(model, images.split(16), "0", count=9)
    maps = model[0](images).detach()
    for number in range(3):
        peaks = maps[:, number].flatten(1).max(1).values
        order = peaks.argsort(descending=True)[:9]
        assert found.images[number].tolist() == order.tolist()
        assert torch.equal(found.values[number], peaks[order])
        places = zip(order, found.rows[number], found.columns[number], strict=True)
        assert [maps[n, number, r, c] for n, r, c in places] == found.values[number].tolist()


def test_numbers_without_places_have_their_strongest_images():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    images = torch.randn(5, 1, 2, 2)
    found = top_activations(model, [images], "1")
    assert found.images.shape == (3, 5)  # there are no nine
    assert found.images[:, 0].tolist() == model(images).argmax(0).tolist()


def test_without_images_there_is_nothing_to_find():
    with pytest.raises(UsageError, match="no images"):
        top_activations(nn.Sequential(nn.Linear(4, 3)), [], "0")
