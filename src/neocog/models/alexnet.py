"""AlexNet: the paper's network in one tower, and the variant that torchvision has weights for.

Paper: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
networks", NIPS 2012 (`alexnet-2012`); Krizhevsky, "One weird trick for parallelizing convolutional
neural networks", 2014 (`alexnet`, from torchvision).
Deviations, `alexnet-2012`: both towers are merged (96-256-384-384-256, 4096-4096) and every layer
is fully connected across maps; the paper splits C2, C4 and C5 over two GPUs. The input is
227 x 227, because the paper's 224 does not give its 55 x 55 maps. Weights use He initialisation:
the paper's, with a standard deviation of 0.01 and biases of 1, do not train at every image size.
"""

from torch import Tensor, nn

from neocog.models.geometry import conv_output_size, require
from neocog.models.initialization import init_he
from neocog.models.torchvision import torchvision_model


class AlexNet2012(nn.Module):
    """Five convolutions, local response normalisation, overlapping pooling, three Linear layers."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        require("alexnet-2012", image_size, min(image_size) >= 67, "67 x 67")
        height, width = (_last_map_size(n) for n in image_size)
        self.c1 = nn.Conv2d(in_channels, 96, kernel_size=11, stride=4)
        self.c1_relu = nn.ReLU()
        self.c1_norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)
        self.s1 = nn.MaxPool2d(3, stride=2)
        self.c2 = nn.Conv2d(96, 256, kernel_size=5, padding=2)
        self.c2_relu = nn.ReLU()
        self.c2_norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)
        self.s2 = nn.MaxPool2d(3, stride=2)
        self.c3 = nn.Conv2d(256, 384, kernel_size=3, padding=1)
        self.c3_relu = nn.ReLU()
        self.c4 = nn.Conv2d(384, 384, kernel_size=3, padding=1)
        self.c4_relu = nn.ReLU()
        self.c5 = nn.Conv2d(384, 256, kernel_size=3, padding=1)
        self.c5_relu = nn.ReLU()
        self.s5 = nn.MaxPool2d(3, stride=2)
        self.flatten = nn.Flatten()
        self.f6 = nn.Linear(256 * height * width, 4096)
        self.f6_relu = nn.ReLU()
        self.f6_drop = nn.Dropout(0.5)
        self.f7 = nn.Linear(4096, 4096)
        self.f7_relu = nn.ReLU()
        self.f7_drop = nn.Dropout(0.5)
        self.output = nn.Linear(4096, num_classes)
        init_he(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, K)` for images `(N, C, H, W)`."""
        x = self.c1_norm(self.c1_relu(self.c1(x)))  # (N, 96, 55, 55)
        x = self.s1(x)  # (N, 96, 27, 27)
        x = self.c2_norm(self.c2_relu(self.c2(x)))  # (N, 256, 27, 27)
        x = self.s2(x)  # (N, 256, 13, 13)
        x = self.c3_relu(self.c3(x))  # (N, 384, 13, 13)
        x = self.c4_relu(self.c4(x))  # (N, 384, 13, 13)
        x = self.c5_relu(self.c5(x))  # (N, 256, 13, 13)
        x = self.s5(x)  # (N, 256, 6, 6)
        x = self.flatten(x)  # (N, 9216)
        x = self.f6_drop(self.f6_relu(self.f6(x)))  # (N, 4096)
        x = self.f7_drop(self.f7_relu(self.f7(x)))  # (N, 4096)
        logits: Tensor = self.output(x)  # (N, 1000)
        return logits


def _last_map_size(size: int) -> int:
    """Return the side of the maps after `s5` for images of side `size`."""
    size = conv_output_size(size, 11, stride=4)
    for _ in range(3):
        size = conv_output_size(size, 3, stride=2)
    return size


alexnet = torchvision_model("alexnet", min_size=63)
