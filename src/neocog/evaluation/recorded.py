"""The evaluation of a run on its own test split, as it is recorded: the network is not run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from neocog.classifier import load, model_path
from neocog.errors import NeocogError, UsageError
from neocog.evaluation.evaluate import Evaluation, evaluate, splits_of
from neocog.metrics.accuracy import confusion_matrix
from neocog.records import MeasuredFacts
from neocog.runs import Run, of_model_file, runs_folder


def evaluation_of_run(
    run: str,
    *,
    again: bool = False,
    runs_dir: Path | None = None,
    device: str = "auto",
    on_evaluate: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Return the evaluation of a run or `latest` as recorded, or evaluate it if none is recorded.

    What is recorded of another model, or of other test images, is not used. `again` evaluates in
    any case; `on_evaluate` is called if nothing that can be used is recorded. Raises UsageError for
    a model file outside a run folder, and otherwise as `evaluate` does.
    """
    path = model_path(run, runs_folder(runs_dir))
    owner = of_model_file(path)
    if owner is None:
        raise UsageError(
            f"{run} is a model file, and a report needs a run folder.",
            "For example: neocog report latest",
        )
    found = None if again else _read(owner, device)
    if found is None:
        if not again:
            on_evaluate()
        found = evaluate(path, device=device)
    return found


def _read(run: Run, device: str) -> Evaluation | None:
    """The recorded evaluation with the images it was made on; None if nothing usable is recorded.

    The images are memory-mapped or decoded already: those that nobody looks at are not decoded.
    """
    try:
        result, probabilities = run.read_evaluation(), run.read_probabilities()
    except NeocogError:  # damaged: evaluating writes them anew
        return None
    if result is None or probabilities is None:
        return None
    classifier = load(run.model_file, device=device)
    measured = MeasuredFacts(result.split, result.n, result.accuracy, result.interval)
    if classifier.facts.measured != measured:
        return None  # of another model: training went on since
    splits = splits_of(classifier, run.model_file)
    test = splits.test
    if probabilities.shape != (len(test), len(test.classes)):
        return None
    predicted = probabilities.argmax(1).astype(np.int64)
    confusion = confusion_matrix(test.labels, predicted, len(test.classes))
    if tuple(map(tuple, confusion.tolist())) != result.confusion:
        return None
    return Evaluation(
        result,
        test,
        probabilities,
        result.notes,
        classifier,
        run,
        splits.train,
        recorded=True,
    )
