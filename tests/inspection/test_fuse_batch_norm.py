import pytest
import torch
from torch import nn

from neocog import models
from neocog.inspection.fuse_batch_norm import folded


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("name", ["efficientnet-lite0", "resnet18", "mobilenet_v3_small"])
def test_a_folded_network_gives_the_same_logits_without_batch_norms(name):
    torch.manual_seed(0)
    model = models.build(name, 5, 3, (64, 64))
    model(torch.randn(8, 3, 64, 64))  # running means other than 0
    model.eval()
    images = torch.randn(3, 3, 64, 64)
    made = folded(model, images[:1])
    assert norms(model) and not norms(made)
    with torch.no_grad():
        assert torch.allclose(made(images), model(images), atol=1e-4)


class Forked(nn.Module):
    """What the convolution gives goes past the batch norm, too."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.norm.weight.data.fill_(3)

    def forward(self, x):
        y = self.conv(x)
        return (y + self.norm(y)).mean((2, 3))


class Repeated(Forked):
    """The same convolution and batch norm, twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.conv(self.norm(self.conv(x)))).mean((2, 3))


def test_what_cannot_be_folded_is_left_as_it_is():
    for model in (
        Forked().eval(),
        Repeated().eval(),
        models.build("convnet", 5, 3, (16, 16)).train(),
    ):
        assert folded(model, torch.rand(2, 3, 16, 16)) is model
    plain = models.build("lenet5", 5, 3, (32, 32)).eval()
    assert folded(plain, torch.rand(1, 3, 32, 32)) is plain
