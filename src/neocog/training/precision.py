"""Which precision a recipe's words mean on this machine."""

import torch
from torch import nn


def has_bfloat16(precision: str, device: torch.device, trained: nn.Module | None = None) -> bool:
    """Whether a recipe's precision means bfloat16 on this machine.

    `trained` is the network where gradients are taken. `fast` on a CPU is float32 where that has
    depthwise convolutions, whose gradients take three times as long in bfloat16 there.
    """
    if precision != "fast":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    layers = trained.modules() if trained else ()
    depthwise = any(isinstance(m, nn.Conv2d) and m.groups > 1 for m in layers)
    return device.type == "cpu" and not depthwise and torch.cpu._is_avx512_bf16_supported()
