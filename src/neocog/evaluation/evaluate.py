"""Evaluate a classifier on a test split. No other module uses test images."""

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog import data
from neocog.classifier import Classifier, load, model_path
from neocog.data import ImageSet, Preprocessing, Splits
from neocog.data.decode import ImageError
from neocog.data.findings import NOTE
from neocog.data.images import Images
from neocog.engines import softmax
from neocog.errors import DataError, NeocogError, NotFoundError, UsageError
from neocog.messages import Message, Parameter
from neocog.metrics.accuracy import confusion_matrix, metrics_by_class, wilson_interval
from neocog.metrics.calibration import uncertainty
from neocog.metrics.rejection import rejection_for_error
from neocog.model_card import read_card_of, replace_card
from neocog.recipes import Recipe
from neocog.records import (
    ClassificationMetrics,
    ClassResult,
    DataInfo,
    EvaluationRecord,
    FoldStatistics,
    MeasuredFacts,
    Mistake,
    RecipeFacts,
    Rejection,
    Times,
    UnknownClass,
)
from neocog.runs import Run, display_name, of_model_file, runs_folder

# Fewer test images, in total or per class, add a note that the accuracy is unreliable.
MIN_IMAGES, MIN_CLASS_IMAGES = 100, 5
MAX_MISTAKES = 20  # wrong predictions in the result
MAX_CLASSES_NAMED = 10  # in a note or error
TRAINING_FINDINGS = ("near_duplicates", "few_images", "imbalance", "one_class")  # not for test data
MAX_RECORDED_BYTES = 2**28  # of probabilities; without them a report evaluates again
REJECTION_ERRORS = (0.01, 0.005)  # error rates for which the papers state how much is rejected


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation, and the images it was computed on.

    `result` is what `--json` prints and what is stored in the run folder. `probabilities` has shape
    `(N, K)`. `notes` qualify the accuracy. `run` is the classifier's run if this is its own test
    split, else None; `train` are then its training images. `recorded` is False if the result could
    not be written to the run folder.
    """

    result: EvaluationRecord
    test: ImageSet
    probabilities: NDArray[np.float32]
    notes: tuple[Message, ...]
    classifier: Classifier
    run: Run | None
    train: ImageSet | None = None
    recorded: bool = False

    def with_total_seconds(self, seconds: float) -> "Evaluation":
        """Return this evaluation with the total time replaced, of a process for example."""
        times = replace(self.result.time_seconds, total=seconds)
        return replace(self, result=replace(self.result, time_seconds=times))


def evaluate(
    run: str | Path,
    data_name: str | None = None,
    *,
    runs_dir: Path | None = None,
    device: str = "auto",
    engine: str = "auto",
    allow_outside: bool = False,
    splits: Splits | None = None,
) -> Evaluation:
    """Evaluate a run, `latest` or a model file on its own test split or on another dataset.

    `data_name` is the name of a dataset or the path of custom images, all of which are used unless
    they have splits; `allow_outside` is the field of a recipe. `splits` are the run's own if they
    are in memory already, after training: they are not read again. Classes are matched by name.
    Images of classes that the classifier does not know are excluded, and counted in the notes and
    in `unknown_classes`. The result on its own test split is written to the run folder and to the
    model file. Raises UsageError if the classifier knows none of the classes, and NeocogError if
    the data are missing or have changed.
    """
    path = model_path(str(run), runs_folder(runs_dir))
    owner = of_model_file(path)
    classifier = load(path, device=device, engine=engine)
    classifier, original = _with_data_path(classifier, path), classifier
    trained_on = _data_name(classifier)
    start = time.perf_counter()
    splits = _find_own_splits(classifier, data_name, trained_on, not owner, allow_outside, splits)
    if splits:
        tested = _TestData(splits.test, "test", (), ())
    else:
        tested = _other_test(classifier, str(data_name), allow_outside)
    test, notes = tested.test, (*tested.notes, *_about_size(tested.test))
    loaded = time.perf_counter()
    logits = classifier.logits(test.images)
    probabilities = softmax(logits)
    seconds = time.perf_counter() - loaded
    result = EvaluationRecord(
        run=display_name(path),
        recipe=classifier.facts.recipe.name if classifier.facts.recipe else None,
        model=classifier.architecture.name,
        engine=classifier.engine.name,
        precision=classifier.engine.precision,
        data=trained_on if splits else str(data_name),
        split=tested.split,
        **vars(classification_metrics(test, probabilities)),
        rejection=_rejection(classifier, test, logits, probabilities),
        parameters=classifier.engine.facts.parameters,
        notes=notes,
        unknown_classes=tested.unknown,
        mistakes=_worst_mistakes(test, probabilities),
        time_seconds=Times(loaded - start, 0.0, seconds, loaded - start + seconds),
    )
    own = owner if splits else None
    if own:
        result = _with_training_results(result, own, original)
    train = splits.train if splits else None
    evaluation = Evaluation(result, test, probabilities, notes, original, own, train)
    return _record(evaluation, own) if own else evaluation


def _record(evaluation: Evaluation, run: Run) -> Evaluation:
    """Write a result to the run folder and the model file, or add a note if that fails."""
    result, test, classifier = evaluation.result, evaluation.test, evaluation.classifier
    try:
        run.write_evaluation(result)
        if evaluation.probabilities.nbytes <= MAX_RECORDED_BYTES:
            run.write_probabilities(evaluation.probabilities)
        if test.paths:
            labels = test.labels.tolist()
            run.write_predictions(test.classes, test.paths, labels, evaluation.probabilities)
        measured = MeasuredFacts(result.split, result.n, result.accuracy, result.interval)
        if classifier.facts.measured != measured:
            classifier.facts = replace(classifier.facts, measured=measured)
            card = replace(read_card_of(run.model_file), facts=classifier.facts)
            replace_card(run.model_file, card)
    except OSError as error:
        reason = str(error.strerror or error)
        note = Message("not_recorded", {"folder": str(run.path), "reason": reason})
        notes = (*evaluation.notes, note)
        return replace(evaluation, notes=notes, result=replace(result, notes=notes))
    return replace(evaluation, recorded=True)


def _with_data_path(classifier: Classifier, path: Path) -> Classifier:
    """Return the classifier of a run with the path of its data, which the model file omits."""
    owner, facts = of_model_file(path), classifier.facts
    if owner is None or not facts.recipe or not facts.data:
        return classifier
    data_path = owner.read_recipe().data
    recipe = RecipeFacts(facts.recipe.name, {**facts.recipe.values, "data": data_path})
    about = replace(facts.data, name=data_path)
    return replace(classifier, facts=replace(facts, recipe=recipe, data=about))


def _data_name(classifier: Classifier) -> str:
    """Return the name or path of the data that a classifier was trained on; empty if unknown."""
    return classifier.facts.data.name if classifier.facts.data else ""


def _about_size(test: ImageSet) -> list[Message]:
    """Return notes on too few images, in total or of a class."""
    notes = []
    if len(test) < MIN_IMAGES:
        notes.append(Message("few_test_images", {"n": len(test)}))
    counts = np.bincount(test.labels, minlength=len(test.classes))
    small = [
        f"{c} ({n})" for c, n in zip(test.classes, counts, strict=True) if 0 < n < MIN_CLASS_IMAGES
    ]
    if small:
        notes.append(Message("few_class_images", {"classes": tuple(small[:5])}))
    return notes


def _with_training_results(
    result: EvaluationRecord, run: Run, classifier: Classifier
) -> EvaluationRecord:
    """Add what `neocog train --json` adds to an evaluation: epochs, head and times."""
    selected = classifier.facts.selected
    if selected is None:
        raise NeocogError(
            f"{run.model_file} does not record its epoch: it was not written by this run.",
            "Restore the run's own file, or evaluate this one in another folder.",
        )
    info, epochs = run.read_environment(), run.read_epochs()
    head = next((metrics.head for metrics in epochs if metrics.epoch == 0), None)
    read, trained = info.read_seconds, epochs[-1].time_seconds
    evaluated = result.time_seconds.evaluation
    return replace(
        result,
        folds=fold_statistics(head.folds, info.data) if head and head.folds else None,
        head=head.summary() if head else None,
        epochs=epochs[-1].epoch,
        selected_epoch=selected.epoch,
        selected_by=selected.by,
        time_seconds=Times(read, trained, evaluated, read + trained + evaluated),
    )


def _rejection(
    classifier: Classifier,
    test: ImageSet,
    logits: NDArray[np.float32],
    probabilities: NDArray[np.float32],
) -> tuple[Rejection, ...]:
    """Return the fraction of images to reject for each of `REJECTION_ERRORS`.

    The threshold applies to the largest probability, or to the largest output for a network whose
    paper does so. Without a threshold, `reason` is `no_threshold` if none suffices, or
    `too_few_images` if fewer images than `needed` would be accepted, among which a single mistake
    would exceed the error rate.
    """
    by_output = classifier.engine.facts.rejects_by_output
    outputs = logits if by_output else probabilities
    correct = probabilities.argmax(1) == test.labels
    rows = []
    for error in REJECTION_ERRORS:
        rejection = rejection_for_error(outputs.max(1), correct, error)
        accepted = round((1 - rejection[0]) * len(test)) if rejection else 0
        needed = math.ceil(round(1 / error, 6))
        reason = None if rejection else "no_threshold"
        if accepted < needed and (rejection or len(test) < needed):
            rejection, reason = None, "too_few_images"
        rows.append(
            Rejection(
                error,
                rejection[0] if rejection else 1.0,
                "output" if by_output else "probability",
                rejection[1] if rejection else None,
                reason,
                needed,
            )
        )
    return tuple(rows)


def fold_statistics(accuracies: Sequence[float], about: DataInfo) -> FoldStatistics:
    """Return mean and standard deviation of the accuracies of folds of train and validation."""
    return FoldStatistics(
        n=len(accuracies),
        mean=float(np.mean(accuracies)),
        std=float(np.std(accuracies, ddof=1)),
        each=tuple(accuracies),
        images=about.sizes.train + about.sizes.validation,
    )


def _worst_mistakes(test: ImageSet, probabilities: NDArray[np.float32]) -> tuple[Mistake, ...]:
    """Return the most confident wrong predictions; none if images have no paths."""
    predicted = probabilities.argmax(1)
    wrong = np.nonzero(predicted != test.labels)[0] if test.paths else np.zeros(0, np.int64)
    worst = wrong[np.argsort(uncertainty(probabilities[wrong]), kind="stable")][:MAX_MISTAKES]
    return tuple(
        Mistake(
            path=test.paths[n],
            label=test.classes[test.labels[n]],
            predicted=test.classes[predicted[n]],
            probability=float(probabilities[n, predicted[n]]),
        )
        for n in worst
    )


def classification_metrics(
    test: ImageSet, probabilities: NDArray[np.float32]
) -> ClassificationMetrics:
    """Return accuracy, 95% Wilson interval, per-class metrics and confusion matrix.

    `probabilities` has shape `(N, K)`.
    """
    predicted = probabilities.argmax(axis=1).astype(np.int64)
    confusion = confusion_matrix(test.labels, predicted, len(test.classes))
    correct = int(np.trace(confusion))
    return ClassificationMetrics(
        n=len(test),
        accuracy=correct / len(test),
        interval=wilson_interval(correct, len(test)),
        per_class=tuple(
            ClassResult(name, **vars(metrics))
            for name, metrics in zip(test.classes, metrics_by_class(confusion), strict=True)
        ),
        confusion=tuple(map(tuple, confusion.tolist())),
    )


def _same_data(one: str, other: str) -> bool:
    """Whether two dataset names or paths refer to the same dataset."""
    if one in data.DATASETS or other in data.DATASETS:
        return one == other
    return Path(one).resolve() == Path(other).resolve()


def _find_own_splits(
    classifier: Classifier,
    data_name: str | None,
    trained_on: str,
    standalone: bool,
    allow_outside: bool,
    in_memory: Splits | None = None,
) -> Splits | None:
    """Return the classifier's own splits if `data_name` refers to them, else None.

    A `standalone` model file knows the name of its data but not their path. They are its own if
    the name and the test images are the same. Splits `in_memory` are not read again.
    """
    if in_memory is not None:
        assert data_name is None, "splits in memory are the run's own"
        _check_test(classifier, in_memory, trained_on)
        return in_memory
    if data_name is None or _same_data(data_name, trained_on):
        return own_splits(classifier, trained_on, allow_outside)
    if standalone and trained_on and data.bare_name(data_name) == trained_on:
        with suppress(NeocogError):
            return own_splits(classifier, data_name, allow_outside)
    return None


def splits_of(classifier: Classifier, path: Path) -> Splits:
    """Return the splits that a classifier was trained on. Raises as `own_splits` does."""
    classifier = _with_data_path(classifier, path)
    return own_splits(classifier, _data_name(classifier))


def own_splits(classifier: Classifier, name: str, allow_outside: bool = False) -> Splits:
    """Load the splits of dataset `name` as for the training of a classifier.

    Raises NeocogError if its file does not contain the recipe or the test images have changed.
    """
    recorded = classifier.facts.recipe
    if not name or recorded is None:
        raise NeocogError(
            "The model file does not record its training data.",
            "Give the data: neocog evaluate MODEL DATA",
        )
    try:
        recipe = Recipe.from_json(recorded.values)
    except UsageError as error:  # the file is wrong, not the user
        raise NeocogError(f"The recipe in the model file cannot be used. {error.message}") from None
    if name not in data.DATASETS and not data.exists(name):
        raise NotFoundError(
            f"The classifier was trained on {name}, which is missing; its test images are needed.",
            "Restore it, or evaluate on other data: neocog evaluate RUN DATA",
        )
    splits = data.load_for(
        replace(recipe, data=name, allow_outside=recipe.allow_outside or allow_outside)
    )
    _check_test(classifier, splits, name)
    return splits


def _check_test(classifier: Classifier, splits: Splits, name: str) -> None:
    """Raise NeocogError if the test images are not those in the classifier's file."""
    recipe, known = classifier.facts.recipe, classifier.facts.data
    if known is None or splits.test.fingerprint() != known.fingerprints.test:
        raise DataError(
            f"The test images of {name} are not those of the run.",
            f"Train again: neocog train {name} --recipe {recipe.name}"
            if recipe
            else "Train again.",
        )


def _read_other(
    rule: Preprocessing, name: str, allow_outside: bool
) -> tuple[ImageSet, str, list[Message]]:
    """Return another dataset's test images with its own classes, the split's name, and notes.

    Of custom images the test split is used, else the validation split, else all usable images.
    """
    if name in data.DATASETS or not data.exists(name):
        return data.load(name).test, "test", []
    index = data.open_dataset(name, allow_outside)
    decoded, report = data.check_custom(index, rule)
    test = data.to_image_set(index, decoded, report)
    split = next((s for s in ("test", "validation") if s in index.splits), "all")
    if split != "all":
        splits = [index.samples[n].split for n in report.indices]
        test = test.subset(np.nonzero(np.array(splits, dtype=object) == split)[0])
    if not len(test):
        raise DataError(f"{name} contains no usable images.")
    notes = [Message("evaluated_split", {"split": split})] if split != "all" else []
    notes += [
        finding.message
        for finding in report.findings
        if finding.severity != NOTE and finding.kind not in TRAINING_FINDINGS
    ]
    return test, split, notes


@dataclass(frozen=True)
class _TestData:
    """The images of an evaluation, preprocessed for the classifier, their split, and notes.

    `unknown` lists the classes that the classifier does not know.
    """

    test: ImageSet
    split: str
    notes: tuple[Message, ...]
    unknown: tuple[UnknownClass, ...]


def _other_test(classifier: Classifier, name: str, allow_outside: bool) -> _TestData:
    """Load another dataset's test images of the classes that the classifier knows.

    Raises UsageError if it knows none of them.
    """
    images, split, notes = _read_other(classifier.preprocessing, name, allow_outside)
    counts = np.bincount(images.labels, minlength=len(images.classes)).tolist()
    present = [c for c, n in zip(images.classes, counts, strict=True) if n]
    matches, similar = _match_classes(present, classifier.classes)
    unknown = tuple(
        UnknownClass(c, n)
        for c, n in zip(images.classes, counts, strict=True)
        if n and c not in matches
    )
    if not matches:
        raise UsageError(
            f"The classifier knows no class of {name}: {_format_classes(unknown)}.",
            f"It knows: {', '.join(classifier.classes)}. Rename the classes to match, or predict "
            f"without evaluating: neocog predict RUN {name}",
        )
    index_of = np.array([matches.get(c, -1) for c in images.classes], dtype=np.int64)
    known = images.subset(np.flatnonzero(index_of[images.labels] >= 0))
    pixels, failed = _preprocess(classifier, known.images)
    if len(failed):
        notes.append(Message("without_ink", {"n": len(failed)}))
    usable = known.subset(np.setdiff1d(np.arange(len(known)), failed))
    labels = index_of[usable.labels]
    test = replace(usable, images=pixels, labels=labels, classes=classifier.classes)
    about = _about_classes(unknown, matches, similar, classifier.classes)
    return _TestData(test, split, (*about, *_about_training(classifier, test), *notes), unknown)


def _match_classes(
    present: Sequence[str], known: Sequence[str]
) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return the index in `known` of each class in `present`, and the similar names.

    Names that differ only in case and spaces are the same class if this is unambiguous, that is, if
    no other class of the data or the classifier has a similar name. The second value maps each
    class that is not in `known` to the similar names in `known`, if there are any.
    """

    def normalized(name: str) -> str:
        return "".join(name.split()).casefold()

    matches = {c: known.index(c) for c in present if c in known}
    similar = {
        c: [k for k in known if normalized(k) == normalized(c)] for c in present if c not in known
    }
    for name, names in similar.items():
        rivals = [c for c in present if normalized(c) == normalized(name)]
        if len(names) == 1 and len(rivals) == 1:
            matches[name] = known.index(names[0])
    return matches, {c: names for c, names in similar.items() if names}


def _about_classes(
    unknown: Sequence[UnknownClass],
    matches: dict[str, int],
    similar: dict[str, list[str]],
    known: Sequence[str],
) -> list[Message]:
    """Return notes on classes whose names are not exactly those of the classifier."""
    notes = []
    if unknown:
        named = tuple(f"{c.name} ({c.n:,})" for c in unknown[:MAX_CLASSES_NAMED])
        excluded: dict[str, Parameter] = {
            "n": sum(c.n for c in unknown),
            "count": len(unknown),
            "classes": named,
        }
        if len(unknown) > len(named):
            more = len(unknown) - len(named)
            notes.append(Message("many_unknown_classes", {**excluded, "more": more}))
        else:
            notes.append(Message("unknown_classes", excluded))
    for name, names in similar.items():
        if name in matches:
            notes.append(Message("matched_class", {"name": name, "known": known[matches[name]]}))
        else:
            notes.append(Message("similar_class_names", {"name": name, "similar": tuple(names)}))
    return notes


def _format_classes(classes: Sequence[UnknownClass]) -> str:
    """Return the first classes with their numbers of images, as text."""
    more = len(classes) - MAX_CLASSES_NAMED
    named = ", ".join(f"{c.name} ({c.n:,})" for c in classes[:MAX_CLASSES_NAMED])
    return f"{named} and {more:,} more" if more > 0 else named


def _preprocess(classifier: Classifier, images: Images) -> tuple[Images, NDArray[np.int64]]:
    """Resize images for the classifier; the second value has the indices of those without ink."""
    preprocessing = classifier.preprocessing
    if images.shape[1:] == (*preprocessing.image_size, preprocessing.channels):
        return images, np.array([], dtype=np.int64)
    resized, failed = [], []
    for index in range(len(images)):
        image = images[index]
        try:
            rgb = np.broadcast_to(image, (*image.shape[:2], 3))
            resized.append(preprocessing.transform_image(rgb))
        except ImageError:
            failed.append(index)
    return np.stack(resized), np.array(failed, dtype=np.int64)


def _about_training(classifier: Classifier, test: ImageSet) -> list[Message]:
    """Return notes on test images that were also trained on, or if that cannot be checked."""
    recipe, about = classifier.facts.recipe, classifier.facts.data
    name = about.name if about else str(recipe.values.get("data", "")) if recipe else ""
    try:
        train = data.load_for(Recipe.from_json(recipe.values)).train if recipe else None
    except NeocogError:
        train = None
    if train is None:
        missing = Message("training_data_missing", {"data": name})
        return [missing if name else Message("training_data_unknown")]
    if train.digests and test.digests:
        seen = len(set(train.digests) & set(test.digests))
    else:
        known = {train.images[n].tobytes() for n in range(len(train))}
        seen = sum(test.images[n].tobytes() in known for n in range(len(test)))
    notes = []
    if seen:
        notes.append(Message("trained_on", {"n": seen, "total": len(test)}))
    if about is None or train.fingerprint() != about.fingerprints.train:
        notes.append(Message("training_data_changed", {"data": name}))
    return notes
