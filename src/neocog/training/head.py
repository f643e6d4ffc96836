"""Transfer learning: the head of a pretrained network, fitted to the features of its backbone.

The head is multinomial logistic regression with an L2 penalty, fitted to convergence. The penalty
is chosen by the log-loss on validation, or by cross-validation if there are few training images; of
equally good penalties, the strongest. The head is then refitted to train and validation together,
unless the whole network is fine-tuned after it: fine-tuning selects by validation, which must stay
unseen.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from neocog.classifier import Classifier
from neocog.data import ImageSet, Splits
from neocog.data.splits import folds
from neocog.errors import UsageError
from neocog.messages import Message
from neocog.metrics.selection import (
    log_losses,
    one_standard_error,
    paired_differences,
    smoothing_for,
)
from neocog.models.pretrained import last_layer
from neocog.progress import Progress, no_progress
from neocog.recipes import Recipe
from neocog.records import EpochMetrics, HeadMetrics
from neocog.training.features import compute_features
from neocog.training.loss import SplitMetrics, loss_and_accuracy

PENALTIES = tuple(10.0 ** (power / 2) for power in range(0, -10, -1))  # 1 to 3e-5: largest first
CROSS_VALIDATE_BELOW = 500  # training images
FOLDS = 5
SINGLE_THREAD_BELOW = 5_000_000  # values in the feature matrix
MAX_CLASS_RATIO = 2.0  # of the largest class to the smallest, from which on classes are weighted
MAX_ROWS = 10_000  # augmented views help if there are few images


@dataclass(frozen=True)
class HeadData:
    """Labels, names and groups of the images in a fit, in the order of their features.

    `names` decide the folds; images with the same number in `groups` stay in the same fold.
    """

    labels: NDArray[np.int64]
    names: tuple[str, ...]
    groups: NDArray[np.int64]
    num_classes: int

    @staticmethod
    def of(*parts: ImageSet) -> "HeadData":
        """The data of one or more splits, concatenated."""
        labels = np.concatenate([part.labels for part in parts])
        names = tuple(path for part in parts for path in part.paths)
        groups = np.concatenate([part.groups for part in parts])
        return HeadData(
            labels,
            names or tuple(map(str, range(len(labels)))),
            groups if len(groups) else np.arange(len(labels)),
            len(parts[0].classes),
        )

    def subset(self, indices: NDArray[np.int64]) -> "HeadData":
        """The data of the images with these indices."""
        names = tuple(self.names[n] for n in indices)
        return HeadData(self.labels[indices], names, self.groups[indices], self.num_classes)

    def folds(self, count: int) -> list[NDArray[np.int64]]:
        """Indices of `count` stratified folds of about equal size, with groups kept together."""
        return folds(self.names, self.labels, self.groups, count)


@dataclass(frozen=True)
class PenaltyChoice:
    """The chosen penalty, and the results on held-out images of the `PENALTIES` that were tried.

    `losses` are the mean log-losses, and `criteria` the same with one additional error; `least` is
    the penalty with the lowest criterion. `errors` are the standard errors of the differences from
    it, and `penalty` is the strongest within one standard error. `by` tells the held-out images.
    """

    penalty: float
    least: float
    by: Message
    losses: list[float]
    criteria: list[float]
    errors: list[float]


@dataclass(frozen=True)
class HeadFit:
    """A fitted head: `weight`, `(K, D)`, and `bias`, `(K,)`, for unscaled features."""

    weight: Tensor
    bias: Tensor
    choice: PenaltyChoice

    def logits(self, features: Tensor) -> Tensor:
        """Logits, `(N, K)`, of features, `(N, D)`."""
        return features @ self.weight.T + self.bias


def check_folds(recipe: Recipe, splits: Splits) -> None:
    """Raise UsageError if a class has too few images for the recipe's folds."""
    if not recipe.folds:
        return
    images = HeadData.of(splits.train, splits.validation)
    groups_per_class = [
        len(np.unique(images.groups[images.labels == k])) for k in range(images.num_classes)
    ]
    smallest = splits.classes[int(np.argmin(groups_per_class))]
    if recipe.folds > min(groups_per_class):
        raise UsageError(
            f"{recipe.folds}-fold cross-validation needs {recipe.folds} distinct images per class, "
            f"but {smallest} has {min(groups_per_class)} (near-duplicates and groups count once).",
            "Use {settings}, or add images.",
            [("folds", max(2, min(10, *groups_per_class)))],
        )


def fit_head(
    recipe: Recipe, splits: Splits, classifier: Classifier, progress: Progress = no_progress
) -> EpochMetrics:
    """Fit the head of the classifier's network in place; returns the metrics of epoch 0.

    The fit has `recipe.feature_views` rows for each training image. The metrics of train and
    validation are those of the fit to train alone; `refit` is the number of images, validation
    included, that the head was then refitted to, if it was. With `recipe.folds`, `folds` are the
    accuracies of a cross-validation. The stage of `progress` is `features`.
    """
    begin = time.perf_counter()
    train, validation = splits.train, splits.validation
    views = max(1, min(recipe.feature_views, MAX_ROWS // max(1, len(train))))
    (features, validation_views), cached = compute_features(
        recipe, classifier, ((train, views), (validation, 1)), progress
    )
    features_end = time.perf_counter()
    validation_features = validation_views[0] if len(validation) else torch.zeros(0)
    with _threads_for(features):
        head = fit(features, HeadData.of(train), validation_features, validation.labels)
    metrics = _metrics(
        recipe,
        _split_metrics(recipe, head, features[0], train.labels),
        _split_metrics(recipe, head, validation_features, validation.labels)
        if len(validation)
        else None,
    )
    tuning_skipped = recipe.fine_tune and not _could_improve(recipe, metrics)
    tunes = recipe.fine_tune and not tuning_skipped
    images, all_features = HeadData.of(train), features
    if len(validation) and (recipe.folds or not tunes):
        images = HeadData.of(train, validation)
        all_features = torch.cat([features, validation_views.expand(views, -1, -1)], 1)
    folds = refitted = None
    with _threads_for(all_features):
        if recipe.folds:
            folds = tuple(_fold_accuracies(all_features, images, recipe.folds))
        if len(validation) and not tunes:
            head = refit(head, all_features, images)
            refitted = len(images.labels)
        else:
            images = HeadData.of(train)
    _copy_to_network(head, classifier.model)
    end = time.perf_counter()
    fitted = replace(
        _choice_metrics(head.choice),
        views=views,
        kept=cached,
        tuning_skipped=tuning_skipped,
        folds=folds,
        refit=refitted,
        class_weights=_recorded_weights(images),
        features_seconds=features_end - begin,
        head_seconds=end - features_end,
    )
    return replace(metrics, time_seconds=end - begin, head=fitted)


def _metrics(recipe: Recipe, train: SplitMetrics, validation: SplitMetrics | None) -> EpochMetrics:
    """The metrics of epoch 0 without those of the fit."""
    # Epochs are compared with it by what they are selected by.
    after = train.accuracy if recipe.select == "train/accuracy_after" else None
    return EpochMetrics(
        epoch=0,
        step=0,
        time_seconds=0.0,
        lr=0.0,
        train_loss=train.loss,
        train_accuracy=train.accuracy,
        train_cross_entropy=train.cross_entropy,
        validation_loss=validation.loss if validation else None,
        validation_accuracy=validation.accuracy if validation else None,
        validation_cross_entropy=validation.cross_entropy if validation else None,
        train_accuracy_after=after,
    )


def fine_tunes(recipe: Recipe, metrics: EpochMetrics | None) -> bool:
    """Whether the recipe trains the whole network after the head, whose `metrics` these are."""
    skipped = metrics is not None and metrics.head is not None and metrics.head.tuning_skipped
    return recipe.fine_tune and not skipped


def _could_improve(recipe: Recipe, metrics: EpochMetrics) -> bool:
    """Whether an epoch of fine-tuning could be selected over the head."""
    accuracy = metrics.validation_accuracy
    return recipe.select != "validation/accuracy" or accuracy is None or accuracy < 1


@torch.no_grad()
def _copy_to_network(head: HeadFit, model: nn.Module) -> None:
    """Copy the weights of a fit to the head of a network."""
    layer = model.get_submodule(last_layer(model))
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    layer.weight.copy_(head.weight.reshape(layer.weight.shape))
    assert layer.bias is not None
    layer.bias.copy_(head.bias)


def _choice_metrics(choice: PenaltyChoice) -> HeadMetrics:
    """How the penalty was chosen, as metrics of epoch 0."""
    return HeadMetrics(
        penalty=choice.penalty,
        chosen_by=choice.by,
        least=choice.least,
        penalties=PENALTIES[: len(choice.losses)],
        losses=tuple(choice.losses),
        criteria=tuple(choice.criteria),
        errors=tuple(choice.errors),
    )


@contextmanager
def _threads_for(features: Tensor) -> Iterator[None]:
    """One thread for small matrices: two took five times as long, waiting for each other."""
    before = torch.get_num_threads()
    if features.numel() < SINGLE_THREAD_BELOW:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _split_metrics(
    recipe: Recipe, head: HeadFit, features: Tensor, labels: NDArray[np.int64]
) -> SplitMetrics:
    """Loss and accuracy of a split.

    The loss is the recipe's if epochs follow, to be comparable with theirs; else the cross-entropy
    that the head minimises.
    """
    if not recipe.fine_tune:
        recipe = replace(recipe, loss="cross_entropy", output="auto", label_smoothing=0.0)
    return loss_and_accuracy(recipe, head.logits(features), torch.tensor(labels))


def fit(
    features: Tensor,
    images: HeadData,
    validation_features: Tensor,
    validation_labels: NDArray[np.int64],
) -> HeadFit:
    """Fit a head to `features`, `(V, N, D)`: V views of N images.

    The penalty is chosen on the validation features, `(M, D)`, or by cross-validation if N is small
    or M is 0.
    """
    n = len(images.labels)
    regression = LogisticRegression(features, images)
    if n >= CROSS_VALIDATE_BELOW and len(validation_labels):
        by = Message("penalty_by_validation", {"n": len(validation_labels)})
        choice = _choose_penalty([(regression, validation_features, validation_labels)], by)
    else:
        parts = []
        for fold in images.folds(FOLDS):
            rest = np.setdiff1d(np.arange(n), fold)
            if len(fold) and len(np.unique(images.labels[rest])) == images.num_classes:
                without_fold = LogisticRegression(features[:, rest], images.subset(rest))
                parts.append((without_fold, features[0, fold], images.labels[fold]))
        by = Message("penalty_by_folds", {"folds": FOLDS, "n": n})
        if not parts:
            by = Message("penalty_guessed")
        choice = _choose_penalty(parts, by)
    return HeadFit(*regression.solve(choice.penalty), choice)


def refit(head: HeadFit, features: Tensor, images: HeadData) -> HeadFit:
    """Fit a head with the same penalty to more images: features `(V, N, D)`."""
    regression = LogisticRegression(features, images)
    regression.start_from(head.weight, head.bias)
    return HeadFit(*regression.solve(head.choice.penalty), head.choice)


def _choose_penalty(
    parts: list[tuple["LogisticRegression", Tensor, NDArray[np.int64]]], by: Message
) -> PenaltyChoice:
    """The strongest penalty within one standard error of the best on held-out images.

    Each part is a regression with the features, `(M, D)`, and labels of the images held out from
    it. If all held-out predictions are correct, the log-loss alone selects the weakest penalty,
    which is overconfident on images of unknown classes (benchmarks/strangers.py); so one additional
    error is counted. The search stops when the criterion has risen twice.
    """
    middle = PENALTIES[len(PENALTIES) // 2]
    if not parts:
        return PenaltyChoice(middle, middle, by, [], [], [])
    labels = np.concatenate([part_labels for _, _, part_labels in parts])
    smoothing = smoothing_for(len(labels))
    losses, smoothed = [], np.zeros((0, len(labels)))
    for penalty in PENALTIES:
        outputs = []
        for regression, features, _ in parts:
            weight, bias = regression.solve(penalty)
            outputs.append(features @ weight.T + bias)
        logits = torch.cat(outputs).numpy()
        losses.append(float(log_losses(logits, labels).mean()))
        smoothed = np.vstack([smoothed, log_losses(logits, labels, smoothing)])
        means = smoothed.mean(1)
        if len(means) > 2 and means[-1] > means[-2] > means[-3]:
            break
    chosen, best = PENALTIES[one_standard_error(smoothed)], PENALTIES[int(means.argmin())]
    errors = paired_differences(smoothed)[1]
    return PenaltyChoice(chosen, best, by, losses, means.tolist(), errors.tolist())


class LogisticRegression:
    """Multinomial logistic regression on features `(V, N, D)`, for a sequence of penalties.

    Minimises, to convergence, the mean cross-entropy plus penalty / 2 times the squared weights, on
    features that are centred and divided by one scale so that their mean square is 1. Classes are
    weighted equally if the largest has at least twice the images of the smallest. With fewer rows
    than features the problem is solved in the span of the rows, which has the same solution. Each
    solution starts from the one before it.
    """

    def __init__(self, features: Tensor, images: HeadData) -> None:
        rows, self.num_classes = features.flatten(0, 1), images.num_classes
        self.targets = torch.tensor(images.labels).repeat(len(features))
        self.mean = rows.mean(0)
        centred = rows - self.mean
        self.scale = centred.square().mean().sqrt().clamp_min(1e-6)
        centred /= self.scale
        self.basis: Tensor | None = None
        if len(rows) < rows.shape[1]:
            values, vectors = torch.linalg.eigh((centred @ centred.T).double())
            positive = values > values[-1].clamp_min(0) * 1e-9
            roots, vectors = values[positive].sqrt().float(), vectors[:, positive].float()
            self.basis = centred.T @ vectors / roots
            centred = vectors * roots
        self.rows = centred
        self.row_weights = torch.tensor(_class_weights(images), dtype=torch.float32)[self.targets]
        self.solution = np.zeros(self.num_classes * (centred.shape[1] + 1))

    def start_from(self, weight: Tensor, bias: Tensor) -> None:
        """Start the next solution from a fit to similar images: it takes fewer steps."""
        scaled = weight * self.scale
        if self.basis is not None:
            scaled = scaled @ self.basis
        joined = torch.cat([scaled, (bias + weight @ self.mean)[:, None]], 1)
        self.solution = joined.double().flatten().numpy()

    def solve(self, penalty: float) -> tuple[Tensor, Tensor]:
        """The fit's weight, `(K, D)`, and bias, `(K,)`, for unscaled features."""
        from scipy.optimize import minimize  # slow to import, and needed here alone

        options = {"maxiter": 300, "gtol": 1e-5, "ftol": 1e-9}
        arguments = (self._cost, self.solution, (penalty,), "L-BFGS-B")
        self.solution = minimize(*arguments, jac=True, options=options).x
        joined = torch.from_numpy(self.solution).float().reshape(self.num_classes, -1)
        weight = joined[:, :-1] if self.basis is None else joined[:, :-1] @ self.basis.T
        weight = weight / self.scale
        return weight, joined[:, -1] - weight @ self.mean

    def _cost(self, flat: NDArray[np.float64], penalty: float) -> tuple[float, NDArray[np.float64]]:
        """The objective and its gradient."""
        joined = torch.from_numpy(flat).float().reshape(self.num_classes, -1)
        weight, bias = joined[:, :-1], joined[:, -1]
        log_probabilities = F.log_softmax(self.rows @ weight.T + bias, 1)
        of_label = log_probabilities.gather(1, self.targets[:, None])[:, 0]
        nll = -(of_label * self.row_weights).double().mean()
        loss = nll + penalty / 2 * weight.square().sum()
        error = log_probabilities.exp()
        error[torch.arange(len(error)), self.targets] -= 1
        error *= (self.row_weights / len(error))[:, None]
        gradient = torch.cat([error.T @ self.rows + penalty * weight, error.sum(0)[:, None]], 1)
        return loss.item(), gradient.double().flatten().numpy()


def _class_weights(images: HeadData) -> NDArray[np.float64]:
    """The weight of an image of each class, `(K,)`: 1, or balanced if class sizes differ much."""
    counts = np.bincount(images.labels, minlength=images.num_classes).clip(1)
    if counts.max() < MAX_CLASS_RATIO * counts.min():
        return np.ones(images.num_classes)
    return len(images.labels) / (images.num_classes * counts)


def _recorded_weights(images: HeadData) -> tuple[float, ...] | None:
    """The weight of each class if they differ."""
    weights = _class_weights(images)
    return tuple(weights.tolist()) if weights.min() < weights.max() else None


def _fold_accuracies(features: Tensor, images: HeadData, count: int) -> list[float]:
    """The accuracy on each of `count` folds of a head fitted to the other folds.

    Each fit chooses its own penalty, by its own images.
    """
    accuracies = []
    for fold in images.folds(count):
        rest = np.setdiff1d(np.arange(len(images.labels)), fold)
        no_labels = np.zeros(0, dtype=np.int64)
        head = fit(features[:, rest], images.subset(rest), torch.zeros(0), no_labels)
        predicted = head.logits(features[0, fold]).argmax(1).numpy()
        accuracies.append(float((predicted == images.labels[fold]).mean()))
    return accuracies
