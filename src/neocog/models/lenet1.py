"""LeNet-1, the first and smallest network of the series.

Paper: LeCun, Boser, Denker, Henderson, Howard, Hubbard and Jackel, "Handwritten digit recognition
with a back-propagation network", NIPS 2 (1989), 1990: 2,578 free parameters; named LeNet-1, with
1.7% error on MNIST's test set, in LeCun et al. 1998.
Deviations: MNIST's images, with digits of 20 x 20 centred in 28 x 28; the papers use 16 x 16 in
28 x 28. The squashing function of the output units is part of the loss `squared_error`, so that the
network returns logits like all others; the recipe `lenet1` trains it with cross-entropy.
"""

from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.models.initialization import init_lecun
from neocog.models.lenet5_1998 import PartialConvolution, ScaledTanh, Subsampling
from neocog.wording import counted

# Table 1 of the paper: the maps of H2 that each of the 12 maps of H3 is connected to.
H3_TABLE = (
    (0,), (0, 1), (0, 1), (1,), (0, 1), (0, 1), (2,), (2, 3), (2, 3), (3,), (2, 3), (2, 3),
)  # fmt: skip


class LeNet1(nn.Module):
    """5x5 convolution (4), subsampling, partial 5x5 convolution (12), subsampling, Linear."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        if (in_channels, tuple(image_size)) != (1, (28, 28)):
            raise UsageError(
                f"lenet1 is as published: grey, 28 x 28; not {counted(in_channels, 'channel')}, "
                f"{image_size[0]} x {image_size[1]}.",
                "Choose another network: neocog models",
            )
        self.h1 = nn.Conv2d(1, 4, kernel_size=5)
        self.h1_tanh = ScaledTanh()
        self.h2 = Subsampling(4)
        self.h2_tanh = ScaledTanh()
        self.h3 = PartialConvolution(4, H3_TABLE)
        self.h3_tanh = ScaledTanh()
        self.h4 = Subsampling(12)
        self.h4_tanh = ScaledTanh()
        self.flatten = nn.Flatten()
        self.output = nn.Linear(192, num_classes)
        init_lecun((self.h1, self.output))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, K)` for images `(N, 1, 28, 28)`."""
        x = self.h1_tanh(self.h1(x))  # (N, 4, 24, 24)
        x = self.h2_tanh(self.h2(x))  # (N, 4, 12, 12)
        x = self.h3_tanh(self.h3(x))  # (N, 12, 8, 8)
        x = self.h4_tanh(self.h4(x))  # (N, 12, 4, 4)
        x = self.flatten(x)  # (N, 192)
        logits: Tensor = self.output(x)  # (N, 10)
        return logits
