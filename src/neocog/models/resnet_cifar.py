"""Residual networks for 32 x 32 images: the paper's family and a tutorial's variant.

Paper: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, section
4.2: 6n + 2 layers, three stages of n blocks with 16, 32 and 64 maps (`resnet20` to `resnet110`),
and shortcuts without parameters: every second pixel, zeros for the additional maps.
Deviations: none in the paper's family. The tutorial's `resnet-cifar` has two blocks per stage; the
first block of stages 2 and 3 has a 3x3 convolution with batch norm as its shortcut. Its 8 x 8
average pooling is global here, which is the same for 32 x 32 images.
"""

import functools

import torch.nn.functional as F
from torch import Tensor, nn

from neocog.models.geometry import require


class PaddedShortcut(nn.Module):
    """Every second pixel, with zeros for the additional maps: the paper's option A."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        added = out_channels - in_channels
        self.padding = (0, 0, 0, 0, added // 2, added - added // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, in_channels, H, W)` to `(N, out_channels, H/2, W/2)`."""
        return F.pad(x[:, :, ::2, ::2], self.padding)


class ConvShortcut(nn.Sequential):
    """A 3x3 convolution of stride 2 with batch norm, as in the tutorial."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm; the input is added before the last ReLU.

    The block halves the size of the maps if it has a `shortcut`.
    """

    def __init__(self, in_channels: int, channels: int, shortcut: nn.Module | None) -> None:
        super().__init__()
        stride = 2 if shortcut else 1
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = shortcut or nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, in_channels, H, W)` to `(N, channels, H, W)`, or to half the size."""
        y = self.relu1(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        out: Tensor = self.relu2(y + self.shortcut(x))
        return out


class ResNetCifar(nn.Module):
    """3x3 convolution, three stages of `blocks` basic blocks (16, 32, 64), global average, Linear.

    `shortcut` is the class of the shortcuts in the first block of stages 2 and 3.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: tuple[int, int],
        blocks: int = 2,
        shortcut: type[PaddedShortcut] | type[ConvShortcut] = ConvShortcut,
    ) -> None:
        super().__init__()
        require("resnet-cifar", image_size, min(image_size) >= 8, "8 x 8")
        self.conv = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.stage1 = _stage(16, 16, blocks, None)
        self.stage2 = _stage(16, 32, blocks, shortcut(16, 32))
        self.stage3 = _stage(32, 64, blocks, shortcut(32, 64))
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.output = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, K)` for images `(N, C, H, W)`."""
        x = self.relu(self.norm(self.conv(x)))  # (N, 16, 32, 32)
        x = self.stage1(x)  # (N, 16, 32, 32)
        x = self.stage2(x)  # (N, 32, 16, 16)
        x = self.stage3(x)  # (N, 64, 8, 8)
        x = self.flatten(self.average(x))  # (N, 64)
        logits: Tensor = self.output(x)  # (N, 10)
        return logits


def _stage(
    in_channels: int, channels: int, blocks: int, shortcut: nn.Module | None
) -> nn.Sequential:
    first = BasicBlock(in_channels, channels, shortcut)
    return nn.Sequential(first, *(BasicBlock(channels, channels, None) for _ in range(blocks - 1)))


def _paper(
    layers: int, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> ResNetCifar:
    """Build the paper's network of 6n + 2 layers with He initialisation."""
    blocks = (layers - 2) // 6
    model = ResNetCifar(num_classes, in_channels, image_size, blocks, PaddedShortcut)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


resnet20 = functools.partial(_paper, 20)
resnet32 = functools.partial(_paper, 32)
resnet44 = functools.partial(_paper, 44)
resnet56 = functools.partial(_paper, 56)
resnet110 = functools.partial(_paper, 110)
