"""The all-convolutional network: strided convolutions instead of pooling, no Linear layer.

Paper: Springenberg, Dosovitskiy, Brox and Riedmiller, "Striving for simplicity: the all
convolutional net", ICLR workshop 2015: All-CNN-C, tables 1 and 2, about 1.4 million parameters.
Deviations: He initialisation; the paper does not specify one.
"""

from torch import Tensor, nn

from neocog.models.geometry import require
from neocog.models.initialization import init_he


class AllConv(nn.Module):
    """Nine convolutions with 96 and 192 maps, global average pooling: 1,369,738 parameters."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        require("allconv", image_size, min(image_size) >= 9, "9 x 9")
        self.drop_input = nn.Dropout(0.2)
        self.c1 = nn.Conv2d(in_channels, 96, kernel_size=3, padding=1)
        self.c1_relu = nn.ReLU()
        self.c2 = nn.Conv2d(96, 96, kernel_size=3, padding=1)
        self.c2_relu = nn.ReLU()
        self.c3 = nn.Conv2d(96, 96, kernel_size=3, stride=2, padding=1)
        self.c3_relu = nn.ReLU()
        self.c3_drop = nn.Dropout(0.5)
        self.c4 = nn.Conv2d(96, 192, kernel_size=3, padding=1)
        self.c4_relu = nn.ReLU()
        self.c5 = nn.Conv2d(192, 192, kernel_size=3, padding=1)
        self.c5_relu = nn.ReLU()
        self.c6 = nn.Conv2d(192, 192, kernel_size=3, stride=2, padding=1)
        self.c6_relu = nn.ReLU()
        self.c6_drop = nn.Dropout(0.5)
        self.c7 = nn.Conv2d(192, 192, kernel_size=3)
        self.c7_relu = nn.ReLU()
        self.c8 = nn.Conv2d(192, 192, kernel_size=1)
        self.c8_relu = nn.ReLU()
        self.c9 = nn.Conv2d(192, num_classes, kernel_size=1)
        self.c9_relu = nn.ReLU()
        self.average = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        init_he(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, K)` for images `(N, C, H, W)`."""
        x = self.drop_input(x)  # (N, 3, 32, 32)
        x = self.c1_relu(self.c1(x))  # (N, 96, 32, 32)
        x = self.c2_relu(self.c2(x))  # (N, 96, 32, 32)
        x = self.c3_drop(self.c3_relu(self.c3(x)))  # (N, 96, 16, 16)
        x = self.c4_relu(self.c4(x))  # (N, 192, 16, 16)
        x = self.c5_relu(self.c5(x))  # (N, 192, 16, 16)
        x = self.c6_drop(self.c6_relu(self.c6(x)))  # (N, 192, 8, 8)
        x = self.c7_relu(self.c7(x))  # (N, 192, 6, 6)
        x = self.c8_relu(self.c8(x))  # (N, 192, 6, 6)
        x = self.c9_relu(self.c9(x))  # (N, 10, 6, 6)
        logits: Tensor = self.flatten(self.average(x))  # (N, 10)
        return logits
