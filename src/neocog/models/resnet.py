"""Residual networks for ImageNet with 18 to 152 layers: torchvision's.

Paper: He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, table 1.
Deviations: torchvision's: in bottlenecks the 3x3 convolution has the stride, not the 1x1 before it.
Activations are not in place.
"""

from neocog.models.torchvision import wrapped

resnet18 = wrapped("resnet18", least=32)
resnet34 = wrapped("resnet34", least=32)
resnet50 = wrapped("resnet50", least=32)
resnet101 = wrapped("resnet101", least=32)
resnet152 = wrapped("resnet152", least=32)
