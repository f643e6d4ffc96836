"""Small convolutional networks with batch normalisation.

Papers: Ioffe and Szegedy, "Batch normalization", ICML 2015; Springenberg, Dosovitskiy, Brox and
Riedmiller, "Striving for simplicity: the all convolutional net", ICLR workshop 2015, for strided
convolutions instead of pooling.
Deviations: `ConvNet` comes from a tutorial, not from a paper; `StridedNet` and `StridedNetSmall`
are Neocog's: narrower, with BatchNorm, without dropout, with a final Linear layer; the small one
has no global average pooling before it.
"""

from torch import Tensor, nn

from neocog.models.geometry import conv_output_size, require


class ConvNet(nn.Module):
    """Two blocks of 5x5 convolution (16, 32), BatchNorm, ReLU, max pooling; one Linear layer."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = (n // 2 // 2 for n in image_size)
        require("convnet", image_size, min(height, width) >= 1, "4 x 4")
        self.c1 = nn.Conv2d(in_channels, 16, kernel_size=5, padding=2)
        self.c1_norm = nn.BatchNorm2d(16)
        self.c1_relu = nn.ReLU()
        self.s2 = nn.MaxPool2d(2)
        self.c3 = nn.Conv2d(16, 32, kernel_size=5, padding=2)
        self.c3_norm = nn.BatchNorm2d(32)
        self.c3_relu = nn.ReLU()
        self.s4 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.output = nn.Linear(32 * height * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, K)` for images `(N, C, H, W)`."""
        x = self.c1_relu(self.c1_norm(self.c1(x)))  # (N, 16, 28, 28)
        x = self.s2(x)  # (N, 16, 14, 14)
        x = self.c3_relu(self.c3_norm(self.c3(x)))  # (N, 32, 14, 14)
        x = self.s4(x)  # (N, 32, 7, 7)
        x = self.flatten(x)  # (N, 1568)
        logits: Tensor = self.output(x)  # (N, 10)
        return logits


class StridedNet(nn.Module):
    """Five convolutions, three with stride 2, BatchNorm, ReLU, global average pooling, Linear."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        require("stridednet", image_size, min(image_size) >= 4, "4 x 4")
        self.c1 = nn.Conv2d(in_channels, 24, kernel_size=5, stride=2, padding=2, bias=False)
        self.c1_norm = nn.BatchNorm2d(24)
        self.c1_relu = nn.ReLU()
        self.c2 = nn.Conv2d(24, 32, kernel_size=3, padding=1, bias=False)
        self.c2_norm = nn.BatchNorm2d(32)
        self.c2_relu = nn.ReLU()
        self.c3 = nn.Conv2d(32, 64, kernel_size=3, stride=2, padding=1, bias=False)
        self.c3_norm = nn.BatchNorm2d(64)
        self.c3_relu = nn.ReLU()
        self.c4 = nn.Conv2d(64, 64, kernel_size=3, padding=1, bias=False)
        self.c4_norm = nn.BatchNorm2d(64)
        self.c4_relu = nn.ReLU()
        self.c5 = nn.Conv2d(64, 128, kernel_size=3, stride=2, padding=1, bias=False)
        self.c5_norm = nn.BatchNorm2d(128)
        self.c5_relu = nn.ReLU()
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.output = nn.Linear(128, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, K)` for images `(N, C, H, W)`."""
        x = self.c1_relu(self.c1_norm(self.c1(x)))  # (N, 24, 14, 14)
        x = self.c2_relu(self.c2_norm(self.c2(x)))  # (N, 32, 14, 14)
        x = self.c3_relu(self.c3_norm(self.c3(x)))  # (N, 64, 7, 7)
        x = self.c4_relu(self.c4_norm(self.c4(x)))  # (N, 64, 7, 7)
        x = self.c5_relu(self.c5_norm(self.c5(x)))  # (N, 128, 4, 4)
        x = self.flatten(self.average(x))  # (N, 128)
        logits: Tensor = self.output(x)  # (N, 10)
        return logits


class StridedNetSmall(nn.Module):
    """Three convolutions of stride 2 (16, 32, 48), BatchNorm, ReLU, one Linear layer."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        require("stridednet-small", image_size, min(image_size) >= 4, "4 x 4")
        height, width = image_size
        for kernel in (5, 3, 3):
            height = conv_output_size(height, kernel, stride=2, padding=kernel // 2)
            width = conv_output_size(width, kernel, stride=2, padding=kernel // 2)
        self.c1 = nn.Conv2d(in_channels, 16, kernel_size=5, stride=2, padding=2, bias=False)
        self.c1_norm = nn.BatchNorm2d(16)
        self.c1_relu = nn.ReLU()
        self.c2 = nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1, bias=False)
        self.c2_norm = nn.BatchNorm2d(32)
        self.c2_relu = nn.ReLU()
        self.c3 = nn.Conv2d(32, 48, kernel_size=3, stride=2, padding=1, bias=False)
        self.c3_norm = nn.BatchNorm2d(48)
        self.c3_relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.output = nn.Linear(48 * height * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, K)` for images `(N, C, H, W)`."""
        x = self.c1_relu(self.c1_norm(self.c1(x)))  # (N, 16, 14, 14)
        x = self.c2_relu(self.c2_norm(self.c2(x)))  # (N, 32, 7, 7)
        x = self.c3_relu(self.c3_norm(self.c3(x)))  # (N, 48, 4, 4)
        x = self.flatten(x)  # (N, 768)
        logits: Tensor = self.output(x)  # (N, 10)
        return logits
