"""Grad-CAM: which parts of an image support a class, seen from the last feature maps.

Each feature map is weighted by its mean gradient; negative values of the weighted sum are dropped.

Not captum's LayerGradCam, although a test compares both on convolutional networks: it averages the
gradients over the wrong dimension for the tokens (N, T, M) of a vision transformer, and importing
captum would add 0.44 s of CPU time to every training, since each ends with a report.

Paper: Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based
localization", ICCV 2017.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.inspection.hooks import (
    as_feature_maps,
    evaluation_mode,
    get_layer,
    is_convolution,
    record_layers,
)


def default_layer(model: nn.Module, inputs: Tensor) -> str | None:
    """The last convolution with feature maps; for a transformer, the input of its last attention.

    None for a network without feature maps. `inputs` is (N, C, H, W), N >= 1.
    """
    layers: list[tuple[str, nn.Module]] = []
    attention_input: str | None = None

    def record(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        nonlocal attention_input
        del inputs
        if isinstance(module, nn.MultiheadAttention):
            attention_input = layers[-1][0] if layers else None
        elif as_feature_maps(output) is not None:
            layers.append((name, module))

    with torch.no_grad(), evaluation_mode(model), record_layers(model, record):
        model(inputs[:1])
    if attention_input:
        return attention_input
    convolutions = [name for name, module in layers if is_convolution(module)]
    candidates = convolutions or [name for name, module in layers if list(module.parameters())]
    return candidates[-1].partition(" ")[0] if candidates else None


def grad_cam(model: nn.Module, inputs: Tensor, targets: Tensor, layer: str) -> Tensor:
    """Grad-CAM of each image for its target class: >= 0, (N, H, W), on the CPU.

    `inputs` is (N, C, H, W), normalised; `targets` holds N class indices; `layer` is the name of a
    layer with feature maps, which are resized to H x W bilinearly. Raises UsageError for an unknown
    layer or one without feature maps.
    """
    get_layer(model, layer)
    activations: list[Tensor] = []

    def record(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> Tensor | None:
        del module, inputs
        if name != layer:
            return None
        activations.append(output)
        return output.clone()  # the next layer may work in place

    with torch.enable_grad(), evaluation_mode(model), record_layers(model, record):
        logits = model(inputs.detach().requires_grad_())
        target_logits = logits.gather(1, targets.to(logits.device)[:, None])
        (gradient,) = torch.autograd.grad(target_logits.sum(), activations[0])
    maps, gradients = as_feature_maps(activations[0].detach()), as_feature_maps(gradient)
    if maps is None or gradients is None:
        raise UsageError(
            f"The layer {layer} has no feature maps.",
            "Choose a convolution, for example: {settings}",
            [("layer", "c1")],
        )
    weights = gradients.mean((2, 3), keepdim=True)
    heat = (weights * maps).sum(1, keepdim=True).relu()
    return F.interpolate(heat, inputs.shape[2:], mode="bilinear")[:, 0].float().cpu()
