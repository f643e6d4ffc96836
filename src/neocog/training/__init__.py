"""From a recipe to a trained run: `train` and `resume`."""

import re
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from neocog import data, recipe_context, runs
from neocog.classifier import Classifier
from neocog.data import Splits
from neocog.errors import DataError
from neocog.progress import Progress, no_progress
from neocog.recipes import Recipe
from neocog.recipes.resolve import resolve
from neocog.records import RunInfo
from neocog.runs import Run
from neocog.storage.atomic import sweep
from neocog.training import transfer
from neocog.training.checks import check_augmentation, check_folds, check_weights
from neocog.training.session import Interrupted, OnResult, full_disk_as_error, is_finished

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


class Way(Protocol):
    """A module that trains recipes: `network` by PyTorch, `transfer` without it."""

    def prepare(self, recipe: Recipe, splits: Splits, device: str) -> "Training":
        """Build what the recipe trains. Raises UsageError if it cannot be built or trained."""

    def same_environment(self, info: RunInfo) -> AbstractContextManager[None]:
        """Give a run that goes on what its result depends on, and warn of what is different."""


class Training(Protocol):
    """A recipe that is ready to be trained on its splits."""

    def environment(self, read_seconds: float) -> RunInfo:
        """What is recorded of the machine; `read_seconds` is how long reading the data took."""

    def train(self, run: Run, progress: Progress, on_result: OnResult | None) -> Classifier:
        """Train to the recipe's end, from the run's checkpoint if there is one."""


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
    if name:
        runs.check_name(name)
    recipe = resolve(recipe_context, recipe)
    way = _way(recipe, device)
    check_weights(recipe, progress)
    begin = time.perf_counter()
    splits = _load_splits(recipe, progress, on_result)
    read_seconds = time.perf_counter() - begin
    check_augmentation(recipe, splits)
    check_folds(recipe, splits)
    training = way.prepare(recipe, splits, device)
    folder = runs.runs_folder(runs_dir)
    runs.sweep_leftovers(folder)
    base = f"{recipe.name}-{re.split('[-_]*[.{]', Path(recipe.data).name)[0]}"
    run = runs.create_named(name, folder) if name else runs.create(base, folder)
    with run.locked():
        with full_disk_as_error(run):
            run.write_environment(training.environment(read_seconds))
            if splits.train.paths:
                run.write_split({name: part.paths for name, part in splits.parts.items()})
            run.write_recipe(recipe, command)  # last: a folder with a recipe is a run
        return TrainingResult(run, splits, training.train(run, progress, on_result))


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
    device = environment.device if device == "auto" else device
    way = _way(recipe, device, environment)
    with run.locked(), way.same_environment(environment):
        sweep(run.path)
        splits = _load_splits(recipe, progress, on_result)
        if environment.data.fingerprints != splits.describe().fingerprints:
            raise DataError(
                f"The dataset {recipe.data} has changed since {run.path} began.",
                f"Train again: neocog train {recipe.data} --recipe {recipe.name}",
            )
        training = way.prepare(recipe, splits, device)
        return TrainingResult(run, splits, training.train(run, progress, on_result))


def _way(recipe: Recipe, device: str, begun: RunInfo | None = None) -> Way:
    """How to train a recipe; a run that was `begun` goes on as it began.

    Raises UsageError if there is no such device.
    """
    as_begun = begun is None or bool(begun.onnxruntime)
    if as_begun and transfer.is_for(recipe, device):
        return transfer
    from neocog.engines.torch import pick_device  # imports torch, which takes seconds
    from neocog.training import network

    found = pick_device(device).type
    return transfer if as_begun and transfer.is_for(recipe, found) else network


def _load_splits(recipe: Recipe, progress: Progress, on_result: OnResult | None) -> Splits:
    splits = data.load_for(recipe, progress)
    if on_result:
        on_result(splits)
    return splits
