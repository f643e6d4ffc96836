"""A classifier against a test split: the one place where test pictures are used."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neocog import data
from neocog.classifier import Classifier, load, model_path
from neocog.data import ImageSet, Preprocessing, Splits
from neocog.data.images import Images
from neocog.errors import NeocogError, UsageError
from neocog.metrics.accuracy import class_scores, confusion_matrix, wilson_interval
from neocog.metrics.calibration import doubt
from neocog.metrics.rejection import rejection_for_error
from neocog.recipes import Recipe
from neocog.runs import Run, of_model_file, runs_folder, shown_as

FEW, THIN = 100, 5  # pictures in all, and of a class, below which an accuracy says little
MISTAKES = 20  # wrong answers that are listed
# Findings that matter to those who train on the pictures, not to those who judge by them.
ABOUT_TRAINING = ("near_duplicates", "few_pictures", "imbalance", "one_class")
REJECTION_ERRORS = (0.01, 0.005)  # those that the papers state their rejections for


@dataclass(frozen=True)
class Evaluation:
    """What a test split said, and the pictures it was said of.

    `result` is the JSON value that `--json` prints and a run keeps. `probabilities` is N x K, what
    `classifier` gave.
    `notes` are sentences that the reader of the number must know. `run` is the run folder where
    this is the run's own test split, else None; `train` are then the pictures that it was made of.
    """

    result: dict[str, Any]
    test: ImageSet
    probabilities: NDArray[np.float32]
    notes: tuple[str, ...]
    classifier: Classifier
    run: Run | None
    train: ImageSet | None = None


def evaluate(
    run: str | Path,
    data_name: str | None = None,
    *,
    runs_dir: Path | None = None,
    device: str = "auto",
    allow_outside: bool = False,
) -> Evaluation:
    """Judge a run, `latest` or a model file on its own test split, or on another data set's.

    `data_name` is a data set's name or a person's own pictures, all of which are used unless they
    are split; `allow_outside` is as in a recipe. Classes are matched by name. On its own test split
    the result is kept in the run folder and in the model file. Raises UsageError for classes that
    the classifier does not know, NeocogError where the data are missing or have changed.
    """
    path = model_path(str(run), runs_folder(runs_dir))
    classifier = load(path, device=device)
    trained_on = str(classifier.facts.get("data", {}).get("name", ""))
    begin = time.perf_counter()
    own = data_name is None or _same_data(data_name, trained_on)
    train = None
    notes: tuple[str, ...] = ()
    if own:
        splits = own_splits(classifier, trained_on, allow_outside)
        test, train, split = splits.test, splits.train, "test"
    else:
        test, split, notes = _other_test(classifier, str(data_name), allow_outside)
    notes = (*notes, *_about_size(test))
    middle = time.perf_counter()
    scores = classifier.scores(test.images)
    probabilities = classifier.as_probabilities(scores)
    seconds = {"data": middle - begin, "evaluation": time.perf_counter() - middle}
    owner = of_model_file(path)
    result = {
        "run": shown_as(path),
        "recipe": classifier.facts.get("recipe", {}).get("name"),
        "model": classifier.architecture["name"],
        "data": trained_on if own else data_name,
        "split": split,
        **judge(test, probabilities),
        "rejection": _rejection(classifier, test, scores.numpy(), probabilities),
        "parameters": sum(p.numel() for p in classifier.model.parameters() if p.requires_grad),
        "notes": list(notes),
        "mistakes": _worst_mistakes(test, probabilities),
        "time_seconds": {**seconds, "training": 0.0, "total": sum(seconds.values())},
    }
    own_run = owner if own else None
    if own_run:
        result |= _training_facts(own_run, classifier, seconds)
        own_run.write_evaluation(result)
        if test.paths:
            own_run.write_predictions(test.classes, test.paths, test.labels.tolist(), probabilities)
        measured = {key: result[key] for key in ("split", "n", "accuracy", "interval")}
        if classifier.facts.get("measured") != measured:
            classifier.facts["measured"] = measured
            classifier.save(path)
    return Evaluation(result, test, probabilities, notes, classifier, own_run, train)


def _about_size(test: ImageSet) -> list[str]:
    """Sentences about too few pictures, in all or of a class."""
    notes = []
    if len(test) < FEW:
        notes.append(f"{len(test)} pictures are too few for a number that means much")
    counts = np.bincount(test.labels, minlength=len(test.classes))
    thin = [f"{c} ({n})" for c, n in zip(test.classes, counts, strict=True) if 0 < n < THIN]
    if thin:
        named = ", ".join(thin[:5])
        notes.append(f"{named}: so few pictures that what is said of these classes is chance")
    return notes


def _training_facts(run: Run, classifier: Classifier, seconds: dict[str, float]) -> dict[str, Any]:
    """How the run was trained: what `neocog train --json` adds to an evaluation."""
    metrics = run.read_metrics()
    head = next((line for line in metrics if line["epoch"] == 0), None)
    spent = {
        "data": run.read_environment()["read_seconds"],
        "training": metrics[-1]["time_seconds"],
        "evaluation": seconds["evaluation"],
    }
    folds = {}
    if head and "folds" in head:
        sizes = run.read_environment()["data"]["sizes"]
        pictures = {"pictures": sizes["train"] + sizes["validation"]}
        folds = {"folds": {**spread_of(head["folds"]), **pictures}}
    return folds | {
        "epochs": metrics[-1]["epoch"],
        "selected_epoch": classifier.facts["selected"]["epoch"],
        "selected_by": classifier.facts["selected"]["by"],
        "time_seconds": {**spent, "total": sum(spent.values())},
    }


def _rejection(
    classifier: Classifier,
    test: ImageSet,
    scores: NDArray[np.float32],
    probabilities: NDArray[np.float32],
) -> list[dict[str, Any]]:
    """What share would have to be refused for few of the answers to be wrong, as JSON.

    By the largest probability; for a network whose paper does so, by the largest output.
    """
    by_output = getattr(classifier.model, "rejects_by_output", False)
    outputs = scores if by_output else probabilities
    correct = probabilities.argmax(1) == test.labels
    found = []
    for error in REJECTION_ERRORS:
        share = rejection_for_error(outputs.max(1), correct, error)
        if share and (1 - share[0]) * len(test) * error < 1:
            share = None  # so few answers that one mistake would be too many: nothing is known
        found.append(
            {
                "error": error,
                "rejected": share[0] if share else 1.0,
                "by": "output" if by_output else "probability",
                "threshold": share[1] if share else None,
            }
        )
    return found


def spread_of(accuracies: list[float]) -> dict[str, Any]:
    """Mean and standard deviation of the accuracies of several folds, as JSON."""
    std = float(np.std(accuracies, ddof=1))
    return {
        "n": len(accuracies),
        "mean": float(np.mean(accuracies)),
        "std": std,
        "each": accuracies,
    }


def _worst_mistakes(test: ImageSet, probabilities: NDArray[np.float32]) -> list[dict[str, Any]]:
    """The most confident wrong answers, as JSON; empty where the pictures have no paths."""
    predicted = probabilities.argmax(1)
    wrong = np.nonzero(predicted != test.labels)[0] if test.paths else np.zeros(0, np.int64)
    worst = wrong[np.argsort(doubt(probabilities[wrong]), kind="stable")][:MISTAKES]
    return [
        {
            "path": test.paths[n],
            "label": test.classes[test.labels[n]],
            "predicted": test.classes[predicted[n]],
            "probability": float(probabilities[n, predicted[n]]),
        }
        for n in worst
    ]


def judge(test: ImageSet, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """Accuracy with its 95% Wilson interval, per-class scores and the confusion matrix, as JSON."""
    predicted = probabilities.argmax(axis=1).astype(np.int64)
    confusion = confusion_matrix(test.labels, predicted, len(test.classes))
    correct = int(np.trace(confusion))
    return {
        "n": len(test),
        "accuracy": correct / len(test),
        "interval": list(wilson_interval(correct, len(test))),
        "per_class": [
            {"class": name, **vars(score)}
            for name, score in zip(test.classes, class_scores(confusion), strict=True)
        ],
        "confusion": confusion.tolist(),
    }


def _same_data(one: str, other: str) -> bool:
    """Whether two data sets' names or folders are the same."""
    if one in data.DATASETS or other in data.DATASETS:
        return one == other
    return Path(one).resolve() == Path(other).resolve()


def own_splits(classifier: Classifier, name: str, allow_outside: bool = False) -> Splits:
    """The splits of the data set `name` that a classifier was made of.

    Raises NeocogError where its file does not say how, or the test pictures have changed.
    """
    if not name or "recipe" not in classifier.facts:
        raise NeocogError(
            "The model file does not say what it was trained on.",
            "Name the data to judge it on: neocog evaluate MODEL DATA",
        )
    recipe = Recipe.from_json(classifier.facts["recipe"])
    if name not in data.DATASETS and not data.exists(name):
        raise NeocogError(
            f"The classifier was trained on {name}, which is not there; its own test pictures are "
            "needed.",
            "Put it back, or judge it on other pictures: neocog evaluate RUN DATA",
        )
    splits = data.load_for(
        replace(recipe, data=name, allow_outside=recipe.allow_outside or allow_outside)
    )
    if splits.test.fingerprint() != classifier.facts["data"]["fingerprints"]["test"]:
        raise NeocogError(
            f"The test pictures of {name} are not those that the run knew.",
            f"Train anew: neocog train {name} --recipe {recipe.name}",
        )
    return splits


def _read_other(
    rule: Preprocessing, name: str, allow_outside: bool
) -> tuple[ImageSet, str, list[str]]:
    """The test pictures of a data set, or a person's own, by their own classes, and notes.

    Of own pictures that are split, those of test are taken, else of validation; else all that are
    fit for use. The second value is what was taken.
    """
    if name in data.DATASETS or not data.exists(name):
        return data.load(name).test, "test", []
    listing = data.list_own(name, allow_outside)
    decoded, diagnosis = data.examine_own(listing, rule)
    found = data.as_set(listing, decoded, diagnosis)
    split = next((s for s in ("test", "validation") if s in listing.splits), "all")
    if split != "all":
        splits = [listing.pictures[n].split for n in diagnosis.kept]
        found = found.subset(np.nonzero(np.array(splits, dtype=object) == split)[0])
    if not len(found):
        raise NeocogError(f"{name} holds no pictures that can be used.")
    notes = [f"judged on what is called {split} there"] if split != "all" else []
    told = [f for f in diagnosis.findings if f.severity != "note" and f.kind not in ABOUT_TRAINING]
    notes += [finding.message for finding in told]
    return found, split, notes


def _other_test(
    classifier: Classifier, name: str, allow_outside: bool
) -> tuple[ImageSet, str, tuple[str, ...]]:
    """Another data set's test split in the classifier's form, what it is called, and notes."""
    found, split, notes = _read_other(classifier.preprocessing, name, allow_outside)
    unknown = [c for c in found.classes if c not in classifier.classes]
    if unknown:
        raise UsageError(
            f"{name} has classes that the classifier does not know: {', '.join(unknown[:5])}"
            f"{' ...' if len(unknown) > 5 else ''}.",
            f"It knows: {', '.join(classifier.classes)}. Leave the others out, or ask it without "
            f"judging: neocog predict RUN {name}",
        )
    place = np.array([classifier.classes.index(c) for c in found.classes], dtype=np.int64)
    fitted, failed = _fitted(classifier, found.images)
    if len(failed):
        notes.append(f"{len(failed)} picture(s) left out: no ink was found in them")
    rest = np.setdiff1d(np.arange(len(found)), failed)
    kept = found.subset(rest)
    test = replace(kept, images=fitted, labels=place[kept.labels], classes=classifier.classes)
    return test, split, (*_about_training(classifier, test), *notes)


def _fitted(classifier: Classifier, images: Images) -> tuple[Images, NDArray[np.int64]]:
    """The pictures in the classifier's size and channels, and the indices of those without ink."""
    rule = classifier.preprocessing
    if images.shape[1:] == (*rule.image_size, rule.channels):
        return images, np.array([], dtype=np.int64)
    fitted, failed = [], []
    for number in range(len(images)):
        image = images[number]
        try:
            fitted.append(rule.fit_picture(np.broadcast_to(image, (*image.shape[:2], 3))))
        except NeocogError:
            failed.append(number)
    return np.stack(fitted), np.array(failed, dtype=np.int64)


def _about_training(classifier: Classifier, test: ImageSet) -> list[str]:
    """What is to be said where pictures were trained on, to the bit, or where nobody knows."""
    facts = classifier.facts
    name = facts.get("data", {}).get("name", "the training data")
    unknown = "whether any of these pictures were trained on"
    try:
        train = data.load_for(Recipe.from_json(facts["recipe"])).train
    except (KeyError, NeocogError):
        return [f"{unknown} cannot be checked: {name} is not here"]
    if train.digests and test.digests:
        seen = len(set(train.digests) & set(test.digests))
    else:
        known = {train.images[n].tobytes() for n in range(len(train))}
        seen = sum(test.images[n].tobytes() in known for n in range(len(test)))
    notes = []
    if seen:
        notes += [
            f"{seen:,} of these {len(test):,} pictures were trained on: the accuracy is too high"
        ]
    if train.fingerprint() != facts.get("data", {}).get("fingerprints", {}).get("train"):
        notes += [f"{unknown} cannot be checked wholly: {name} has changed since"]
    return notes
