"""Everything that explains the prediction of one image, as tensors.

It takes any nn.Module. `neocog.explanations` applies it to the images of a classifier.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.explain.attributions import integrated_gradients, occlusion
from neocog.explain.gradcam import grad_cam
from neocog.inspection.hooks import feature_maps

LARGE_SIDE = 64  # pixels: above it, passes are slow and single pixels cannot be told apart
STEPS, STEPS_LARGE = 32, 16  # of integrated gradients
POOLING = 4  # pixels: integrated gradients of a large image are averaged over such squares
WINDOWS, WINDOWS_LARGE = 5, 4  # side of the image / side of the square of the occlusion


@dataclass(frozen=True)
class Explanation:
    """How a network arrives at the logit of one class for one image. Tensors are on the CPU.

    Attributes:
        target: The explained class.
        gradcam: (H, W), >= 0; None for a network without feature maps.
        integrated_gradients: (H, W), or a quarter of both for large images; signed.
        occlusion: (H, W), signed.
        feature_maps: Output of every layer, without the batch dimension, in the order of the pass.
    """

    target: int
    gradcam: Tensor | None
    integrated_gradients: Tensor
    occlusion: Tensor
    feature_maps: dict[str, Tensor]


def explain_image(
    model: nn.Module, image: Tensor, baseline: Tensor, target: int, layer: str | None
) -> Explanation:
    """Explain the logit of class `target` for `image`, (C, H, W), normalised.

    `baseline`, (C, H, W), is an empty image; `layer` the one for Grad-CAM, None for a network
    without feature maps. Raises UsageError for an unknown layer or one without feature maps.
    """
    inputs, baseline = image[None], baseline[None]
    targets = torch.tensor([target])
    side = min(image.shape[1:])
    is_large = side > LARGE_SIDE
    steps = STEPS_LARGE if is_large else STEPS
    gradients = integrated_gradients(model, inputs, targets, baseline, steps)
    if is_large:
        gradients = F.avg_pool2d(gradients, POOLING)
    window = max(2, side // (WINDOWS_LARGE if is_large else WINDOWS))
    return Explanation(
        target=target,
        gradcam=grad_cam(model, inputs, targets, layer)[0] if layer else None,
        integrated_gradients=gradients[0],
        occlusion=occlusion(model, inputs, targets, baseline, window)[0],
        feature_maps={name: maps[0] for name, maps in feature_maps(model, inputs).items()},
    )
