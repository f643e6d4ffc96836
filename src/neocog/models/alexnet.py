"""AlexNet: one tower of the paper's network, and the form that torchvision has weights for.

Paper: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural
networks", NIPS 2012 (`alexnet-2012`); Krizhevsky, "One weird trick for parallelizing convolutional
neural networks", 2014 (`alexnet`, torchvision's).
Deviations, `alexnet-2012`: both towers' maps in one (96-256-384-384-256, 4096-4096), every map of a
layer connected to every map of the next, where the paper splits C2, C4 and C5 over two GPUs; input
of 227 x 227, since the 224 that the paper names does not give its 55 x 55 maps. The paper's weights
drawn with a standard deviation of 0.01 and biases of 1 do not learn at every size; He's
initialisation is used.
"""

from torch import Tensor, nn

from neocog.models.geometry import convolved, require
from neocog.models.initialization import draw_as_he
from neocog.models.torchvision import torchvision_model


class AlexNet2012(nn.Module):
    """Five convolutions, response normalisation, overlapping pooling, three Linear layers."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        require("alexnet-2012", image_size, min(image_size) >= 67, "67 x 67")
        height, width = (_last_map(n) for n in image_size)
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
        draw_as_he(self.modules())

    def forward(self, x: Tensor) -> Tensor:
        """Logits, N x K, of images N x C x H x W."""
        x = self.c1_norm(self.c1_relu(self.c1(x)))  # 96 x 55 x 55
        x = self.s1(x)  # 96 x 27 x 27
        x = self.c2_norm(self.c2_relu(self.c2(x)))  # 256 x 27 x 27
        x = self.s2(x)  # 256 x 13 x 13
        x = self.c3_relu(self.c3(x))  # 384 x 13 x 13
        x = self.c4_relu(self.c4(x))  # 384 x 13 x 13
        x = self.c5_relu(self.c5(x))  # 256 x 13 x 13
        x = self.s5(x)  # 256 x 6 x 6
        x = self.flatten(x)  # 9216
        x = self.f6_drop(self.f6_relu(self.f6(x)))  # 4096
        x = self.f7_drop(self.f7_relu(self.f7(x)))  # 4096
        logits: Tensor = self.output(x)  # 1000
        return logits


def _last_map(size: int) -> int:
    size = convolved(size, 11, stride=4)
    for _ in range(3):
        size = convolved(size, 3, stride=2)
    return size


alexnet = torchvision_model("alexnet", least=63)
