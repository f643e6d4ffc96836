"""ConvNeXt-T, from torchvision.

Paper: Liu, Mao, Wu, Feichtenhofer, Darrell and Xie, "A ConvNet for the 2020s", CVPR 2022.
Deviations: none known.
"""

from neocog.models.torchvision import torchvision_model

convnext_tiny = torchvision_model("convnext_tiny", min_size=32)
