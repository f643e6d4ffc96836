"""LeNet-5 as published in 1998, with exactly the paper's parameters.

Paper: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86(11), 1998, section II-B. Trainable parameters per layer in the paper: C1
156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164; 60,000 in total.
Deviations: the output codes were transcribed by hand from the paper's figure 3, because no file of
them was published. The network returns the negated penalties of the RBF units, so that the largest
output is the prediction, as everywhere in Neocog; the loss `map` is the paper's criterion. The
paper trains with the stochastic diagonal Levenberg-Marquardt method, the recipe `lenet5-1998` with
SGD.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.models.initialization import init_lecun
from neocog.wording import counted

# Table I of the paper: the maps of S2 that each of the 16 maps of C3 is connected to.
C3_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip

# Figure 3 of the paper: the digits as images of 12 rows and 7 columns; # is +1 and . is -1.
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
    """Return the codes of the ten digits, `(10, 84)`: +1 and -1, row by row."""
    rows = [line.split() for line in CODES.split("\n") if line]
    images = ["".join(row[digit] for row in rows) for digit in range(10)]
    return torch.tensor([[1.0 if pixel == "#" else -1.0 for pixel in image] for image in images])


class ScaledTanh(nn.Module):
    """The paper's squashing function, 1.7159 tanh(2/3 x), which maps +-1 to +-1."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the same shape with values in -1.7159..1.7159."""
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """The sum of each 2 x 2 window times a coefficient plus a bias, both trainable and per map."""

    kernel_size = 2
    stride = 2

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(maps, 1, 1).uniform_(-2.4 / 4, 2.4 / 4))
        self.bias = nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, C, H/2, W/2)`."""
        return F.avg_pool2d(x, 2) * (4 * self.weight) + self.bias


class PartialConvolution(nn.Module):
    """A 5 x 5 convolution whose output maps are connected to the input maps listed in `table`.

    `weight` has shape `(connections, 5, 5)`, in the order of the table.
    """

    kernel_size = 5

    def __init__(self, in_maps: int, table: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        self.in_maps, self.out_maps = in_maps, len(table)
        self.weight = nn.Parameter(torch.empty(sum(map(len, table)), 5, 5))
        self.bias = nn.Parameter(torch.zeros(len(table)))
        fan_ins = torch.tensor([25.0 * len(inputs) for inputs in table for _ in inputs])
        with torch.no_grad():
            self.weight.uniform_(-2.4, 2.4).div_(fan_ins[:, None, None])
        connections = [out * in_maps + i for out, inputs in enumerate(table) for i in inputs]
        self.register_buffer("connections", torch.tensor(connections), persistent=False)
        self.connections: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, in_maps, H, W)` to `(N, out_maps, H-4, W-4)`."""
        kernels = self.weight.new_zeros(self.out_maps * self.in_maps, 5, 5)
        kernels = kernels.index_copy(0, self.connections, self.weight)
        return F.conv2d(x, kernels.view(self.out_maps, self.in_maps, 5, 5), self.bias)


class RbfOutput(nn.Module):
    """The negated squared distance to the fixed code of each class."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", output_codes())
        self.weight: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, 84)` to `(N, 10)`."""
        squares = x.square().sum(1, keepdim=True) + self.weight.square().sum(1)
        return 2 * x @ self.weight.T - squares


class LeNet5Of1998(nn.Module):
    """C1, S2, C3, S4, C5, F6 and ten RBF units for digits of 32 x 32: 60,000 parameters.

    `rejects_by_output` is True because the paper rejects images whose largest output is too small
    (see `metrics/rejection.py`).
    """

    rejects_by_output = True

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        if (num_classes, in_channels, tuple(image_size)) != (10, 1, (32, 32)):
            raise UsageError(
                "lenet5-1998 is as published: ten digits, grey, 32 x 32; not "
                f"{counted(num_classes, 'class')} of {counted(in_channels, 'channel')}, "
                f"{image_size[0]} x {image_size[1]}.",
                "For MNIST use {recipe} (or {image_size_pixels}); for other images its modern "
                "form: {model}",
                [("recipe", "lenet5-1998"), ("image_size_pixels", 32), ("model", "lenet5")],
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
        init_lecun((self.c1, self.c5, self.f6))

    def forward(self, x: Tensor) -> Tensor:
        """Return negated penalties `(N, 10)` for images `(N, 1, 32, 32)`."""
        x = self.c1_tanh(self.c1(x))  # (N, 6, 28, 28)
        x = self.s2_tanh(self.s2(x))  # (N, 6, 14, 14)
        x = self.c3_tanh(self.c3(x))  # (N, 16, 10, 10)
        x = self.s4_tanh(self.s4(x))  # (N, 16, 5, 5)
        x = self.c5_tanh(self.c5(x))  # (N, 120, 1, 1)
        x = self.flatten(x)  # (N, 120)
        x = self.f6_tanh(self.f6(x))  # (N, 84)
        negated_penalties: Tensor = self.output(x)  # (N, 10)
        return negated_penalties
