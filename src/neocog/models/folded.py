"""Batch norms folded into the convolutions before them: the same network in fewer steps."""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
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
    return made


class _Counted(torch.Tensor):
    """A tensor that knows how many tensors were made of it."""

    uses: int = 0

    @classmethod
    def __torch_function__(
        cls,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        parent: Any = super()
        out = parent.__torch_function__(func, types, args, dict(kwargs or {}))
        if isinstance(out, torch.Tensor):  # not its shape, say
            for given in (g for a in args for g in (a if isinstance(a, list | tuple) else [a])):
                if isinstance(given, _Counted):
                    given.uses += 1
        return out


def _pairs(model: nn.Module, inputs: Tensor) -> dict[str, str]:
    """The batch norms, by name, that alone take what a convolution gives, and those convolutions.

    Tensors without numbers (`meta`) would show it, too, but take two seconds to import.
    """
    given: dict[int, tuple[str, _Counted]] = {}  # tensors are kept, so that their ids stay theirs
    pairs: dict[str, tuple[str, _Counted]] = {}
    runs: Counter[str] = Counter()

    def note(name: str, module: nn.Module, taken: tuple[Any, ...], output: _Counted) -> None:
        runs[name] += 1
        if isinstance(module, nn.Conv2d):
            given[id(output)] = (name, output)
        elif id(taken[0]) in given and not module.training:
            pairs[name] = given[id(taken[0])]

    hooks = [
        module.register_forward_hook(lambda m, i, o, name=name: note(name, m, i, o))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    model(inputs.as_subclass(_Counted))
    for hook in hooks:
        hook.remove()
    return {
        norm: conv
        for norm, (conv, output) in pairs.items()
        if output.uses == 1 and runs[norm] == runs[conv] == 1
    }


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)
