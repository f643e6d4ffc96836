"""The numeric precision of a recipe on this machine."""

import torch
from torch import nn


def has_bfloat16(precision: str, device: torch.device, trained: nn.Module | None = None) -> bool:
    """Whether a recipe's `precision` is bfloat16 on `device`.

    `fast` is bfloat16 if the hardware supports it. `trained` is the network if it is trained, not
    only applied: on a CPU, gradients of depthwise convolutions take three times as long in bfloat16
    as in float32, so a network with them is trained in float32.
    """
    if precision != "fast":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    layers = trained.modules() if trained else ()
    depthwise = any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in layers)
    return device.type == "cpu" and not depthwise and torch.cpu._is_avx512_bf16_supported()
