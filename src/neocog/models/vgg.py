"""VGG with 11, 13, 16 and 19 layers, with and without batch norm: torchvision's.

Paper: Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition",
ICLR 2015, columns A, B, D and E of table 1.
Deviations: torchvision's average to 7 x 7 before the Linear layers, which changes nothing at
224 x 224 and lets smaller images in; activations are not in place.
"""

from neocog.models.torchvision import torchvision_model

vgg11 = torchvision_model("vgg11", least=32)
vgg13 = torchvision_model("vgg13", least=32)
vgg16 = torchvision_model("vgg16", least=32)
vgg19 = torchvision_model("vgg19", least=32)
vgg11_bn = torchvision_model("vgg11_bn", least=32)
vgg13_bn = torchvision_model("vgg13_bn", least=32)
vgg16_bn = torchvision_model("vgg16_bn", least=32)
vgg19_bn = torchvision_model("vgg19_bn", least=32)
