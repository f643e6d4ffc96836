"""SqueezeNet 1.1, from torchvision.

Paper: Iandola, Han, Moskewicz, Ashraf, Dally and Keutzer, "SqueezeNet: AlexNet-level accuracy with
50x fewer parameters and <0.5MB model size", 2016; version 1.1 of the authors' repository.
Deviations: no ReLU after the last convolution, so that logits can be negative and fitting this
layer alone fits a linear classifier; activations are not in-place.
"""

from torch import nn

from neocog.models.torchvision import torchvision_model

_squeezenet1_1 = torchvision_model("squeezenet1_1", min_size=17)


def squeezenet1_1(num_classes: int, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """Build SqueezeNet 1.1 with random weights; see `models.build`."""
    model = _squeezenet1_1(num_classes, in_channels, image_size)
    classifier = model.get_submodule("classifier")
    assert isinstance(classifier, nn.Sequential) and isinstance(classifier[2], nn.ReLU)
    classifier[2] = nn.Identity()
    return model
