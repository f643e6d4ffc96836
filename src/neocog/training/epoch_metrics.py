"""The metrics of an epoch, the selection score, and the check for divergence."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from neocog.data import Splits, loader
from neocog.data.images import LazyImages
from neocog.errors import DivergedError
from neocog.models.inference import InferenceModule, predict_logits
from neocog.recipes import Recipe
from neocog.training.loss import loss_and_accuracy


def evaluate_epoch(
    model: nn.Module, splits: Splits, recipe: Recipe, images: Tensor | LazyImages, labels: Tensor
) -> dict[str, float]:
    """Validation metrics; the accuracy on the training set, too, if the recipe selects by it.

    `images` (uint8, `(N, H, W, C)`) and `labels` (`(N,)`) are the training set on the device.
    """
    metrics: dict[str, float] = {}
    module = InferenceModule(model, splits.preprocessing)
    if len(splits.validation):
        batch, targets = loader.to_device(splits.validation, labels.device)
        outputs = predict_logits(module, batch)
        metrics |= loss_and_accuracy(recipe, "validation", outputs, targets)
    if recipe.select.startswith("train"):
        outputs = predict_logits(module, images)
        metrics["train/accuracy_after"] = (outputs.argmax(1) == labels).sum().item() / len(labels)
    return metrics


def selection_score(recipe: Recipe, metrics: dict[str, Any], epoch: int) -> float:
    """The recipe's selection metric, oriented so that larger is better."""
    if recipe.select == "last":
        return float(epoch)
    value = float(metrics[recipe.select])
    return -value if recipe.select.endswith("loss") else value


def mean_loss(losses: Tensor, batch_bounds: Sequence[tuple[int, int]]) -> float:
    """The mean loss per image, from the mean loss of each batch: the last may be smaller."""
    sizes = torch.tensor([end - begin for begin, end in batch_bounds], dtype=torch.float64)
    return float((losses.cpu().double() * sizes).sum() / sizes.sum())


def check_finite(losses: Tensor, first_step: int, model: nn.Module) -> None:
    """Raise NeocogError if a loss, or a weight after the last step, is not finite.

    `losses` are those of consecutive steps from `first_step` on.
    """
    diverged = torch.nonzero(~torch.isfinite(losses)).flatten().tolist()
    if not diverged and all(torch.isfinite(p).all() for p in model.parameters()):
        return
    index = diverged[0] if diverged else len(losses) - 1
    cause = f"loss is {losses[index].item()}" if diverged else "weights are no longer numbers"
    raise DivergedError(
        f"The {cause} at step {first_step + index + 1}: training has diverged. What the run had "
        "reached at the end of the epoch before is kept.",
        "Try a learning rate ten times smaller: {settings}",
        [("learning_rate", ...)],
    )
