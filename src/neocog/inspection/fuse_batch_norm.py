"""Batch norms folded into the preceding convolutions, for faster inference."""

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from neocog.inspection.hooks import record_layers
from neocog.inspection.tracing import TracingTensor


@torch.inference_mode()
def folded(model: nn.Module, inputs: Tensor) -> nn.Module:
    """A copy of a network for inference only, with its batch norms folded into convolutions.

    The logits differ by rounding. `inputs`, (N, C, H, W), are run once to find out which batch norm
    follows which convolution. Returns the network itself if there is nothing to fold.
    """
    pairs = _pairs(model, inputs)
    if not pairs:
        return model
    fused = copy.deepcopy(model)
    for norm_name, conv_name in pairs.items():
        conv, norm = fused.get_submodule(conv_name), fused.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        _replace(fused, conv_name, fuse_conv_bn_eval(conv, norm))
        _replace(fused, norm_name, nn.Identity())
    return fused


class _CountingTensor(TracingTensor):
    """A tensor that counts how often it is used as an input."""

    uses: int = 0

    @classmethod
    def on_result(cls, output: Self, inputs: Sequence[Self]) -> None:
        """Count one use of each input."""
        del output
        for tensor in inputs:
            tensor.uses += 1


def _pairs(model: nn.Module, inputs: Tensor) -> dict[str, str]:
    """Names of the batch norms that are the only consumer of a convolution, and its name.

    The forward pass uses real tensors: the `meta` device takes two seconds to import.
    """
    outputs: dict[int, tuple[str, Tensor]] = {}  # keeps the tensors, so that ids stay unique
    pairs: dict[str, tuple[str, Tensor]] = {}
    runs: Counter[str] = Counter()

    def record(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        runs[name.partition(" ")[0]] += 1
        if isinstance(module, nn.Conv2d):
            outputs[id(output)] = (name, output)
        elif isinstance(module, nn.BatchNorm2d) and id(inputs) in outputs and not module.training:
            pairs[name] = outputs[id(inputs)]

    with record_layers(model, record):
        model(inputs.as_subclass(_CountingTensor))
    return {
        norm: conv
        for norm, (conv, output) in pairs.items()
        if getattr(output, "uses", 0) == 1 and runs[norm] == runs[conv] == 1
    }


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)
