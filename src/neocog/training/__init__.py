"""From a recipe to a trained run: `train` and `resume`."""

import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from neocog import classifier as classifiers
from neocog import data, recipe_context, runs
from neocog.allocator import keep_freed_memory
from neocog.classifier import Classifier
from neocog.data import Splits
from neocog.engines.torch import pick_device
from neocog.errors import DataError, NeocogError
from neocog.progress import Progress, no_progress
from neocog.recipes import Recipe
from neocog.recipes.resolve import resolve
from neocog.records import EpochMetrics
from neocog.runs import Run
from neocog.storage.atomic import sweep
from neocog.training.build import build_classifier, check_augmentation, check_weights
from neocog.training.environment import describe_environment, model_facts
from neocog.training.head import check_folds, fine_tunes, fit_head
from neocog.training.loop import run_epochs
from neocog.training.session import Interrupted, OnResult, full_disk_as_error, same_threads

__all__ = ["Interrupted", "TrainingResult", "is_finished", "resume", "train"]


@dataclass(frozen=True)
class TrainingResult:
    """A trained run.

    `classifier` has the weights and facts of the model file in `run`, on the training device;
    `splits` are in memory or memory-mapped, ready for evaluation.
    """

    run: Run
    splits: Splits
    classifier: Classifier


def train(
    recipe: Recipe,
    *,
    runs_dir: Path | None = None,
    name: str | None = None,
    device: str = "auto",
    command: str = "",
    progress: Progress = no_progress,
    on_result: OnResult | None = None,
) -> TrainingResult:
    """Train a recipe in a new run folder.

    `device` is auto, cpu, cuda or mps. The stages of `progress` are `download`, in bytes, `decode`
    and `features`, in images, and `train`, in steps; `on_result` gets the splits, then the metrics
    of each epoch, when they are there. Raises UsageError if the network cannot be built or trained,
    NeocogError if the data are missing, the loss is not finite or the disk is full, and Interrupted
    on Ctrl-C or SIGTERM; once training has begun, the run folder is kept in all these cases.
    """
    torch_device = pick_device(device)
    if name:
        runs.check_name(name)
    recipe = resolve(recipe_context, recipe)
    check_weights(recipe, progress)
    begin = time.perf_counter()
    splits = _load_splits(recipe, progress, on_result)
    read_seconds = time.perf_counter() - begin
    check_augmentation(recipe, splits)
    check_folds(recipe, splits)
    classifier = build_classifier(recipe, splits, torch_device)
    folder = runs.runs_folder(runs_dir)
    runs.sweep_leftovers(folder)
    base = f"{recipe.name}-{re.split('[-_]*[.{]', Path(recipe.data).name)[0]}"
    run = runs.create_named(name, folder) if name else runs.create(base, folder)
    with run.locked():
        with full_disk_as_error(run):
            environment = describe_environment(recipe, torch_device, splits, read_seconds)
            run.write_environment(environment)
            if splits.train.paths:
                run.write_split({name: part.paths for name, part in splits.parts.items()})
            run.write_recipe(recipe, command)  # last: a folder with a recipe is a run
        return _train(run, recipe, splits, classifier, progress, on_result)


def resume(
    run: Run,
    *,
    device: str = "auto",
    progress: Progress = no_progress,
    on_result: OnResult | None = None,
) -> TrainingResult:
    """Continue a run from its checkpoint, or from the start if it has none.

    `device` auto is the kind of device that the run began on. On the CPU, the result is
    bit-identical to that of an uninterrupted run: the run's number of threads is used, and a
    warning is logged for other differences. Raises as `train` does, and NeocogError if the data
    have changed or another process is training the run.
    """
    recipe, environment = run.read_recipe(), run.read_environment()
    torch_device = pick_device(environment.device if device == "auto" else device)
    with run.locked(), same_threads(environment):
        sweep(run.path)
        splits = _load_splits(recipe, progress, on_result)
        if environment.data.fingerprints != splits.describe().fingerprints:
            raise DataError(
                f"The data set {recipe.data} has changed since {run.path} began.",
                f"Train anew: neocog train {recipe.data} --recipe {recipe.name}",
            )
        classifier = build_classifier(recipe, splits, torch_device)
        return _train(run, recipe, splits, classifier, progress, on_result)


def is_finished(run: Run, recipe: Recipe) -> bool:
    """Whether a run has reached the end of its recipe, so that nothing is left to train."""
    try:
        lines = run.read_metrics()
    except NeocogError:
        return False  # damaged metrics: the checkpoint decides
    if not lines or not run.model_file.exists():
        return False
    if recipe.feature_views and not fine_tunes(recipe, lines[0]):
        return True
    return lines[-1].epoch >= recipe.epochs


def _load_splits(recipe: Recipe, progress: Progress, on_result: OnResult | None) -> Splits:
    splits = data.load_for(recipe, progress)
    if on_result:
        on_result(splits)
    return splits


def _train(
    run: Run,
    recipe: Recipe,
    splits: Splits,
    classifier: Classifier,
    progress: Progress,
    on_result: OnResult | None,
) -> TrainingResult:
    """Fit the head if the recipe does so, then run the epochs that follow, if any."""
    keep_freed_memory()
    has_checkpoint = run.checkpoint_file.exists()
    if not has_checkpoint and is_finished(run, recipe):
        device = next(classifier.model.parameters()).device
        classifier = classifiers.load(run.model_file, device=device.type, engine="torch")
        return TrainingResult(run, splits, classifier)
    head_metrics = None
    if recipe.feature_views and not has_checkpoint:
        head_metrics = _fit_head(run, recipe, splits, classifier, progress)
        if on_result:
            on_result(head_metrics)
    # A head-fitting recipe has a checkpoint only if fine-tuning had begun.
    if not recipe.feature_views or fine_tunes(recipe, head_metrics):
        run_epochs(run, recipe, splits, classifier, progress, on_result, head_metrics)
    classifier.model.eval()
    return TrainingResult(run, splits, classifier)


def _fit_head(
    run: Run, recipe: Recipe, splits: Splits, classifier: Classifier, progress: Progress
) -> EpochMetrics:
    """Fit the head and record it as epoch 0; returns its metrics."""
    with full_disk_as_error(run):
        try:
            metrics = fit_head(recipe, splits, classifier, progress)
        except KeyboardInterrupt:
            raise Interrupted(run, signal.SIGINT) from None
        except SystemExit:  # the command line turns SIGTERM into it
            raise Interrupted(run, signal.SIGTERM) from None
        classifier.facts = model_facts(recipe, splits, 0, metrics)
        run.write_metrics([metrics])
        classifier.save(run.model_file)
    return metrics
