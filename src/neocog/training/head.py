"""A network that knows images already: its features once, and a last layer fitted to them.

The last layer is multinomial logistic regression with an L2 penalty, fitted to convergence. The
penalty is chosen by the log-loss on validation, or by cross-validation where there are few images
to train on: of those that are equally good, the strongest. Once it is chosen, the last layer is
fitted to train and validation together, unless the whole network is trained after it: that selects
by validation, which must stay unseen.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from neocog.classifier import Classifier
from neocog.data import ImageSet, Splits
from neocog.data.splits import folds
from neocog.errors import UsageError
from neocog.metrics.selection import differences, first_of_equals, log_losses, one_more_wrong
from neocog.models.pretrained import last_layer
from neocog.recipes import Recipe
from neocog.training.features import compute_features
from neocog.training.loss import loss_and_accuracy

PENALTIES = tuple(10.0 ** (power / 2) for power in range(0, -10, -1))  # 1 to 3e-5: largest first
FEW = 500  # images to train on, below which the penalty is chosen by cross-validation
FOLDS = 5
SMALL = 5_000_000  # features in all, below which a fit is too small to be shared by threads
UNBALANCED = 2.0  # times as many images in the largest class as in the smallest: classes weigh
MOST_ROWS = 10_000  # further views of an image help where there are few images

Step = Callable[[int, int], None]  # told (images done, images in all)


@dataclass(frozen=True)
class HeadData:
    """What is known of the images that a fit is made to, beside their features.

    `names` decide the folds; images with one number in `groups` stay in one fold.
    """

    labels: NDArray[np.int64]
    names: tuple[str, ...]
    groups: NDArray[np.int64]
    num_classes: int

    @staticmethod
    def of(*parts: ImageSet) -> "HeadData":
        """What is known of the images of some splits, one after the other."""
        labels = np.concatenate([part.labels for part in parts])
        names = tuple(path for part in parts for path in part.paths)
        groups = np.concatenate([part.groups for part in parts])
        return HeadData(
            labels,
            names or tuple(map(str, range(len(labels)))),
            groups if len(groups) else np.arange(len(labels)),
            len(parts[0].classes),
        )

    def subset(self, which: NDArray[np.int64]) -> "HeadData":
        """What is known of the images at `which`."""
        names = tuple(self.names[n] for n in which)
        return HeadData(self.labels[which], names, self.groups[which], self.num_classes)

    def folds(self, count: int) -> list[NDArray[np.int64]]:
        """`count` parts of about equal size, groups kept together, every class in proportion."""
        return folds(self.names, self.labels, self.groups, count)


@dataclass(frozen=True)
class Choice:
    """A penalty, and how each of `PENALTIES` that was tried did on held-out images.

    `losses` are the mean log-losses; `criteria` the same with one more image counted as wrong, by
    which `least` is the best penalty; `errors` the standard errors of the criteria's differences
    from the best. `penalty` is the strongest within one of them. `by` says what was held out.
    """

    penalty: float
    least: float
    by: str
    losses: list[float]
    criteria: list[float]
    errors: list[float]


@dataclass(frozen=True)
class HeadFit:
    """A fitted last layer: `weight` K x D and `bias` K for features as they come."""

    weight: Tensor
    bias: Tensor
    choice: Choice

    def logits(self, features: Tensor) -> Tensor:
        """Logits N x K for features N x D."""
        return features @ self.weight.T + self.bias


def check_folds(recipe: Recipe, splits: Splits) -> None:
    """Raise UsageError where there are too few images for the recipe's folds."""
    if not recipe.folds:
        return
    known = HeadData.of(splits.train, splits.validation)
    inside = [len(np.unique(known.groups[known.labels == k])) for k in range(known.num_classes)]
    least = splits.classes[int(np.argmin(inside))]
    if recipe.folds > min(inside):
        raise UsageError(
            f"{recipe.folds} folds need as many images of every class, near-duplicates and "
            f"groups counting once, and {least} has {min(inside)}.",
            f"Say: --folds {max(2, min(10, *inside))}, or add images.",
        )


def fit_head(
    recipe: Recipe, splits: Splits, classifier: Classifier, step: Step | None = None
) -> dict[str, Any]:
    """Fit the last layer of the classifier's network, in place, and give the epoch's line of it.

    `recipe.feature_views` views of each training image are rows of the fit; with `recipe.folds`
    the line has the accuracy of as many fits, each judged on the images that it has not seen.
    The line's figures of train and validation are of the fit to train alone; where `head/refit` is
    there, the last layer was then fitted to so many images, validation's among them.
    """
    begin = time.perf_counter()
    train, validation = splits.train, splits.validation
    views = max(1, min(recipe.feature_views, MOST_ROWS // max(1, len(train))))
    total = len(train) * views + len(validation)
    told = 0

    def tell(count: int) -> None:
        nonlocal told
        told += count
        if step:
            step(told, total)

    (seen, held), kept = compute_features(
        recipe, classifier, ((train, views), (validation, 1)), tell
    )
    between = time.perf_counter()
    held_rows = held[0] if len(validation) else torch.zeros(0)
    with _threads_for(seen):
        found = fit(seen, HeadData.of(train), held_rows, validation.labels)
    line: dict[str, Any] = {"epoch": 0, "step": 0, "time_seconds": 0.0, "lr": 0.0}
    line |= _figures(recipe, found, "train", seen[0], train.labels)
    line |= _figures(recipe, found, "validation", held_rows, validation.labels)
    line |= _chosen(found.choice) | {"head/views": views, "head/kept": kept}
    if recipe.select == "train/accuracy_after":  # an epoch is measured against it
        line[recipe.select] = line["train/accuracy"]
    if recipe.fine_tune and not _could_improve(recipe, line):
        line["head/tuning_skipped"] = True
    known, both = HeadData.of(train), seen
    if len(validation) and (recipe.folds or not fine_tunes(recipe, line)):
        known = HeadData.of(train, validation)
        both = torch.cat([seen, held.expand(views, -1, -1)], 1)
    with _threads_for(both):
        if recipe.folds:
            line["folds"] = _fold_accuracies(both, known, recipe.folds)
        if len(validation) and not fine_tunes(recipe, line):
            found = refit(found, both, known)
            line["head/refit"] = len(known.labels)
        else:
            known = HeadData.of(train)
    weights = _weights_by_class(known)
    if weights.min() < weights.max():
        line["head/class_weights"] = weights.tolist()
    _put(found, classifier.model)
    end = time.perf_counter()
    return line | {
        "time_seconds": end - begin,
        "features_seconds": between - begin,
        "head_seconds": end - between,
    }


def fine_tunes(recipe: Recipe, line: dict[str, Any]) -> bool:
    """Whether the whole network is trained after the fit of the last layer that has this line."""
    return recipe.fine_tune and not line.get("head/tuning_skipped")


def _could_improve(recipe: Recipe, line: dict[str, Any]) -> bool:
    """Whether the recipe could select an epoch over the fit of the last layer."""
    return recipe.select != "validation/accuracy" or line[recipe.select] < 1


@torch.no_grad()
def _put(found: HeadFit, model: nn.Module) -> None:
    """Make a fit the last layer of a network."""
    last = model.get_submodule(last_layer(model))
    assert isinstance(last, nn.Linear | nn.Conv2d)
    last.weight.copy_(found.weight.reshape(last.weight.shape))
    assert last.bias is not None
    last.bias.copy_(found.bias)


def _chosen(choice: Choice) -> dict[str, Any]:
    """What an epoch's line says of how the penalty was chosen."""
    return {
        "head/penalty": choice.penalty,
        "head/chosen_by": choice.by,
        "head/least": choice.least,
        "head/penalties": list(PENALTIES[: len(choice.losses)]),
        "head/losses": choice.losses,
        "head/criteria": choice.criteria,
        "head/errors": choice.errors,
    }


@contextmanager
def _threads_for(seen: Tensor) -> Iterator[None]:
    """One thread where the matrices are small: two took five times as long, by waiting."""
    before = torch.get_num_threads()
    if seen.numel() < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _figures(
    recipe: Recipe, found: HeadFit, split: str, features: Tensor, labels: NDArray[np.int64]
) -> dict[str, float]:
    """A split's loss and accuracy: the loss of the epochs that follow, else the fit's own."""
    if not len(labels):
        return {}
    if not recipe.fine_tune:
        recipe = replace(recipe, loss="cross_entropy", output="auto", label_smoothing=0.0)
    return loss_and_accuracy(recipe, split, found.logits(features), torch.tensor(labels))


def fit(seen: Tensor, known: HeadData, held: Tensor, truth: NDArray[np.int64]) -> HeadFit:
    """The best last layer for features V x N x D, V views of N images.

    The penalty is chosen by `held`, J x D, and their labels `truth`, or where N is small by
    cross-validation.
    """
    n = len(known.labels)
    whole = Problem(seen, known)
    if n >= FEW and len(truth):
        by = f"the log-loss on {len(truth):,} validation images"
        choice = _choice([(whole, held, truth)], by)
    else:
        parts = []
        for part in known.folds(FOLDS):
            rest = np.setdiff1d(np.arange(n), part)
            if len(part) and len(np.unique(known.labels[rest])) == known.num_classes:
                inside = Problem(seen[:, rest], known.subset(rest))
                parts.append((inside, seen[0, part], known.labels[part]))
        by = f"{FOLDS}-fold cross-validation on {n:,} training images"
        if not parts:
            by = "a guess, since there are too few images to hold any out"
        choice = _choice(parts, by)
    return HeadFit(*whole.solve(choice.penalty), choice)


def refit(found: HeadFit, seen: Tensor, known: HeadData) -> HeadFit:
    """A fit with the same penalty to more images, V x N x D."""
    whole = Problem(seen, known)
    whole.begin_at(found.weight, found.bias)
    return HeadFit(*whole.solve(found.choice.penalty), found.choice)


def _choice(parts: list[tuple["Problem", Tensor, NDArray[np.int64]]], by: str) -> Choice:
    """The strongest penalty that is as good as the best on images held out.

    Each part is a problem, and features J x D and labels to judge it by. Where the images held
    out are all right, log-loss alone would take the weakest penalty, and be as sure of strangers
    (benchmarks/strangers.py); so one image more is counted as wrong. Smaller penalties are not
    tried when the criterion has risen twice.
    """
    middle = PENALTIES[len(PENALTIES) // 2]
    if not parts:
        return Choice(middle, middle, by, [], [], [])
    truth = np.concatenate([labels for _, _, labels in parts])
    smoothing = one_more_wrong(len(truth))
    losses, smoothed = [], np.zeros((0, len(truth)))
    for penalty in PENALTIES:
        outputs = []
        for problem, judged, _ in parts:
            weight, bias = problem.solve(penalty)
            outputs.append(judged @ weight.T + bias)
        logits = torch.cat(outputs).numpy()
        losses.append(float(log_losses(logits, truth).mean()))
        smoothed = np.vstack([smoothed, log_losses(logits, truth, smoothing)])
        means = smoothed.mean(1)
        if len(means) > 2 and means[-1] > means[-2] > means[-3]:
            break
    chosen, best = PENALTIES[first_of_equals(smoothed)], PENALTIES[int(means.argmin())]
    errors = differences(smoothed)[1]
    return Choice(chosen, best, by, losses, means.tolist(), errors.tolist())


class Problem:
    """Multinomial logistic regression on features V x N x D, for one penalty after another.

    Minimised, to convergence: the mean cross-entropy plus penalty / 2 times the squared weights,
    for features centred and divided by one number so that their mean square is 1. Classes weigh the
    same where one has twice another's images or more. With fewer rows than features the problem
    is solved in the rows' own span, which has the same solution. Each solution begins at the one
    before it.
    """

    def __init__(self, seen: Tensor, known: HeadData) -> None:
        rows, self.classes = seen.flatten(0, 1), known.num_classes
        self.targets = torch.tensor(known.labels).repeat(len(seen))
        self.mean = rows.mean(0)
        centred = rows - self.mean
        self.scale = centred.square().mean().sqrt().clamp_min(1e-6)
        centred /= self.scale
        self.basis: Tensor | None = None
        if len(rows) < rows.shape[1]:
            values, vectors = torch.linalg.eigh((centred @ centred.T).double())
            some = values > values[-1].clamp_min(0) * 1e-9
            roots, vectors = values[some].sqrt().float(), vectors[:, some].float()
            self.basis = centred.T @ vectors / roots
            centred = vectors * roots
        self.rows = centred
        self.weights = torch.tensor(_weights_by_class(known), dtype=torch.float32)[self.targets]
        self.at = np.zeros(self.classes * (centred.shape[1] + 1))

    def begin_at(self, weight: Tensor, bias: Tensor) -> None:
        """Begin the next solution at a fit of similar images: it takes fewer steps."""
        inner = weight * self.scale
        if self.basis is not None:
            inner = inner @ self.basis
        both = torch.cat([inner, (bias + weight @ self.mean)[:, None]], 1)
        self.at = both.double().flatten().numpy()

    def solve(self, penalty: float) -> tuple[Tensor, Tensor]:
        """(weight K x D, bias K) of the fit, for features as they come."""
        from scipy.optimize import minimize  # the fit alone needs it

        options = {"maxiter": 300, "gtol": 1e-5, "ftol": 1e-9}
        arguments = (self._cost, self.at, (penalty,), "L-BFGS-B")
        self.at = minimize(*arguments, jac=True, options=options).x
        both = torch.from_numpy(self.at).float().reshape(self.classes, -1)
        weight = both[:, :-1] if self.basis is None else both[:, :-1] @ self.basis.T
        weight = weight / self.scale
        return weight, both[:, -1] - weight @ self.mean

    def _cost(self, flat: NDArray[np.float64], penalty: float) -> tuple[float, NDArray[np.float64]]:
        """What is minimised, and its slope."""
        both = torch.from_numpy(flat).float().reshape(self.classes, -1)
        weight, bias = both[:, :-1], both[:, -1]
        log_shares = F.log_softmax(self.rows @ weight.T + bias, 1)
        right = log_shares.gather(1, self.targets[:, None])[:, 0]
        loss = -(right * self.weights).double().mean() + penalty / 2 * weight.square().sum()
        error = log_shares.exp()
        error[torch.arange(len(error)), self.targets] -= 1
        error *= (self.weights / len(error))[:, None]
        slope = torch.cat([error.T @ self.rows + penalty * weight, error.sum(0)[:, None]], 1)
        return loss.item(), slope.double().flatten().numpy()


def _weights_by_class(known: HeadData) -> NDArray[np.float64]:
    """How much an image of each class weighs, K: 1, or what makes all classes count the same."""
    counts = np.bincount(known.labels, minlength=known.num_classes).clip(1)
    if counts.max() < UNBALANCED * counts.min():
        return np.ones(known.num_classes)
    return len(known.labels) / (known.num_classes * counts)


def _fold_accuracies(seen: Tensor, known: HeadData, count: int) -> list[float]:
    """The accuracies of `count` fits, each on the images that it was not made to.

    Every fit chooses its penalty by itself, from the images that it is made to.
    """
    found = []
    for part in known.folds(count):
        rest = np.setdiff1d(np.arange(len(known.labels)), part)
        none = np.zeros(0, dtype=np.int64)
        made = fit(seen[:, rest], known.subset(rest), torch.zeros(0), none)
        answers = made.logits(seen[0, part]).argmax(1).numpy()
        found.append(float((answers == known.labels[part]).mean()))
    return found
