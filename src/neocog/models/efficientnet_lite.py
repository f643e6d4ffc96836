"""EfficientNet-Lite0: inverted residual blocks without squeeze-and-excitation, ReLU6 throughout.

Paper: Tan and Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", ICML
2019; Liu, "Higher accuracy on vision models with EfficientNet-Lite", 2020, which leaves out what
phones compute slowly. Sandler et al., "MobileNetV2", CVPR 2018, has the block.
Deviations: no stochastic depth when it is trained; random weights are He's.
"""

from collections import OrderedDict
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from neocog.models.geometry import require

# Blocks, kernel, stride of the first, expansion, channels: table 1 of the paper, without SE.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, LAST = 32, 1280


class SameConv2d(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's SAME: right and bottom get the odd pixel.

    Maps of side n become ceil(n / stride).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        # With stride 1 the padding is the same on all sides, and the convolution does it itself.
        inside = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, inside, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """N x inputs x H x W to N x outputs x ceil(H / stride) x ceil(W / stride)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            down, across = (
                max(0, (-(-n // stride) - 1) * stride + kernel - n) for n in x.shape[2:]
            )
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return super().forward(x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each map by itself, narrow by 1x1; a shortcut where shapes allow it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.has_shortcut = stride == 1 and inputs == outputs
        self.expand: nn.Module = nn.Identity()
        if expansion > 1:
            self.expand = nn.Sequential(SameConv2d(inputs, wide, 1), _norm(wide), nn.ReLU6())
        self.depthwise = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self.depthwise_norm = _norm(wide)
        self.depthwise_relu = nn.ReLU6()
        self.project = SameConv2d(wide, outputs, 1)
        self.project_norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """N x inputs x H x W to N x outputs x ceil(H / stride) x ceil(W / stride)."""
        y = self.expand(x)
        y = self.depthwise_relu(self.depthwise_norm(self.depthwise(y)))
        y = self.project_norm(self.project(y))
        return x + y if self.has_shortcut else y


class EfficientNetLite0(nn.Module):
    """A stem, sixteen inverted residual blocks, 1,280 features, one Linear layer."""

    def __init__(self, num_classes: int, in_channels: int, image_size: tuple[int, int]) -> None:
        super().__init__()
        require("efficientnet-lite0", image_size, min(image_size) >= 32, "32 x 32")
        self.stem = SameConv2d(in_channels, STEM, 3, stride=2)
        self.stem_norm = _norm(STEM)
        self.stem_relu = nn.ReLU6()
        blocks, channels = [], STEM
        for count, kernel, stride, expansion, outputs in STAGES:
            for place in range(count):
                first = stride if place == 0 else 1
                blocks.append(InvertedResidual(channels, outputs, kernel, first, expansion))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.last = SameConv2d(channels, LAST, 1)
        self.last_norm = _norm(LAST)
        self.last_relu = nn.ReLU6()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.drop = nn.Dropout(0.2)
        self.output = nn.Linear(LAST, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Logits, N x K, of images N x C x H x W."""
        x = self.stem_relu(self.stem_norm(self.stem(x)))  # 32 x 112 x 112
        x = self.blocks(x)  # 320 x 7 x 7
        x = self.last_relu(self.last_norm(self.last(x)))  # 1280 x 7 x 7
        x = self.drop(self.flatten(self.pool(x)))  # 1280
        logits: Tensor = self.output(x)  # 1000
        return logits


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published weights, by their publisher's layer names, under this network's names.

    A state with other names is returned as it is.
    """
    if "_conv_stem.weight" not in state:
        return dict(state)
    outer = {"_conv_stem": "stem", "_bn0": "stem_norm", "_conv_head": "last", "_bn1": "last_norm"}
    inner = {
        "_expand_conv": "expand.0",
        "_bn0": "expand.1",
        "_depthwise_conv": "depthwise",
        "_bn1": "depthwise_norm",
        "_project_conv": "project",
        "_bn2": "project_norm",
    }
    renamed: OrderedDict[str, Tensor] = OrderedDict()
    for name, tensor in state.items():
        layer, _, rest = name.partition(".")
        if layer == "_blocks":
            number, part, what = rest.split(".")
            renamed[f"blocks.{number}.{inner[part]}.{what}"] = tensor
        else:
            renamed[f"{({**outer, '_fc': 'output'})[layer]}.{rest}"] = tensor
    return dict(renamed)
