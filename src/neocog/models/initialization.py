"""The random weights that several networks begin with, where torch's own are not the paper's."""

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn


def draw_as_he(layers: Iterable[nn.Module]) -> None:
    """Normal weights for ReLU, biases 0, of convolutions and Linear layers; others are left.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015.
    """
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.constant_(cast(Tensor, layer.bias), 0)


def draw_as_lecun(layers: Iterable[nn.Conv2d | nn.Linear]) -> None:
    """Weights within plus-minus 2.4 over the fan-in, biases 0: LeCun et al. 1998, appendix A."""
    for layer in layers:
        fan_in = layer.weight[0].numel()
        nn.init.uniform_(layer.weight, -2.4 / fan_in, 2.4 / fan_in)
        nn.init.constant_(cast(Tensor, layer.bias), 0)
