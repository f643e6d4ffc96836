"""LeNet as it appears in tutorials: two modern variants of LeNet-5.

Paper: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86(11), 1998. Layer names follow it: c1, s2, c3, s4, then c5 and f6.
Deviations, both networks: ReLU instead of the scaled tanh; pooling without trainable coefficients;
every map of C3 is connected to all six maps of S2, not to a subset as in the paper's table; C5 is a
Linear layer over the flattened maps; ten logits and cross-entropy instead of RBF units and their
criterion. `LeNet` also uses max pooling and takes 28 x 28 images without padding, so that C5 has
256 inputs, not 400. `LeNet5` pads C1 by 2, which gives the paper's 28 x 28 maps for 28 x 28 images.
"""

from torch import Tensor, nn

from neocog.models.geometry import conv_output_size, require


class LeNet(nn.Module):
    """5x5 convolutions (6, 16), max pooling, 120-84-K, ReLU: 44,426 parameters on MNIST."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = (conv_output_size(conv_output_size(n, 5) // 2, 5) // 2 for n in image_size)
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
        """Return logits `(N, K)` for images `(N, C, H, W)`."""
        x = self.c1_relu(self.c1(x))  # (N, 6, 24, 24)
        x = self.s2(x)  # (N, 6, 12, 12)
        x = self.c3_relu(self.c3(x))  # (N, 16, 8, 8)
        x = self.s4(x)  # (N, 16, 4, 4)
        x = self.flatten(x)  # (N, 256)
        x = self.c5_relu(self.c5(x))  # (N, 120)
        x = self.f6_relu(self.f6(x))  # (N, 84)
        logits: Tensor = self.output(x)  # (N, 10)
        return logits


class LeNet5(nn.Module):
    """Padded C1, average pooling, 400-120-84-K, ReLU: 61,706 parameters on MNIST."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        height, width = (conv_output_size(n // 2, 5) // 2 for n in image_size)
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
        """Return logits `(N, K)` for images `(N, C, H, W)`."""
        x = self.c1_relu(self.c1(x))  # (N, 6, 28, 28)
        x = self.s2(x)  # (N, 6, 14, 14)
        x = self.c3_relu(self.c3(x))  # (N, 16, 10, 10)
        x = self.s4(x)  # (N, 16, 5, 5)
        x = self.flatten(x)  # (N, 400)
        x = self.c5_relu(self.c5(x))  # (N, 120)
        x = self.f6_relu(self.f6(x))  # (N, 84)
        logits: Tensor = self.output(x)  # (N, 10)
        return logits
