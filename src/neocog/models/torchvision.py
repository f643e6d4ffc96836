"""Networks that torchvision or timm has: built there, with their names for the weights."""

import re
from collections.abc import Callable

from torch import nn

from neocog.errors import UsageError
from neocog.json_fields import short
from neocog.models.geometry import require


def torchvision_model(
    name: str, least: int, sides: int = 0
) -> Callable[[int, int, tuple[int, int]], nn.Module]:
    """A function that builds torchvision's network `name` with random weights.

    Images need `least` pixels a side; with `sides` they must be squares of a multiple of it. For
    other than 3 channels the first convolution is made
    anew; it and, for other than 1,000 classes, the last layer differ in shape from torchvision's.
    """

    def build(num_classes: int, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
        require(name, image_size, min(image_size) >= least, f"{least} x {least}")
        from torchvision import models  # takes seconds to import

        options = {}
        if sides:
            square = image_size[0] == image_size[1] and image_size[0] % sides == 0
            require(name, image_size, square, f"{least} x {least}, a square of {sides} x n")
            options["image_size"] = image_size[0]
        model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **options)
        for module in model.modules():
            if isinstance(module, nn.ReLU | nn.Dropout | nn.Hardswish):
                module.inplace = False
        if in_channels != 3:
            _change_channels(model, in_channels)
        return model

    return build


def timm_model(name: str) -> Callable[[int, int, tuple[int, int]], nn.Module]:
    """A function that builds timm's network `name` with random weights, where timm is installed."""

    def build(num_classes: int, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
        try:
            import timm
        except ImportError:
            raise UsageError(
                f"timm/{name} needs the package timm.", "Install it: pip install 'neocog[timm]'"
            ) from None
        if not re.fullmatch(r"[\w.]{1,100}", name):  # timm would fetch hf-hub:ANYBODY/ANYTHING
            raise UsageError(
                f"timm/{short(name)} is no name of timm's own networks.",
                "For example: timm/resnet10t; see timm.list_models()",
            )
        options = {"num_classes": num_classes, "in_chans": in_channels}
        try:
            model: nn.Module = timm.create_model(name, **options)
        except Exception as error:  # it says what it does not know in several ways
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(f"timm cannot build {name} ({reason}).") from None
        del image_size  # timm's networks are made for one size, or take any
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
