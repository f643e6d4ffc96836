"""A classifier against a test split: the one place where test images are used."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
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
from neocog.metrics.calibration import uncertainty
from neocog.metrics.rejection import rejection_for_error
from neocog.recipes import Recipe
from neocog.runs import Run, display_name, of_model_file, runs_folder
from neocog.wording import counted

FEW, THIN = 100, 5  # images in all, and of a class, below which an accuracy says little
MISTAKES = 20  # wrong answers that are listed
# Findings that matter to those who train on the images, not to those who judge by them.
ABOUT_TRAINING = ("near_duplicates", "few_images", "imbalance", "one_class")
# What `--json` says of a last layer's fit, as it stands in the run's metrics.
ABOUT_HEAD = ("penalty", "chosen_by", "least", "refit", "class_weights", "tuning_skipped")
REJECTION_ERRORS = (0.01, 0.005)  # those that the papers state their rejections for


@dataclass(frozen=True)
class Evaluation:
    """What a test split said, and the images it was said of.

    `result` is the JSON value that `--json` prints and a run keeps. `probabilities` is N x K, what
    `classifier` gave.
    `notes` are sentences that the reader of the number must know. `run` is the run folder where
    this is the run's own test split, else None; `train` are then the images that it was made of.
    `recorded` says whether the run folder holds the result, too: it may not be writable.
    """

    result: dict[str, Any]
    test: ImageSet
    probabilities: NDArray[np.float32]
    notes: tuple[str, ...]
    classifier: Classifier
    run: Run | None
    train: ImageSet | None = None
    recorded: bool = False


def evaluate(
    run: str | Path,
    data_name: str | None = None,
    *,
    runs_dir: Path | None = None,
    device: str = "auto",
    allow_outside: bool = False,
    splits: Splits | None = None,
) -> Evaluation:
    """Judge a run, `latest` or a model file on its own test split, or on another data set's.

    `data_name` is a data set's name or a person's own images, all of which are used unless they
    are split; `allow_outside` is as in a recipe. `splits` are the run's own, of a training in this
    process: they are not read again. Classes are matched by name; images of classes
    that the classifier does not know are left out and counted in the notes and in
    `unknown_classes`. On its own test split the result is kept in the run folder and in the model
    file. Raises UsageError where the classifier knows none of the classes, NeocogError where the
    data are missing or have changed.
    """
    path = model_path(str(run), runs_folder(runs_dir))
    owner = of_model_file(path)
    classifier = load(path, device=device)
    classifier, known = _with_place(classifier, path), classifier
    trained_on = str(classifier.facts.get("data", {}).get("name", ""))
    begin = time.perf_counter()
    train = None
    notes: tuple[str, ...] = ()
    unknown: tuple[tuple[str, int], ...] = ()
    splits = _own(classifier, data_name, trained_on, owner is None, allow_outside, splits)
    if splits:
        test, train, split = splits.test, splits.train, "test"
    else:
        other = _other_test(classifier, str(data_name), allow_outside)
        test, split, notes, unknown = other.test, other.split, other.notes, other.unknown
    notes = (*notes, *_about_size(test))
    middle = time.perf_counter()
    scores = classifier.scores(test.images)
    probabilities = classifier.as_probabilities(scores)
    seconds = {"data": middle - begin, "evaluation": time.perf_counter() - middle}
    result = {
        "run": display_name(path),
        "recipe": classifier.facts.get("recipe", {}).get("name"),
        "model": classifier.architecture["name"],
        "data": trained_on if splits else data_name,
        "split": split,
        **judge(test, probabilities),
        "rejection": _rejection(classifier, test, scores.numpy(), probabilities),
        "parameters": sum(p.numel() for p in classifier.model.parameters() if p.requires_grad),
        "notes": list(notes),
        "unknown_classes": [{"class": name, "n": n} for name, n in unknown],
        "mistakes": _worst_mistakes(test, probabilities),
        "time_seconds": {**seconds, "training": 0.0, "total": sum(seconds.values())},
    }
    evaluation = Evaluation(
        result, test, probabilities, notes, known, owner if splits else None, train
    )
    if evaluation.run:
        result |= _training_facts(evaluation.run, known, seconds)
        evaluation = _record(evaluation, evaluation.run)
    return evaluation


def _record(evaluation: Evaluation, run: Run) -> Evaluation:
    """Keep a result in the run folder and in the model file; with a note where that cannot be."""
    result, test, classifier = evaluation.result, evaluation.test, evaluation.classifier
    try:
        run.write_evaluation(result)
        if test.paths:
            labels = test.labels.tolist()
            run.write_predictions(test.classes, test.paths, labels, evaluation.probabilities)
        measured = {key: result[key] for key in ("split", "n", "accuracy", "interval")}
        if classifier.facts.get("measured") != measured:
            classifier.facts["measured"] = measured
            classifier.save(run.model_file)
    except OSError as error:
        note = f"the result could not be recorded in {run.path} ({error.strerror or error})"
        result["notes"].append(note)
        return replace(evaluation, notes=(*evaluation.notes, note))
    return replace(evaluation, recorded=True)


def _with_place(classifier: Classifier, path: Path) -> Classifier:
    """The classifier of a run with the place of its data, which the model file does not say."""
    owner, facts = of_model_file(path), classifier.facts
    if owner is None or not {"recipe", "data"} <= set(facts):
        return classifier
    place = owner.read_recipe().data
    recipe, about = {**facts["recipe"], "data": place}, {**facts["data"], "name": place}
    return replace(classifier, facts={**facts, "recipe": recipe, "data": about})


def _about_size(test: ImageSet) -> list[str]:
    """Sentences about too few images, in all or of a class."""
    notes = []
    if len(test) < FEW:
        are = "is" if len(test) == 1 else "are"
        notes.append(f"{counted(len(test), 'image')} {are} too few for a number that means much")
    counts = np.bincount(test.labels, minlength=len(test.classes))
    thin = [f"{c} ({n})" for c, n in zip(test.classes, counts, strict=True) if 0 < n < THIN]
    if thin:
        named = ", ".join(thin[:5])
        notes.append(f"{named}: so few images that what is said of these classes is chance")
    return notes


def _training_facts(run: Run, classifier: Classifier, seconds: dict[str, float]) -> dict[str, Any]:
    """How the run was trained: what `neocog train --json` adds to an evaluation."""
    if "selected" not in classifier.facts:
        raise NeocogError(
            f"{run.model_file} does not say which epoch it holds: it is not this run's own.",
            "Put the run's own file back, or judge this one in a folder of its own.",
        )
    metrics = run.read_epochs()
    head = next((line for line in metrics if line["epoch"] == 0), None)
    spent = {
        "data": run.read_environment()["read_seconds"],
        "training": metrics[-1]["time_seconds"],
        "evaluation": seconds["evaluation"],
    }
    fitted: dict[str, Any] = {}
    if head and "folds" in head:
        sizes = run.read_environment()["data"]["sizes"]
        images = {"images": sizes["train"] + sizes["validation"]}
        fitted = {"folds": {**spread_of(head["folds"]), **images}}
    if head:
        told = {key: head[f"head/{key}"] for key in ABOUT_HEAD if f"head/{key}" in head}
        fitted |= {"head": told}
    return fitted | {
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

    By the largest probability; for a network whose paper does so, by the largest output. Without a
    threshold `reason` says why: `no_threshold` is enough, or there are `too_few_images` to tell,
    since fewer answers are left than `needed`: so many that one of them may be wrong.
    """
    by_output = getattr(classifier.model, "rejects_by_output", False)
    outputs = scores if by_output else probabilities
    correct = probabilities.argmax(1) == test.labels
    found = []
    for error in REJECTION_ERRORS:
        share = rejection_for_error(outputs.max(1), correct, error)
        answers = round((1 - share[0]) * len(test)) if share else 0
        needed = math.ceil(round(1 / error, 6))
        reason = None if share else "no_threshold"
        if answers < needed and (share or len(test) < needed):
            share, reason = None, "too_few_images"  # one mistake would be too many of the answers
        found.append(
            {
                "error": error,
                "rejected": share[0] if share else 1.0,
                "by": "output" if by_output else "probability",
                "threshold": share[1] if share else None,
                "reason": reason,
                "needed": needed,
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
    """The most confident wrong answers, as JSON; empty where the images have no paths."""
    predicted = probabilities.argmax(1)
    wrong = np.nonzero(predicted != test.labels)[0] if test.paths else np.zeros(0, np.int64)
    worst = wrong[np.argsort(uncertainty(probabilities[wrong]), kind="stable")][:MISTAKES]
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


def _own(
    classifier: Classifier,
    asked: str | None,
    trained_on: str,
    lone: bool,
    allow_outside: bool,
    in_memory: Splits | None = None,
) -> Splits | None:
    """A classifier's own splits, where these are `asked` for; None where other data are.

    A `lone` model file knows the name of its data and not their place: what is asked for is its own
    where the name and the test images are the same. Splits `in_memory` are not read again.
    """
    if in_memory is not None:
        assert asked is None, "splits in memory are the run's own"
        _check_test(classifier, in_memory, trained_on)
        return in_memory
    if asked is None or _same_data(asked, trained_on):
        return own_splits(classifier, trained_on, allow_outside)
    if lone and trained_on and data.bare_name(asked) == trained_on:
        with suppress(NeocogError):
            return own_splits(classifier, asked, allow_outside)
    return None


def splits_of(classifier: Classifier, path: Path) -> Splits:
    """The splits that the classifier in a model file was made of. Raises as `own_splits` does."""
    placed = _with_place(classifier, path)
    return own_splits(placed, str(placed.facts.get("data", {}).get("name", "")))


def own_splits(classifier: Classifier, name: str, allow_outside: bool = False) -> Splits:
    """The splits of the data set `name` that a classifier was made of.

    Raises NeocogError where its file does not say how, or the test images have changed.
    """
    if not name or "recipe" not in classifier.facts:
        raise NeocogError(
            "The model file does not say what it was trained on.",
            "Name the data to judge it on: neocog evaluate MODEL DATA",
        )
    try:
        recipe = Recipe.from_json(classifier.facts["recipe"])
    except UsageError as error:  # nobody typed it: the file is wrong
        raise NeocogError(f"The recipe in the model file cannot be used. {error.message}") from None
    if name not in data.DATASETS and not data.exists(name):
        raise NeocogError(
            f"The classifier was trained on {name}, which is not there; its own test images are "
            "needed.",
            "Put it back, or say where it is, or name other images: neocog evaluate RUN DATA",
        )
    splits = data.load_for(
        replace(recipe, data=name, allow_outside=recipe.allow_outside or allow_outside)
    )
    _check_test(classifier, splits, name)
    return splits


def _check_test(classifier: Classifier, splits: Splits, name: str) -> None:
    """Raise NeocogError if the test images are not those in the classifier's file."""
    if splits.test.fingerprint() != classifier.facts["data"]["fingerprints"]["test"]:
        recipe = classifier.facts["recipe"]["name"]
        raise NeocogError(
            f"The test images of {name} are not those that the run knew.",
            f"Train anew: neocog train {name} --recipe {recipe}",
        )


def _read_other(
    rule: Preprocessing, name: str, allow_outside: bool
) -> tuple[ImageSet, str, list[str]]:
    """The test images of a data set, or a person's own, by their own classes, and notes.

    Of own images that are split, those of test are taken, else of validation; else all that are
    fit for use. The second value is what was taken.
    """
    if name in data.DATASETS or not data.exists(name):
        return data.load(name).test, "test", []
    listing = data.open_dataset(name, allow_outside)
    decoded, diagnosis = data.check_custom(listing, rule)
    found = data.as_set(listing, decoded, diagnosis)
    split = next((s for s in ("test", "validation") if s in listing.splits), "all")
    if split != "all":
        splits = [listing.samples[n].split for n in diagnosis.kept]
        found = found.subset(np.nonzero(np.array(splits, dtype=object) == split)[0])
    if not len(found):
        raise NeocogError(f"{name} holds no images that can be used.")
    notes = [f"judged on what is called {split} there"] if split != "all" else []
    told = [f for f in diagnosis.findings if f.severity != "note" and f.kind not in ABOUT_TRAINING]
    notes += [finding.message for finding in told]
    return found, split, notes


@dataclass(frozen=True)
class _Other:
    """Another data set's images in the classifier's form, what they are called, and notes.

    `unknown` are the classes that the classifier does not know, with how many images each has.
    """

    test: ImageSet
    split: str
    notes: tuple[str, ...]
    unknown: tuple[tuple[str, int], ...]


def _other_test(classifier: Classifier, name: str, allow_outside: bool) -> _Other:
    """Another data set's test split, as far as the classifier knows its classes.

    Raises UsageError where it knows none of them.
    """
    found, split, notes = _read_other(classifier.preprocessing, name, allow_outside)
    counts = np.bincount(found.labels, minlength=len(found.classes)).tolist()
    there = [c for c, n in zip(found.classes, counts, strict=True) if n]
    taken, similar = _matched(there, classifier.classes)
    unknown = tuple(
        (c, n) for c, n in zip(found.classes, counts, strict=True) if n and c not in taken
    )
    if not taken:
        raise UsageError(
            f"The classifier knows no class of {name}: {_listed(unknown)}.",
            f"It knows: {', '.join(classifier.classes)}. Rename the classes to match, or predict "
            f"without evaluating: neocog predict RUN {name}",
        )
    place = np.array([taken.get(c, -1) for c in found.classes], dtype=np.int64)
    known = found.subset(np.flatnonzero(place[found.labels] >= 0))
    fitted, failed = _fitted(classifier, known.images)
    if len(failed):
        notes.append(f"{counted(len(failed), 'image')} left out: no ink was found there")
    kept = known.subset(np.setdiff1d(np.arange(len(known)), failed))
    test = replace(kept, images=fitted, labels=place[kept.labels], classes=classifier.classes)
    about = _about_classes(unknown, taken, similar, classifier.classes)
    return _Other(test, split, (*about, *_about_training(classifier, test), *notes), unknown)


def _matched(
    there: Sequence[str], known: Sequence[str]
) -> tuple[dict[str, int], dict[str, list[str]]]:
    """The place among `known` of each class that is there, and names that are nearly the same.

    Names that differ in case and spaces only are one class, where that leaves no choice: no other
    class of the data or of the classifier has the same name but for them. The second value has,
    for each class without its exact name in `known`, the names there that it resembles.
    """

    def plain(name: str) -> str:
        return "".join(name.split()).casefold()

    taken = {c: known.index(c) for c in there if c in known}
    similar = {c: [k for k in known if plain(k) == plain(c)] for c in there if c not in known}
    for name, names in similar.items():
        rivals = [c for c in there if plain(c) == plain(name)]
        if len(names) == 1 and len(rivals) == 1:
            taken[name] = known.index(names[0])
    return taken, {c: names for c, names in similar.items() if names}


def _about_classes(
    unknown: Sequence[tuple[str, int]],
    taken: dict[str, int],
    similar: dict[str, list[str]],
    known: Sequence[str],
) -> list[str]:
    """Notes on classes whose names are not those of the classifier."""
    notes = []
    if unknown:
        notes.append(
            f"left out: {counted(sum(n for _, n in unknown), 'image')} of "
            f"{counted(len(unknown), 'class')} that the classifier does not know: "
            f"{_listed(unknown)}"
        )
    for name, names in similar.items():
        if name in taken:
            notes.append(
                f'"{name}" is judged as "{known[taken[name]]}": the names differ only in case or '
                "spaces"
            )
        else:
            quoted = " and ".join(f'"{n}"' for n in names)
            notes.append(
                f'"{name}" and {quoted} differ only in case or spaces: if they are one class, give '
                "it one name"
            )
    return notes


def _listed(classes: Sequence[tuple[str, int]], most: int = 10) -> str:
    """Classes with how many images each has; of many, the first."""
    more = f" and {len(classes) - most:,} more" if len(classes) > most else ""
    return ", ".join(f"{name} ({n:,})" for name, n in classes[:most]) + more


def _fitted(classifier: Classifier, images: Images) -> tuple[Images, NDArray[np.int64]]:
    """The images in the classifier's size and channels, and the indices of those without ink."""
    rule = classifier.preprocessing
    if images.shape[1:] == (*rule.image_size, rule.channels):
        return images, np.array([], dtype=np.int64)
    fitted, failed = [], []
    for number in range(len(images)):
        image = images[number]
        try:
            fitted.append(rule.fit_image(np.broadcast_to(image, (*image.shape[:2], 3))))
        except NeocogError:
            failed.append(number)
    return np.stack(fitted), np.array(failed, dtype=np.int64)


def _about_training(classifier: Classifier, test: ImageSet) -> list[str]:
    """What is to be said where images were trained on, to the bit, or where nobody knows."""
    facts = classifier.facts
    name = facts.get("data", {}).get("name", "the training data")
    unknown = "whether any of these images were trained on"
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
        was = "was" if seen == 1 else "were"
        of = counted(len(test), "image")
        notes += [f"{seen:,} of these {of} {was} trained on: the accuracy is too high"]
    if train.fingerprint() != facts.get("data", {}).get("fingerprints", {}).get("train"):
        notes += [f"{unknown} cannot be checked wholly: {name} has changed since"]
    return notes
