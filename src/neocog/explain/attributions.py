"""Which pixels a class depends on: integrated gradients and occlusion, by captum."""

import torch
from torch import Tensor, nn

from neocog.inspection.hooks import evaluating

AT_ONCE = 16  # images in a pass


def integrated_gradients(
    model: nn.Module, inputs: Tensor, targets: Tensor, nothing: Tensor, steps: int = 32
) -> Tensor:
    """What each pixel adds to its target's logit, N x H x W, signed, on the CPU.

    Paper: Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017: the
    gradients on the straight way from `nothing`, an empty image 1 x C x H x W, to the image.
    They add up to the difference of the two logits, the better the more `steps`. `inputs` are
    N x C x H x W, normalised.
    """
    from captum.attr import IntegratedGradients  # takes a second to import

    with evaluating(model):
        found = IntegratedGradients(model).attribute(
            inputs,
            baselines=nothing.expand_as(inputs),
            target=targets.to(inputs.device),
            n_steps=steps,
            internal_batch_size=max(AT_ONCE, len(inputs)),
        )
    return found.detach().sum(1).float().cpu()


def occlusion(
    model: nn.Module, inputs: Tensor, targets: Tensor, nothing: Tensor, window: int
) -> Tensor:
    """How much the target's logit falls when a square is covered, N x H x W, signed, on the CPU.

    Paper: Zeiler, Fergus, "Visualizing and understanding convolutional networks", ECCV 2014. A
    square of `window` pixels a side, filled from `nothing`, moves by half its side; where
    several cover a pixel their mean is taken.
    """
    from captum.attr import Occlusion

    channels, stride = inputs.shape[1], max(1, window // 2)
    with torch.no_grad(), evaluating(model):
        found = Occlusion(model).attribute(
            inputs,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=nothing.expand_as(inputs),
            target=targets.to(inputs.device),
            perturbations_per_eval=max(1, AT_ONCE // len(inputs)),
        )
    return found.detach().mean(1).float().cpu()
