"""SqueezeNet 1.1: torchvision's.

Paper: Iandola, Han, Moskewicz, Ashraf, Dally and Keutzer, "SqueezeNet: AlexNet-level accuracy with
50x fewer parameters and <0.5MB model size", 2016; version 1.1 of the authors' repository.
Deviations: there is no ReLU after the last convolution, so that logits can be negative and a fit
of this layer alone is one of a linear classifier; activations are not in place.
"""

from torch import nn

from neocog.models.torchvision import torchvision_model

_squeezenet1_1 = torchvision_model("squeezenet1_1", least=17)


def squeezenet1_1(num_classes: int, in_channels: int, image_size: tuple[int, int]) -> nn.Module:
    """SqueezeNet 1.1 with random weights: N x C x H x W floats to N x K logits."""
    model = _squeezenet1_1(num_classes, in_channels, image_size)
    classifier = model.get_submodule("classifier")
    assert isinstance(classifier, nn.Sequential) and isinstance(classifier[2], nn.ReLU)
    classifier[2] = nn.Identity()
    return model
