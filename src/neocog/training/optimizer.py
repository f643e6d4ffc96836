"""The optimizer, and the learning rate of each step."""

import math

import torch
from torch import nn

from neocog.models.pretrained import last_layer
from neocog.recipes import Recipe

DEPTHS = 4  # groups of backbone layers with different learning rates


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or Adam over all trainable parameters.

    Weight decay is not applied to one-dimensional parameters (biases and norms). The `rate_factor`
    of each parameter group multiplies the learning rate.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    norm_biases = {id(m.bias) for m in norms}
    factors = _backbone_factors(model, recipe.body_rate_factor)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in (p for p in model.parameters() if p.requires_grad):
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        factor = recipe.norm_bias_rate_factor if id(parameter) in norm_biases else 1.0
        groups.setdefault((decay, factor * factors[id(parameter)]), []).append(parameter)
    parameter_groups = [
        {"params": members, "weight_decay": decay, "rate_factor": factor}
        for (decay, factor), members in groups.items()
    ]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameter_groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(
        parameter_groups,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        fused=True,
    )


def _backbone_factors(model: nn.Module, factor: float) -> dict[int, float]:
    """The learning-rate factor of each parameter, by its id: 1 in the head.

    In the backbone it decreases, in DEPTHS steps, from `factor` before the head to its square at
    the input: the features of the first layers are the most general (Howard and Ruder, "ULMFiT",
    2018).
    """
    factors = {id(p): 1.0 for p in model.parameters()}
    if factor == 1:
        return factors
    head = {id(p) for p in model.get_submodule(last_layer(model)).parameters()}
    backbone = [p for p in model.parameters() if id(p) not in head]
    for index, parameter in enumerate(backbone):
        depth = (DEPTHS - 1 - index * DEPTHS // len(backbone)) / (DEPTHS - 1)
        factors[id(parameter)] = factor ** (1 + depth)
    return factors


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step, 0..steps-1.

    `one-cycle`: linear warmup over `warmup_fraction` of the steps, then cosine decay to 0 (after
    Smith and Topin, "Super-convergence", 2018). `step`: multiplied by `decay_factor` from each of
    `decay_at_epochs` on.
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "step":
        epoch = step * recipe.epochs // steps
        decays = sum(epoch >= begin for begin in recipe.decay_at_epochs)
        return recipe.learning_rate * recipe.decay_factor**decays
    done, warmup = (step + 1) / steps, recipe.warmup_fraction
    if done < warmup:
        return recipe.learning_rate * done / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))
