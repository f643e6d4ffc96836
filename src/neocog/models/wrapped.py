"""Networks that torchvision has: built there, with its names for the weights."""

from collections.abc import Callable

from torch import nn

from neocog.models.shapes import require


def wrapped(name: str, least: int) -> Callable[[int, int, tuple[int, int]], nn.Module]:
    """A function that builds torchvision's network `name` with random weights.

    Pictures need `least` pixels a side. For other than 3 channels the first convolution is made
    anew; it and, for other than 1,000 classes, the last layer differ in shape from torchvision's.
    """

    def build(num_classes: int, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
        require(name, image_size, min(image_size) >= least, f"{least} x {least}")
        from torchvision import models  # takes seconds to import

        model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes)
        for module in model.modules():
            if isinstance(module, nn.ReLU | nn.Dropout):
                module.inplace = False
        if in_channels != 3:
            _change_channels(model, in_channels)
        return model

    return build


def _change_channels(model: nn.Module, in_channels: int) -> None:
    path, first = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    parent, _, name = path.rpartition(".")
    new = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    setattr(model.get_submodule(parent), name, new)
