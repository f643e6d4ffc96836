"""MobileNetV3, small and large: torchvision's.

Paper: Howard et al., "Searching for MobileNetV3", ICCV 2019, tables 1 and 2.
Deviations: torchvision's: the last 1x1 convolution before the pool has a batch norm. Activations
are not in place.
"""

from neocog.models.torchvision import torchvision_model

mobilenet_v3_small = torchvision_model("mobilenet_v3_small", least=32)
mobilenet_v3_large = torchvision_model("mobilenet_v3_large", least=32)
