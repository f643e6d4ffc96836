"""SqueezeNet 1.1: torchvision's.

Paper: Iandola, Han, Moskewicz, Ashraf, Dally and Keutzer, "SqueezeNet: AlexNet-level accuracy with
50x fewer parameters and <0.5MB model size", 2016; version 1.1 of the authors' repository.
Deviations: activations are not in place.
"""

from neocog.models.wrapped import wrapped

squeezenet1_1 = wrapped("squeezenet1_1", least=17)
