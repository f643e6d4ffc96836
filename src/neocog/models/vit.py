"""ViT-B/16, the vision transformer, from torchvision.

Paper: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021.
Deviations: torchvision's head is one Linear layer; the paper pre-trains with a hidden layer in it.
"""

from neocog.models.torchvision import torchvision_model

vit_b_16 = torchvision_model("vit_b_16", min_size=32, multiple=16)
