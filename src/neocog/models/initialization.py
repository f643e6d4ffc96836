"""Weight initialisations of the papers that differ from torch's defaults."""

from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn


def init_he(layers: Iterable[nn.Module]) -> None:
    """Initialise convolutions and Linear layers with He normal weights for ReLU and zero biases.

    Other layers are left unchanged. Source: He, Zhang, Ren and Sun, "Delving deep into
    rectifiers", ICCV 2015.
    """
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.constant_(cast(Tensor, layer.bias), 0)


def init_lecun(layers: Iterable[nn.Conv2d | nn.Linear]) -> None:
    """Initialise weights uniformly in +-2.4 / fan-in and biases to 0.

    Source: LeCun et al. 1998, appendix A.
    """
    for layer in layers:
        fan_in = layer.weight[0].numel()
        nn.init.uniform_(layer.weight, -2.4 / fan_in, 2.4 / fan_in)
        nn.init.constant_(cast(Tensor, layer.bias), 0)
