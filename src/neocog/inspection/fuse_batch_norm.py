"""Batch norms folded into the convolutions before them: the same network in fewer steps."""

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
    """A copy of a network in evaluation mode, for inference alone, without its batch norms.

    Its logits differ by rounding. `inputs` are an image or more, N x C x H x W, which show what
    follows what. The network itself is returned where nothing can be folded.
    """
    pairs = _pairs(model, inputs)
    if not pairs:
        return model
    made = copy.deepcopy(model)
    for norm_name, conv_name in pairs.items():
        conv, norm = made.get_submodule(conv_name), made.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        _put(made, conv_name, fuse_conv_bn_eval(conv, norm))
        _put(made, norm_name, nn.Identity())
    return made


class _Counted(TracingTensor):
    """A tensor that knows how many tensors were made of it."""

    uses: int = 0

    @classmethod
    def note(cls, out: Self, given: Sequence[Self]) -> None:
        """Count one use of each."""
        del out
        for tensor in given:
            tensor.uses += 1


def _pairs(model: nn.Module, inputs: Tensor) -> dict[str, str]:
    """The batch norms, by name, that alone take what a convolution gives, and those convolutions.

    Tensors without numbers (`meta`) would show it, too, but take two seconds to import.
    """
    given: dict[int, tuple[str, Tensor]] = {}  # tensors are kept, so that their ids stay theirs
    pairs: dict[str, tuple[str, Tensor]] = {}
    runs: Counter[str] = Counter()

    def note(name: str, module: nn.Module, taken: Tensor, output: Tensor) -> None:
        runs[name.partition(" ")[0]] += 1
        if isinstance(module, nn.Conv2d):
            given[id(output)] = (name, output)
        elif isinstance(module, nn.BatchNorm2d) and id(taken) in given and not module.training:
            pairs[name] = given[id(taken)]

    with record_layers(model, note):
        model(inputs.as_subclass(_Counted))
    return {
        norm: conv
        for norm, (conv, output) in pairs.items()
        if getattr(output, "uses", 0) == 1 and runs[norm] == runs[conv] == 1
    }


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)
