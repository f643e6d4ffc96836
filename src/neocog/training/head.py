"""Transfer learning: the head of a pretrained network, fitted to the features of its backbone.

The head is multinomial logistic regression with an L2 penalty, fitted to convergence. The penalty
is chosen by the log-loss on validation, or by cross-validation if there are few training images; of
equally good penalties, the strongest. The head is then refitted to train and validation together,
unless the whole network is fine-tuned after it: fine-tuning selects by validation, which must stay
unseen.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from neocog.data import ImageSet, Splits
from neocog.data.splits import folds
from neocog.messages import Message
from neocog.metrics.selection import (
    log_losses,
    one_standard_error,
    paired_differences,
    smoothing_for,
)
from neocog.recipes import Recipe
from neocog.records import EpochMetrics, HeadMetrics
from neocog.training.split_metrics import Floats, Labels, SplitMetrics

PENALTIES = tuple(10.0 ** (power / 2) for power in range(0, -10, -1))  # 1 to 3e-5: largest first
CROSS_VALIDATE_BELOW = 500  # training images
FOLDS = 5
SINGLE_THREAD_BELOW = 5_000_000  # values in the feature matrix
MAX_CLASS_RATIO = 2.0  # of the largest class to the smallest, from which on classes are weighted
MAX_ROWS = 10_000  # augmented views help if there are few images

Measure = Callable[[Floats, Labels], SplitMetrics]  # of logits (N, K) and labels (N,)


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

    weight: Floats
    bias: Floats
    choice: PenaltyChoice

    def logits(self, features: Floats) -> Floats:
        """Logits, `(N, K)`, of features, `(N, D)`."""
        return features @ self.weight.T + self.bias


def views_of(recipe: Recipe, images: int) -> int:
    """The number of rows in the fit for each of so many training images."""
    return max(1, min(recipe.feature_views, MAX_ROWS // max(1, images)))


def fit_to_features(
    recipe: Recipe, splits: Splits, features: Sequence[Floats], measure: Measure
) -> tuple[HeadFit, EpochMetrics]:
    """Fit a head; returns it with the metrics of epoch 0.

    `features` are those of train, `(V, N, D)`, and of validation, `(1, M, D)`. The metrics of train
    and validation, which `measure` computes, are those of the fit to train alone; `refit` is the
    number of images, validation included, that the head was then refitted to, if it was. With
    `recipe.folds`, `folds` are the accuracies of a cross-validation.
    """
    begin = time.perf_counter()
    train, validation = splits.train, splits.validation
    seen, held_out = features
    views = len(seen)
    with _threads_for(seen):
        head = fit(seen, HeadData.of(train), held_out[0], validation.labels)
    metrics = _metrics(
        recipe,
        measure(head.logits(seen[0]), train.labels),
        measure(head.logits(held_out[0]), validation.labels) if len(validation) else None,
    )
    tuning_skipped = recipe.fine_tune and not _could_improve(recipe, metrics)
    tunes = recipe.fine_tune and not tuning_skipped
    images = HeadData.of(train)
    folds = refitted = None
    if len(validation) and (recipe.folds or not tunes):
        images = HeadData.of(train, validation)
        seen = np.concatenate([seen, np.repeat(held_out, views, axis=0)], 1)
    with _threads_for(seen):
        if recipe.folds:
            folds = tuple(_fold_accuracies(seen, images, recipe.folds))
        if len(validation) and not tunes:
            head = refit(head, seen, images)
            refitted = len(images.labels)
        else:
            images = HeadData.of(train)
    fitted = replace(
        _choice_metrics(head.choice),
        views=views,
        tuning_skipped=tuning_skipped,
        folds=folds,
        refit=refitted,
        class_weights=_recorded_weights(images),
        head_seconds=time.perf_counter() - begin,
    )
    return head, replace(metrics, head=fitted)


def with_features(metrics: EpochMetrics, cached: int, seconds: float) -> EpochMetrics:
    """Add to the metrics of a fit how its features came: how many were kept, and how long it took.

    `seconds` are from the beginning until they were there.
    """
    assert metrics.head is not None
    head = replace(metrics.head, kept=cached, features_seconds=seconds)
    return replace(metrics, head=head, time_seconds=seconds + head.head_seconds)


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
def _threads_for(features: Floats) -> Iterator[None]:
    """One thread for small matrices: two took five times as long, waiting for each other."""
    if features.size >= SINGLE_THREAD_BELOW:
        yield
        return
    import scipy.optimize  # noqa: F401 - it has its own BLAS, which is limited only if loaded
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


def fit(
    features: Floats,
    images: HeadData,
    validation_features: Floats,
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


def refit(head: HeadFit, features: Floats, images: HeadData) -> HeadFit:
    """Fit a head with the same penalty to more images: features `(V, N, D)`."""
    regression = LogisticRegression(features, images)
    regression.start_from(head.weight, head.bias)
    return HeadFit(*regression.solve(head.choice.penalty), head.choice)


def _choose_penalty(
    parts: list[tuple["LogisticRegression", Floats, NDArray[np.int64]]], by: Message
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
        logits = np.concatenate(outputs)
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

    def __init__(self, features: Floats, images: HeadData) -> None:
        rows, self.num_classes = features.reshape(-1, features.shape[-1]), images.num_classes
        self.targets = np.tile(images.labels, len(features))
        self.mean = rows.mean(0, dtype=np.float64).astype(np.float32)
        centred = rows - self.mean
        mean_square = np.square(centred).mean(dtype=np.float64)
        self.scale = np.float32(max(np.sqrt(mean_square), 1e-6))
        centred /= self.scale
        self.basis: Floats | None = None
        if len(rows) < rows.shape[1]:
            values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
            positive = values > max(values[-1], 0) * 1e-9
            roots = np.sqrt(values[positive]).astype(np.float32)
            vectors = vectors[:, positive].astype(np.float32)
            self.basis = centred.T @ vectors / roots
            centred = vectors * roots
        self.rows: Floats = centred
        self.row_weights = _class_weights(images).astype(np.float32)[self.targets]
        self.solution = np.zeros(self.num_classes * (centred.shape[1] + 1))

    def start_from(self, weight: Floats, bias: Floats) -> None:
        """Start the next solution from a fit to similar images: it takes fewer steps."""
        scaled = weight * self.scale
        if self.basis is not None:
            scaled = scaled @ self.basis
        joined = np.column_stack([scaled, bias + weight @ self.mean])
        self.solution = joined.astype(np.float64).ravel()

    def solve(self, penalty: float) -> tuple[Floats, Floats]:
        """The fit's weight, `(K, D)`, and bias, `(K,)`, for unscaled features."""
        from scipy.optimize import minimize  # slow to import, and needed here alone

        options = {"maxiter": 300, "gtol": 1e-5, "ftol": 1e-9}
        arguments = (self._cost, self.solution, (penalty,), "L-BFGS-B")
        self.solution = minimize(*arguments, jac=True, options=options).x
        joined = self.solution.astype(np.float32).reshape(self.num_classes, -1)
        weight: Floats = joined[:, :-1] if self.basis is None else joined[:, :-1] @ self.basis.T
        weight = weight / self.scale
        bias: Floats = joined[:, -1] - weight @ self.mean
        return weight, bias

    def _cost(self, flat: NDArray[np.float64], penalty: float) -> tuple[float, NDArray[np.float64]]:
        """The objective and its gradient; matrix products are of float32."""
        joined = flat.astype(np.float32).reshape(self.num_classes, -1)
        weight, bias = joined[:, :-1], joined[:, -1]
        logits = self.rows @ weight.T + bias
        logits -= logits.max(1, keepdims=True)
        error = np.exp(logits)  # becomes the gradient by the logits
        sums = error.sum(1, keepdims=True)
        every = np.arange(len(logits))
        of_label = logits[every, self.targets] - np.log(sums[:, 0])
        nll = -(of_label * self.row_weights).mean(dtype=np.float64)
        loss = float(nll + penalty / 2 * np.square(weight).sum())
        error /= sums
        error[every, self.targets] -= 1
        error *= (self.row_weights / len(error))[:, None]
        gradient = np.column_stack([error.T @ self.rows + penalty * weight, error.sum(0)])
        return loss, gradient.astype(np.float64).ravel()


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


def _fold_accuracies(features: Floats, images: HeadData, count: int) -> list[float]:
    """The accuracy on each of `count` folds of a head fitted to the other folds.

    Each fit chooses its own penalty, by its own images.
    """
    accuracies = []
    for fold in images.folds(count):
        rest = np.setdiff1d(np.arange(len(images.labels)), fold)
        no_labels = np.zeros(0, dtype=np.int64)
        head = fit(features[:, rest], images.subset(rest), features[0, :0], no_labels)
        predicted = head.logits(features[0, fold]).argmax(1)
        accuracies.append(float((predicted == images.labels[fold]).mean()))
    return accuracies
