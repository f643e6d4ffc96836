"""The optimiser and the learning rate of each step."""

import math

import torch
from torch import nn

from neocog.models.pretrained import last_layer
from neocog.recipes import Recipe

DEPTHS = 4  # learning rates that the layers of a network's body have


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or Adam over all parameters; weight decay spares what has one dimension: biases, norms.

    Each group's `rate_factor` multiplies the learning rate.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    norm_biases = {id(m.bias) for m in norms}
    depth = _body_factors(model, recipe.body_rate_factor)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in (p for p in model.parameters() if p.requires_grad):
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        factor = recipe.norm_bias_rate_factor if id(parameter) in norm_biases else 1.0
        groups.setdefault((decay, factor * depth[id(parameter)]), []).append(parameter)
    made = [
        {"params": members, "weight_decay": decay, "rate_factor": factor}
        for (decay, factor), members in groups.items()
    ]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(made, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(
        made,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        fused=True,
    )


def _body_factors(model: nn.Module, factor: float) -> dict[int, float]:
    """The factor of each parameter's learning rate, by its id: 1 in the last layer.

    Before it the factor is `factor`, and falls towards the input, in DEPTHS steps, to its square:
    what the first layers know suits all images (Howard and Ruder, "ULMFiT", 2018).
    """
    everything = list(model.parameters())
    if factor == 1:
        return {id(p): 1.0 for p in everything}
    last = {id(p) for p in model.get_submodule(last_layer(model)).parameters()}
    body = [p for p in everything if id(p) not in last]
    found = {id(p): 1.0 for p in everything}
    for place, parameter in enumerate(body):
        depth = (DEPTHS - 1 - place * DEPTHS // len(body)) / (DEPTHS - 1)
        found[id(parameter)] = factor ** (1 + depth)
    return found


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step, 0..steps-1.

    `one-cycle`: up in a straight line over `warmup_fraction` of the steps, then down to 0 along
    half a cosine (after Smith and Topin, "Super-convergence", 2018). `step`: times `decay_factor`
    from each of `decay_at_epochs` on.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "step":
        epoch = step * recipe.epochs // steps
        times = sum(epoch >= begin for begin in recipe.decay_at_epochs)
        return recipe.learning_rate * recipe.decay_factor**times
    done, warmup = (step + 1) / steps, recipe.warmup_fraction
    if done < warmup:
        return recipe.learning_rate * done / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))
