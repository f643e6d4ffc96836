"""The network of the recipe `cifar10`: a whitened first layer and three blocks.

Paper: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024 (arXiv:2404.00498), and its
code, airbench; the whitened first layer after Page, "How to train your ResNet", 2018.
Deviations: the widths 64-128-128 of airbench's 93% variant; the whitened layer has no bias, which
the paper trains for three epochs; no lookahead optimizer. Averaging the logits of an image and its
mirror image is not part of the network: `Preprocessing.mirrored` does it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.models.geometry import require

# Added to the variances before whitening, which limits the scale of components of small variance.
# The paper uses 5e-4; in JPEG images the components of variance near 1e-4 are compression noise.
VARIANCE_EPSILON = 1e-2


class WhitenedConv(nn.Module):
    """A fixed 2 x 2 convolution that whitens patches, stacked with its negative.

    The filters are a buffer, not parameters: `fit` computes them from images before training.
    """

    kernel_size = 2

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        size = in_channels * 4
        # Two stacked identities as a list: torch.eye takes seconds on the meta device.
        rows = [[float(row % size == column) for column in range(size)] for row in range(2 * size)]
        self.register_buffer("weight", torch.tensor(rows).view(2 * size, in_channels, 2, 2))
        self.weight: Tensor

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Compute the filters from normalised images `(N, C, H, W)`."""
        patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5)
        flat = patches.reshape(-1, self.weight.shape[1] * 4).cpu().double()  # MPS has no float64
        variances, directions = torch.linalg.eigh(flat.T @ flat / len(flat))
        filters = (directions / (variances + VARIANCE_EPSILON).sqrt()).T.reshape(
            -1, *self.weight.shape[1:]
        )
        self.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, 8C, H-1, W-1)`."""
        # float32, because whitening amplifies small differences that bfloat16 would round away.
        device = x.device.type if torch.amp.is_autocast_available(x.device.type) else "cpu"
        with torch.autocast(device, enabled=False):
            return F.conv2d(x.float(), self.weight)


def _conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution whose first filters are initialised to the identity."""
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
    nn.init.dirac_(conv.weight[: conv.weight.shape[1]])
    return conv


def _norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch norm with fast running statistics; only its bias is trained."""
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


class Block(nn.Module):
    """Convolution, max pooling, norm, GELU; convolution, norm, GELU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, out_channels)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = _norm(out_channels)
        self.gelu1 = nn.GELU()
        self.conv2 = _conv(out_channels, out_channels)
        self.norm2 = _norm(out_channels)
        self.gelu2 = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, in_channels, H, W)` to `(N, out_channels, H/2, W/2)`."""
        x = self.gelu1(self.norm1(self.pool(self.conv1(x))))
        return self.gelu2(self.norm2(self.conv2(x)))


class CifarNet(nn.Module):
    """Whitened 2x2 convolution, three blocks (64, 128, 128), global max pooling, Linear."""

    widths = (64, 128, 128)

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        require("cifarnet", image_size, min(image_size) >= 9, "9 x 9")
        self.whiten = WhitenedConv(in_channels)
        self.whiten_gelu = nn.GELU()
        self.block1 = Block(8 * in_channels, self.widths[0])
        self.block2 = Block(self.widths[0], self.widths[1])
        self.block3 = Block(self.widths[1], self.widths[2])
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.flatten = nn.Flatten()
        self.output = nn.Linear(self.widths[2], num_classes, bias=False)

    def fit_to(self, images: Tensor) -> None:
        """Fit the whitened layer to normalised training images `(N, C, H, W)`."""
        self.whiten.fit(images)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, K)` for images `(N, C, H, W)`."""
        x = self.whiten_gelu(self.whiten(x))  # (N, 24, 31, 31)
        x = self.block1(x)  # (N, 64, 15, 15)
        x = self.block2(x)  # (N, 128, 7, 7)
        x = self.block3(x)  # (N, 128, 3, 3)
        x = self.flatten(self.pool(x))  # (N, 128)
        logits: Tensor = self.output(x) / 9  # (N, 10)
        return logits
