"""Batch norms folded into the convolutions before them: the same network in fewer steps."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@torch.inference_mode()
def folded(model: nn.Module, inputs: Tensor) -> nn.Module:
    """A copy of a network in evaluation mode, for inference alone, without its batch norms.

    Its logits differ by rounding. `inputs` are a picture or more, N x C x H x W, which show what
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
    # A convolution whose output goes elsewhere, too, must keep it as it was.
    same = torch.allclose(made(inputs), model(inputs), rtol=1e-3, atol=1e-3)
    return made if same else model


def _pairs(model: nn.Module, inputs: Tensor) -> dict[str, str]:
    """The batch norms, by name, that take what a convolution gives, and those convolutions."""
    given: dict[int, tuple[str, Tensor]] = {}
    pairs: dict[str, str] = {}

    def note(name: str, module: nn.Module, taken: tuple[Any, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            given[id(output)] = (name, output)  # the tensor is kept, so that its id stays its own
        elif id(taken[0]) in given and not module.training:
            pairs[name] = given[id(taken[0])][0]

    hooks = [
        module.register_forward_hook(lambda m, i, o, name=name: note(name, m, i, o))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    model(inputs)
    for hook in hooks:
        hook.remove()
    return pairs


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)
