"""ViT-B/16, the vision transformer: torchvision's.

Paper: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021.
Deviations: torchvision's last layer is one Linear; the paper trains with a hidden layer before it.
"""

from neocog.models.torchvision import torchvision_model

vit_b_16 = torchvision_model("vit_b_16", least=32, sides=16)
