"""Residual networks for ImageNet with 18 to 152 layers, from torchvision.

Paper: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, table 1.
Deviations: as in torchvision, the stride of a bottleneck block is in the 3x3 convolution, not in
the 1x1 before it; activations are not in-place.
"""

from neocog.models.torchvision import torchvision_model

resnet18 = torchvision_model("resnet18", min_size=32)
resnet34 = torchvision_model("resnet34", min_size=32)
resnet50 = torchvision_model("resnet50", min_size=32)
resnet101 = torchvision_model("resnet101", min_size=32)
resnet152 = torchvision_model("resnet152", min_size=32)
