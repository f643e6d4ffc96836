"""EfficientNet-Lite: inverted residual blocks without squeeze-and-excitation, ReLU6 throughout.

Paper: Tan and Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", ICML
2019; Liu, "Higher accuracy on vision models with EfficientNet-Lite", 2020, which removes operations
that are slow on phones, and scales neither the stem nor the features. The block is from Sandler et
al., "MobileNetV2", CVPR 2018.
Deviations: no stochastic depth in training; He initialisation.
"""

import functools
import math
from collections import OrderedDict
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from neocog.models.geometry import require

# Number of blocks, kernel, stride of the first block, expansion, channels: table 1 of the paper,
# without squeeze-and-excitation. These are Lite0's; `scaled_stages` gives the others'.
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
    """A convolution without bias and with TensorFlow's SAME padding.

    An odd pixel of padding goes to the right and the bottom. Maps of side n become
    ceil(n / stride).
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        # With stride 1 the padding is symmetric, so that the convolution can apply it itself.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, inputs, H, W)` to `(N, outputs, ceil(H / stride), ceil(W / stride))`."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            # (n - 1) // stride is ceil(n / stride) - 1 without a negative number: in an ONNX graph
            # that holds this division, integers are rounded towards 0, not down.
            rows, columns = (max(0, (n - 1) // stride * stride + kernel - n) for n in x.shape[2:])
            x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return super().forward(x)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; a shortcut if the shapes match."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.has_shortcut = stride == 1 and inputs == outputs
        self.expand: nn.Module = nn.Identity()
        if expansion > 1:
            self.expand = nn.Sequential(SameConv2d(inputs, hidden, 1), _norm(hidden), nn.ReLU6())
        self.depthwise = SameConv2d(hidden, hidden, kernel, stride, groups=hidden)
        self.depthwise_norm = _norm(hidden)
        self.depthwise_relu = nn.ReLU6()
        self.project = SameConv2d(hidden, outputs, 1)
        self.project_norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, inputs, H, W)` to `(N, outputs, ceil(H / stride), ceil(W / stride))`."""
        y = self.expand(x)
        y = self.depthwise_relu(self.depthwise_norm(self.depthwise(y)))
        y = self.project_norm(self.project(y))
        return x + y if self.has_shortcut else y


def scaled_stages(width: float, depth: float) -> list[tuple[int, int, int, int, int]]:
    """Return `STAGES` with about `width` times the channels and `depth` times the blocks.

    Channels become the nearest multiple of 8, or the next larger one if that is more than 10%
    fewer. Blocks are rounded up; the first and the last stage keep theirs.
    """
    stages = []
    for count, kernel, stride, expansion, channels in STAGES:
        scaled = int(channels * width + 4) // 8 * 8
        if scaled < 0.9 * channels * width:
            scaled += 8
        blocks = math.ceil(count * depth) if count > 1 else count  # the end stages have one block
        stages.append((blocks, kernel, stride, expansion, scaled))
    return stages


class EfficientNetLite(nn.Module):
    """A stem, inverted residual blocks, 1,280 features, one Linear layer.

    `width` and `depth` scale the blocks, see `scaled_stages`. `name` is the network's in errors.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: tuple[int, int],
        name: str,
        width: float = 1.0,
        depth: float = 1.0,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        require(name, image_size, min(image_size) >= 32, "32 x 32")
        self.stem = SameConv2d(in_channels, STEM, 3, stride=2)
        self.stem_norm = _norm(STEM)
        self.stem_relu = nn.ReLU6()
        blocks, channels = [], STEM
        for count, kernel, stride, expansion, outputs in scaled_stages(width, depth):
            for index in range(count):
                block_stride = stride if index == 0 else 1
                blocks.append(InvertedResidual(channels, outputs, kernel, block_stride, expansion))
                channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.last = SameConv2d(channels, LAST, 1)
        self.last_norm = _norm(LAST)
        self.last_relu = nn.ReLU6()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.drop = nn.Dropout(dropout)
        self.output = nn.Linear(LAST, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return logits `(N, K)` for images `(N, C, H, W)`; the shapes beside it are Lite0's."""
        x = self.stem_relu(self.stem_norm(self.stem(x)))  # (N, 32, 112, 112)
        x = self.blocks(x)  # (N, 320, 7, 7)
        x = self.last_relu(self.last_norm(self.last(x)))  # (N, 1280, 7, 7)
        x = self.drop(self.flatten(self.pool(x)))  # (N, 1280)
        logits: Tensor = self.output(x)  # (N, 1000)
        return logits


efficientnet_lite0 = functools.partial(EfficientNetLite, name="efficientnet-lite0")
efficientnet_lite2 = functools.partial(
    EfficientNetLite, name="efficientnet-lite2", width=1.1, depth=1.2, dropout=0.3
)


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the layers of the published weights to this network's names.

    A state dict with other names is returned unchanged.
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
            number, part, parameter = rest.split(".")
            renamed[f"blocks.{number}.{inner[part]}.{parameter}"] = tensor
        else:
            renamed[f"{({**outer, '_fc': 'output'})[layer]}.{rest}"] = tensor
    return dict(renamed)
