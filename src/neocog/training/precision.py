"""Which precision a recipe's words mean on this machine."""

import torch


def has_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether a recipe's precision means bfloat16 on this machine."""
    if precision != "fast":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
