"""The optimiser and the learning rate of each step."""

import math

import torch
from torch import nn

from neocog.recipes import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or Adam over all parameters; weight decay spares what has one dimension: biases, norms.

    Each group's `rate_factor` multiplies the learning rate.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    norm_biases = {id(m.bias) for m in norms} if recipe.norm_bias_rate_factor != 1 else set()
    trained = [p for p in model.parameters() if p.requires_grad]
    weights = [p for p in trained if p.ndim > 1]
    others = [p for p in trained if p.ndim <= 1 and id(p) not in norm_biases]
    fast = [p for p in trained if id(p) in norm_biases]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay, "rate_factor": 1.0},
        {"params": others, "weight_decay": 0.0, "rate_factor": 1.0},
        {"params": fast, "weight_decay": 0.0, "rate_factor": recipe.norm_bias_rate_factor},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(
        groups,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        fused=True,
    )


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
