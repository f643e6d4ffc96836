"""VGG with 11, 13, 16 and 19 layers, with and without batch norm, from torchvision.

Paper: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
ICLR 2015, columns A, B, D and E of table 1.
Deviations: torchvision's average pooling to 7 x 7 before the Linear layers, which has no effect at
224 x 224 and allows smaller images; activations are not in-place.
"""

from neocog.models.torchvision import torchvision_model

vgg11 = torchvision_model("vgg11", min_size=32)
vgg13 = torchvision_model("vgg13", min_size=32)
vgg16 = torchvision_model("vgg16", min_size=32)
vgg19 = torchvision_model("vgg19", min_size=32)
vgg11_bn = torchvision_model("vgg11_bn", min_size=32)
vgg13_bn = torchvision_model("vgg13_bn", min_size=32)
vgg16_bn = torchvision_model("vgg16_bn", min_size=32)
vgg19_bn = torchvision_model("vgg19_bn", min_size=32)
