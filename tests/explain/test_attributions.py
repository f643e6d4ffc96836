import pytest
import torch
from torch import nn

from neocog import models
from neocog.explain.attributions import integrated_gradients, occlusion
from neocog.explain.gradcam import grad_cam


@pytest.fixture(scope="module")
def planted():
    """Noise, with a bright patch of 6 x 6 in class 1, and a network that knows the two apart."""
    torch.manual_seed(0)
    images = 0.3 * torch.randn(200, 1, 24, 24)
    labels = torch.arange(200) % 2
    places = torch.randint(1, 17, (200, 2))
    for image, (row, column), label in zip(images, places.tolist(), labels, strict=True):
        if label:
            image[0, row : row + 6, column : column + 6] += 1.5
    model = models.build("[conv3-8 relu pool2]*2 gap fc", 2, 1, (24, 24))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(60):
        for begin in range(0, 200, 50):
            optimizer.zero_grad()
            some = slice(begin, begin + 50)
            nn.functional.cross_entropy(model(images[some]), labels[some]).backward()
            optimizer.step()
    model.eval()
    right = (model(images).argmax(1) == labels).float().mean()
    assert right > 0.95
    shown = torch.nonzero(labels)[:20, 0]
    return model, images[shown], places[shown]


def share_on_the_patch(heat, places):
    """The mean share of the positive heat in the patch with 2 pixels around it."""
    found = []
    for one, (row, column) in zip(heat.clamp(min=0), places.tolist(), strict=True):
        inside = one[max(0, row - 2) : row + 8, max(0, column - 2) : column + 8].sum()
        found.append((inside / one.sum().clamp(min=1e-9)).item())
    return sum(found) / len(found)


def targets(images):
    return torch.ones(len(images), dtype=torch.long)


def test_grad_cam_lies_on_the_planted_patch(planted):
    model, images, places = planted
    last = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)][-1]
    assert share_on_the_patch(grad_cam(model, images, targets(images), last), places) > 0.6


def test_integrated_gradients_lie_on_the_planted_patch_and_add_up(planted):
    model, images, places = planted
    nothing = torch.zeros(1, 1, 24, 24)
    found = integrated_gradients(model, images, targets(images), nothing)
    assert share_on_the_patch(found, places) > 0.6
    difference = (model(images) - model(nothing))[:, 1].detach()
    assert torch.allclose(found.sum((1, 2)), difference, rtol=0.05, atol=0.1)


def test_occlusion_lies_on_the_planted_patch(planted):
    model, images, places = planted
    found = occlusion(model, images[:4], targets(images[:4]), torch.zeros(1, 1, 24, 24), 6)
    assert found.shape == (4, 24, 24)
    assert share_on_the_patch(found, places[:4]) > 0.5
