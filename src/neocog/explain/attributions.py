"""Attributions: how much each pixel contributes to a class, by captum."""

import torch
from torch import Tensor, nn

from neocog.inspection.hooks import evaluation_mode

BATCH_SIZE = 16  # images in one forward pass


def integrated_gradients(
    model: nn.Module, inputs: Tensor, targets: Tensor, baseline: Tensor, steps: int = 32
) -> Tensor:
    """Contribution of each pixel to the logit of the target class: signed, (N, H, W), on the CPU.

    Integrates the gradient along the straight line from `baseline`, (1, C, H, W), to the image in
    `steps` steps; the contributions of an image add up to the difference of the two logits, up to
    the error of the integration. `inputs` is (N, C, H, W), normalised; `targets` holds N classes.

    Paper: Sundararajan, Taly, Yan, "Axiomatic attribution for deep networks", ICML 2017.
    """
    from captum.attr import IntegratedGradients  # slow to import

    with evaluation_mode(model):
        attributions = IntegratedGradients(model).attribute(
            inputs,
            baselines=baseline.expand_as(inputs),
            target=targets.to(inputs.device),
            n_steps=steps,
            internal_batch_size=max(BATCH_SIZE, len(inputs)),
        )
    return attributions.detach().sum(1).float().cpu()


def occlusion(
    model: nn.Module, inputs: Tensor, targets: Tensor, baseline: Tensor, window: int
) -> Tensor:
    """Drop of the target logit when a square is covered: signed, (N, H, W), on the CPU.

    A square with sides of `window` pixels, filled from `baseline`, (1, C, H, W), moves in steps of
    half its side; a pixel that several squares cover gets the mean. Other arguments are those of
    `integrated_gradients`.

    Paper: Zeiler, Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.
    """
    from captum.attr import Occlusion

    channels, stride = inputs.shape[1], max(1, window // 2)
    with torch.no_grad(), evaluation_mode(model):
        attributions = Occlusion(model).attribute(
            inputs,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, stride, stride),
            baselines=baseline.expand_as(inputs),
            target=targets.to(inputs.device),
            perturbations_per_eval=max(1, BATCH_SIZE // len(inputs)),
        )
    return attributions.detach().mean(1).float().cpu()
