"""Grad-CAM: which places of the last maps speak for a class.

Paper: Selvaraju et al., "Grad-CAM: Visual explanations from deep networks via gradient-based
localization", ICCV 2017: each map weighs as much as its mean gradient, and what is negative in the
weighted sum is cut off.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.inspection.hooks import as_maps, evaluating, is_convolution, layer_called, record_layers


def default_layer(model: nn.Module, inputs: Tensor) -> str | None:
    """The last convolution that still has places; of a transformer what its last attention takes.

    None where the network has neither. `inputs` are an image or more, N x C x H x W.
    """
    maps: list[tuple[str, nn.Module]] = []
    before_attention: str | None = None

    def note(name: str, module: nn.Module, given: Tensor, output: Tensor) -> None:
        nonlocal before_attention
        del given
        if isinstance(module, nn.MultiheadAttention):
            before_attention = maps[-1][0] if maps else None
        elif as_maps(output) is not None:
            maps.append((name, module))

    with torch.no_grad(), evaluating(model), record_layers(model, note):
        model(inputs[:1])
    if before_attention:
        return before_attention
    convolutions = [name for name, module in maps if is_convolution(module)]
    seen = convolutions or [name for name, module in maps if list(module.parameters())]
    return seen[-1].partition(" ")[0] if seen else None


def grad_cam(model: nn.Module, inputs: Tensor, targets: Tensor, layer: str) -> Tensor:
    """How much each place of an image speaks for its target class, N x H x W, 0 or more, CPU.

    `inputs` are N x C x H x W, normalised; `targets` N class indices; `layer` is the name of a
    layer with maps, whose few places are brought to H x W bilinearly. Raises UsageError for a
    layer that is not there or has no maps.
    """
    layer_called(model, layer)
    kept: list[Tensor] = []

    def note(name: str, module: nn.Module, given: Tensor, output: Tensor) -> Tensor | None:
        del module, given
        if name != layer:
            return None
        kept.append(output)
        return output.clone()  # a later layer may work in place

    with torch.enable_grad(), evaluating(model), record_layers(model, note):
        scores = model(inputs.detach().requires_grad_())
        chosen = scores.gather(1, targets.to(scores.device)[:, None]).sum()
        (slope,) = torch.autograd.grad(chosen, kept[0])
    maps, slopes = as_maps(kept[0].detach()), as_maps(slope)
    if maps is None or slopes is None:
        raise UsageError(
            f"{layer} gives no maps: it has no places to show.", "Name a convolution: --layer"
        )
    weights = slopes.mean((2, 3), keepdim=True)
    heat = (weights * maps).sum(1, keepdim=True).relu()
    return F.interpolate(heat, inputs.shape[2:], mode="bilinear")[:, 0].float().cpu()
