"""The optimiser and the learning rate of each step."""

import math

import torch
from torch import nn

from neocog.recipes import Recipe


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or Adam over all parameters; weight decay on weights only, not on biases and norms."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
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
    half a cosine (after Smith and Topin, "Super-convergence", 2018).
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done, warmup = (step + 1) / steps, recipe.warmup_fraction
    if done < warmup:
        return recipe.learning_rate * done / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))
