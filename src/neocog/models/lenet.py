"""LeNet as the tutorials write it: two modern forms of LeNet-5.

Paper: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86(11), 1998. Layer names follow it: c1, s2, c3, s4, then c5 and f6.
Deviations, both networks: ReLU for the scaled tanh; pooling without trainable coefficients; every
map of C3 sees all six maps of S2, where the paper's table connects some; C5 is a Linear layer over
the flattened maps; ten linear logits and cross-entropy for the RBF units and their criterion.
`LeNet` also pools by maximum and takes 28 x 28 without padding, so that C5 sees 256 numbers, not
400. `LeNet5` pads C1 by 2, which gives it the paper's 28 x 28 maps from 28 x 28 images.
"""

from torch import Tensor, nn

from neocog.models.geometry import convolved, require


class LeNet(nn.Module):
    """Valid 5x5 convolutions (6, 16), max pooling, 120-84-K, ReLU: 44,426 parameters on MNIST."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = (convolved(convolved(n, 5) // 2, 5) // 2 for n in image_size)
        require("lenet", image_size, min(height, width) >= 1, "16 x 16")
        self.c1 = nn.Conv2d(in_channels, 6, kernel_size=5)
        self.c1_relu = nn.ReLU()
        self.s2 = nn.MaxPool2d(2)
        self.c3 = nn.Conv2d(6, 16, kernel_size=5)
        self.c3_relu = nn.ReLU()
        self.s4 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.c5 = nn.Linear(16 * height * width, 120)
        self.c5_relu = nn.ReLU()
        self.f6 = nn.Linear(120, 84)
        self.f6_relu = nn.ReLU()
        self.output = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, N x K, of images N x C x H x W."""
        x = self.c1_relu(self.c1(x))  # 6 x 24 x 24
        x = self.s2(x)  # 6 x 12 x 12
        x = self.c3_relu(self.c3(x))  # 16 x 8 x 8
        x = self.s4(x)  # 16 x 4 x 4
        x = self.flatten(x)  # 256
        x = self.c5_relu(self.c5(x))  # 120
        x = self.f6_relu(self.f6(x))  # 84
        logits: Tensor = self.output(x)  # 10
        return logits


class LeNet5(nn.Module):
    """Padded C1, average pooling, 400-120-84-K, ReLU: 61,706 parameters on MNIST."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = (convolved(n // 2, 5) // 2 for n in image_size)
        require("lenet5", image_size, min(height, width) >= 1, "12 x 12")
        self.c1 = nn.Conv2d(in_channels, 6, kernel_size=5, padding=2)
        self.c1_relu = nn.ReLU()
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Conv2d(6, 16, kernel_size=5)
        self.c3_relu = nn.ReLU()
        self.s4 = nn.AvgPool2d(2)
        self.flatten = nn.Flatten()
        self.c5 = nn.Linear(16 * height * width, 120)
        self.c5_relu = nn.ReLU()
        self.f6 = nn.Linear(120, 84)
        self.f6_relu = nn.ReLU()
        self.output = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, N x K, of images N x C x H x W."""
        x = self.c1_relu(self.c1(x))  # 6 x 28 x 28
        x = self.s2(x)  # 6 x 14 x 14
        x = self.c3_relu(self.c3(x))  # 16 x 10 x 10
        x = self.s4(x)  # 16 x 5 x 5
        x = self.flatten(x)  # 400
        x = self.c5_relu(self.c5(x))  # 120
        x = self.f6_relu(self.f6(x))  # 84
        logits: Tensor = self.output(x)  # 10
        return logits
