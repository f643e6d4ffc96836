"""The three-layer perceptron of the tutorials, 784-200-60-10.

Source: the multi-layer perceptron of Rumelhart, Hinton and Williams, "Learning representations by
back-propagating errors", Nature 323, 1986, in the form of the tutorial "a three-layer network on
MNIST".
Deviations: ReLU (Nair and Hinton, 2010) instead of the sigmoid. The tutorial's network ends with
log-softmax; this one returns logits, and the loss applies log-softmax (recipe `threenet`:
loss="nll").
"""

from torch import Tensor, nn


class ThreeNet(nn.Module):
    """Two hidden layers of 200 and 60 ReLU units over the flattened image."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.f1 = nn.Linear(in_channels * image_size[0] * image_size[1], 200)
        self.f1_relu = nn.ReLU()
        self.f2 = nn.Linear(200, 60)
        self.f2_relu = nn.ReLU()
        self.output = nn.Linear(60, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, K)` for images `(N, C, H, W)`."""
        x = self.flatten(x)  # (N, 784)
        x = self.f1_relu(self.f1(x))  # (N, 200)
        x = self.f2_relu(self.f2(x))  # (N, 60)
        logits: Tensor = self.output(x)  # (N, 10)
        return logits
