"""LeNet-5 as it was published in 1998, to the parameter.

Paper: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86(11), 1998, section II-B. Trainable parameters by layer, as the paper
counts them: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164; 60,000 in all.
Deviations: the output codes are drawn after the paper's figure 3 by hand, since no file of them was
published. The network gives minus the penalties of the RBF units, so that the largest is the
answer, as everywhere in Neocog; the paper's criterion on them is the loss `map`. How the paper
trained it (the stochastic diagonal Levenberg-Marquardt method), the recipe `lenet5-1998` says.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.models.initialization import draw_as_lecun
from neocog.wording import counted

# Table I of the paper: which maps of S2 each of the 16 maps of C3 sees.
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip

# Figure 3: the digits as 7 x 12 images, side by side; # is +1 and . is -1.
CODES = """
....... ...##.. ....... ####### ....... ....... ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""


def output_codes() -> Tensor:
    """The ten digits' codes, 10 x 84, of +1 and -1: each a 7 x 12 image, row by row."""
    rows = [line.split() for line in CODES.split("\n") if line]
    images = ["".join(row[digit] for row in rows) for digit in range(10)]
    return torch.tensor([[1.0 if dot == "#" else -1.0 for dot in text] for text in images])


class ScaledTanh(nn.Module):
    """1.7159 tanh(2/3 x), the paper's squashing function: it maps +-1 to +-1."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape, values in -1.7159..1.7159."""
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """The sum of every 2 x 2 window, times a trainable coefficient a map, plus a trainable bias."""

    kernel_size = 2
    stride = 2

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(maps, 1, 1).uniform_(-2.4 / 4, 2.4 / 4))
        self.bias = nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x C x H/2 x W/2."""
        return F.avg_pool2d(x, 2) * (4 * self.weight) + self.bias


class PartialConvolution(nn.Module):
    """A 5 x 5 convolution in which each output map sees the input maps that a table names.

    `weight` holds the kernels of the connections that exist, in the table's order.
    """

    kernel_size = 5

    def __init__(self, in_maps: int, table: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        self.in_maps, self.out_maps = in_maps, len(table)
        self.weight = nn.Parameter(torch.empty(sum(map(len, table)), 5, 5))
        self.bias = nn.Parameter(torch.zeros(len(table)))
        fan_ins = torch.tensor([25.0 * len(seen) for seen in table for _ in seen])
        with torch.no_grad():
            self.weight.uniform_(-2.4, 2.4).div_(fan_ins[:, None, None])
        places = [out * in_maps + seen for out, row in enumerate(table) for seen in row]
        self.register_buffer("places", torch.tensor(places), persistent=False)
        self.places: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to N x maps x H-4 x W-4."""
        kernels = self.weight.new_zeros(self.out_maps * self.in_maps, 5, 5)
        kernels = kernels.index_copy(0, self.places, self.weight)
        return F.conv2d(x, kernels.view(self.out_maps, self.in_maps, 5, 5), self.bias)


class RbfOutput(nn.Module):
    """Minus the squared distance to each class's fixed code."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", output_codes())
        self.weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """N x 84 to N x 10."""
        squares = x.square().sum(1, keepdim=True) + self.weight.square().sum(1)
        return 2 * x @ self.weight.T - squares


class LeNet5Of1998(nn.Module):
    """C1, S2, C3, S4, C5, F6 and ten RBF units, on digits of 32 x 32: 60,000 parameters.

    `rejects_by_output`: the paper refuses what lies far from all codes (`metrics/rejection.py`).
    """

    rejects_by_output = True

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        if (num_classes, in_channels, tuple(image_size)) != (10, 1, (32, 32)):
            raise UsageError(
                "lenet5-1998 is as published: ten digits, grey, 32 x 32; not "
                f"{counted(num_classes, 'class')} of {counted(in_channels, 'channel')}, "
                f"{image_size[0]} x {image_size[1]}.",
                "For MNIST say --recipe lenet5-1998 (or --set image_size_pixels=32); for other "
                "images its modern form: --model lenet5",
            )
        self.c1 = nn.Conv2d(1, 6, kernel_size=5)
        self.c1_tanh = ScaledTanh()
        self.s2 = Subsampling(6)
        self.s2_tanh = ScaledTanh()
        self.c3 = PartialConvolution(6, C3_TABLE)
        self.c3_tanh = ScaledTanh()
        self.s4 = Subsampling(16)
        self.s4_tanh = ScaledTanh()
        self.c5 = nn.Conv2d(16, 120, kernel_size=5)
        self.c5_tanh = ScaledTanh()
        self.flatten = nn.Flatten()
        self.f6 = nn.Linear(120, 84)
        self.f6_tanh = ScaledTanh()
        self.output = RbfOutput()
        draw_as_lecun((self.c1, self.c5, self.f6))

    def forward(self, x: Tensor) -> Tensor:
        """Minus the penalties, N x 10, of images N x 1 x 32 x 32."""
        x = self.c1_tanh(self.c1(x))  # 6 x 28 x 28
        x = self.s2_tanh(self.s2(x))  # 6 x 14 x 14
        x = self.c3_tanh(self.c3(x))  # 16 x 10 x 10
        x = self.s4_tanh(self.s4(x))  # 16 x 5 x 5
        x = self.c5_tanh(self.c5(x))  # 120 x 1 x 1
        x = self.flatten(x)  # 120
        x = self.f6_tanh(self.f6(x))  # 84
        negated_penalties: Tensor = self.output(x)  # 10
        return negated_penalties
