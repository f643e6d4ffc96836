"""The metrics of an epoch, the selection score, and the check for divergence."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from neocog.data import Splits, loader
from neocog.data.images import LazyImages
from neocog.errors import DivergedError
from neocog.models.inference import InferenceModule, predict_logits
from neocog.recipes import Recipe
from neocog.records import EpochMetrics
from neocog.training.loss import loss_and_accuracy


def evaluate_epoch(
    metrics: EpochMetrics,
    model: nn.Module,
    splits: Splits,
    recipe: Recipe,
    images: Tensor | LazyImages,
    labels: Tensor,
) -> EpochMetrics:
    """Add validation metrics; the accuracy on the training set, too, if the recipe selects by it.

    `images` (uint8, `(N, H, W, C)`) and `labels` (`(N,)`) are the training set on the device.
    """
    module = InferenceModule(model, splits.preprocessing)
    if len(splits.validation):
        batch, targets = loader.to_device(splits.validation, labels.device)
        outputs = predict_logits(module, batch)
        found = loss_and_accuracy(recipe, outputs, targets)
        metrics = replace(
            metrics,
            validation_loss=found.loss,
            validation_accuracy=found.accuracy,
            validation_cross_entropy=found.cross_entropy,
        )
    if recipe.select.startswith("train"):
        outputs = predict_logits(module, images)
        accuracy = (outputs.argmax(1) == labels).sum().item() / len(labels)
        metrics = replace(metrics, train_accuracy_after=accuracy)
    return metrics


def selection_score(recipe: Recipe, metrics: EpochMetrics) -> float:
    """The recipe's selection metric, oriented so that larger is better."""
    if recipe.select == "last":
        return float(metrics.epoch)
    value = metrics.metric(recipe.select)
    assert value is not None, f"the epoch is measured by {recipe.select}"
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
