"""The losses, and a check that a network outputs logits."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.recipes import Recipe
from neocog.training.split_metrics import SplitMetrics


def make_loss(recipe: Recipe) -> Callable[[Tensor, Tensor], Tensor]:
    """The recipe's loss: from logits, `(N, K)`, and labels, `(N,)`, to the mean of the batch.

    `cross_entropy` and `nll` give the same number, the mean negative log-probability of the label;
    they differ in whether log-softmax is part of the loss. `map` and `squared_error` are the losses
    of LeCun et al. 1998 and 1990. Recipe checks that loss and network go together.
    """
    if recipe.loss == "map":
        return lambda logits, labels: map_criterion(logits, labels, recipe.map_penalty)
    if recipe.loss == "squared_error":
        return squared_error
    if recipe.loss == "nll":
        return lambda logits, labels: F.nll_loss(F.log_softmax(logits, dim=1), labels)
    smoothing = recipe.label_smoothing
    return lambda logits, labels: F.cross_entropy(logits, labels, label_smoothing=smoothing)


@torch.no_grad()
def loss_and_accuracy(recipe: Recipe, logits: Tensor, labels: Tensor) -> SplitMetrics:
    """The loss and accuracy of a split, from logits, `(N, K)`, and labels, `(N,)`."""
    plain = is_plain(recipe)
    return SplitMetrics(
        make_loss(recipe)(logits, labels).item(),
        (logits.argmax(1) == labels).sum().item() / len(labels),
        None if plain else F.cross_entropy(logits, labels).item(),
    )


def is_plain(recipe: Recipe) -> bool:
    """Whether the recipe's loss is the cross-entropy without label smoothing."""
    return recipe.loss in ("cross_entropy", "nll") and not recipe.label_smoothing


def map_criterion(negated_penalties: Tensor, labels: Tensor, j: float) -> Tensor:
    """The maximum a posteriori criterion, equation 9 of LeCun et al. 1998: the mean of the batch.

    With penalties y: y_label + log(exp(-j) + sum_i exp(-y_i)). This is the cross-entropy with one
    additional "rubbish" class of constant penalty `j`, which keeps the network from increasing
    penalties of wrong classes that are already large.
    """
    rubbish = negated_penalties.new_full((len(labels), 1), -j)
    return F.cross_entropy(torch.cat([negated_penalties, rubbish], 1), labels)


def squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """The squared distance of the squashed logits to targets of +-1: the mean of the batch.

    1.7159 tanh(2/3 x) is the squashing function of the output units of LeCun et al. 1990.
    """
    outputs = 1.7159 * torch.tanh(logits * (2 / 3))
    targets = 2 * F.one_hot(labels, logits.shape[1]).to(outputs.dtype) - 1
    return (outputs - targets).square().sum(1).mean()


@torch.no_grad()
def check_gives_logits(model: nn.Module, inputs: Tensor) -> None:
    """Raise UsageError if the network outputs probabilities or log-probabilities, not logits.

    `inputs` are a few normalised images, `(N, C, H, W)`. The check is of the output values, so that
    it does not depend on how the softmax is implemented.
    """
    was_training = model.training
    model.eval()
    outputs = model(inputs).cpu().double()  # MPS has no float64
    model.train(was_training)
    ones = torch.ones(len(outputs), dtype=torch.float64)
    if outputs.min() >= 0 and torch.allclose(outputs.sum(1), ones, atol=1e-4):
        raise UsageError(
            "The network ends in softmax, and both losses apply it themselves: after a second one "
            "the gradient is flat and the loss can never reach zero.",
            "Remove the softmax: a network must return logits, one number per class.",
        )
    if outputs.max() <= 0 and torch.allclose(outputs.exp().sum(1), ones, atol=1e-4):
        raise UsageError(
            "The network ends in log-softmax, and both losses apply it themselves.",
            "Remove it: a network must return logits. For the tutorials' pairing of log-softmax "
            "and negative log-likelihood, use {settings}.",
            [("loss", "nll")],
        )
