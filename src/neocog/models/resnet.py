"""Residual networks for ImageNet with 18 to 152 layers: torchvision's.

Paper: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, table 1.
Deviations: torchvision's: in bottlenecks the 3x3 convolution has the stride, not the 1x1 before it.
Activations are not in place.
"""

from neocog.models.torchvision import torchvision_model

resnet18 = torchvision_model("resnet18", least=32)
resnet34 = torchvision_model("resnet34", least=32)
resnet50 = torchvision_model("resnet50", least=32)
resnet101 = torchvision_model("resnet101", least=32)
resnet152 = torchvision_model("resnet152", least=32)
