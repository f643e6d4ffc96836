"""The metrics of an epoch, and what is selected and refused by them."""

from typing import Any

import torch
from torch import Tensor, nn

from neocog.classifier import logits
from neocog.data import Splits, loader
from neocog.data.images import LazyImages
from neocog.errors import NeocogError
from neocog.recipes import Recipe
from neocog.training.loss import measured


def evaluate_epoch(
    model: nn.Module, splits: Splits, recipe: Recipe, images: Tensor | LazyImages, labels: Tensor
) -> dict[str, float]:
    """What the weights reach on validation, and on train where the recipe selects by it."""
    found: dict[str, float] = {}
    if len(splits.validation):
        batch, targets = loader.to_device(splits.validation, labels.device)
        scores = logits(model, splits.preprocessing, batch)
        found |= measured(recipe, "validation", scores, targets)
    if recipe.select.startswith("train"):
        scores = logits(model, splits.preprocessing, images)
        found["train/accuracy_after"] = (scores.argmax(1) == labels).sum().item() / len(labels)
    return found


def selection_score(recipe: Recipe, line: dict[str, Any], epoch: int) -> float:
    """The number that selection makes as large as it can."""
    if recipe.select == "last":
        return float(epoch)
    value = float(line[recipe.select])
    return -value if recipe.select.endswith("loss") else value


def mean_loss(losses: Tensor, sizes: list[int]) -> float:
    """The mean over images of the batches' mean losses: the last batch may be smaller."""
    weights = torch.tensor(sizes, dtype=torch.float64)
    return float((losses.cpu().double() * weights).sum() / weights.sum())


def check_finite(losses: Tensor, first_step: int, model: nn.Module) -> None:
    """Raise NeocogError where a loss, or a weight after the last of them, is no number."""
    wrong = torch.nonzero(~torch.isfinite(losses)).flatten().tolist()
    if not wrong and all(torch.isfinite(p).all() for p in model.parameters()):
        return
    place = wrong[0] if wrong else len(losses) - 1
    what = f"loss is {losses[place].item()}" if wrong else "weights are no longer numbers"
    raise NeocogError(
        f"The {what} at step {first_step + place + 1}: training has diverged. What the run had "
        "reached at the end of the epoch before is kept.",
        "Try a learning rate ten times smaller: --set learning_rate=...",
    )
