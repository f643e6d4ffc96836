"""MobileNetV3, small and large, from torchvision.

Paper: Howard et al., "Searching for MobileNetV3", ICCV 2019, tables 1 and 2.
Deviations: as in torchvision, the last 1x1 convolution before pooling has a batch norm; activations
are not in-place.
"""

from neocog.models.torchvision import torchvision_model

mobilenet_v3_small = torchvision_model("mobilenet_v3_small", min_size=32)
mobilenet_v3_large = torchvision_model("mobilenet_v3_large", min_size=32)
