"""Networks built by torchvision or timm, with their layer names."""

import re
from collections.abc import Callable

from torch import nn

from neocog.errors import UsageError
from neocog.json_fields import short
from neocog.models.geometry import require


def torchvision_model(
    name: str, min_size: int, multiple: int = 0
) -> Callable[[int, int, tuple[int, int]], nn.Module]:
    """Return a function that builds torchvision's network `name` with random weights.

    Images must have at least `min_size` pixels per side; with `multiple` they must be squares with
    a side that is a multiple of it. If there are not 3 channels, the first convolution is replaced;
    if there are not 1,000 classes, the last layer has another shape than torchvision's.
    """

    def build(num_classes: int, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
        minimum = f"{min_size} x {min_size}"
        require(name, image_size, min(image_size) >= min_size, minimum)
        from torchvision import models  # takes seconds to import

        options = {}
        if multiple:
            fits = image_size[0] == image_size[1] and image_size[0] % multiple == 0
            require(name, image_size, fits, f"{minimum}, a square of {multiple} x n")
            options["image_size"] = image_size[0]
        model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **options)
        for module in model.modules():
            if isinstance(module, nn.ReLU | nn.Dropout | nn.Hardswish):
                module.inplace = False  # it would overwrite the output of the layer before
        if in_channels != 3:
            _replace_first_conv(model, in_channels)
        return model

    return build


def timm_model(name: str) -> Callable[[int, int, tuple[int, int]], nn.Module]:
    """Return a function that builds timm's network `name` with random weights.

    The function raises UsageError if timm is not installed or has no such network.
    """

    def build(num_classes: int, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
        try:
            import timm
        except ImportError:
            raise UsageError(
                f"timm/{name} needs the package timm.", "Install it: pip install 'neocog[timm]'"
            ) from None
        if not re.fullmatch(r"[\w.]{1,100}", name):  # timm would fetch hf-hub:ANYBODY/ANYTHING
            raise UsageError(
                f"timm/{short(name)} is not the name of a timm network.",
                "For example: timm/resnet10t; see timm.list_models()",
            )
        options = {"num_classes": num_classes, "in_chans": in_channels}
        try:
            model: nn.Module = timm.create_model(name, **options)
        except Exception as error:  # timm raises several types for an unknown name
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(f"timm cannot build {name} ({reason}).") from None
        del image_size  # timm's networks have a fixed size or accept any
        return model

    return build


def _replace_first_conv(model: nn.Module, in_channels: int) -> None:
    """Replace the first convolution by one with `in_channels` inputs and random weights."""
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
