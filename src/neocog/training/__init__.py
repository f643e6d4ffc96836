"""From a recipe to a run: `train` and `resume`."""

import signal
import time
from pathlib import Path
from typing import Any

import torch

from neocog import data, runs
from neocog.allocator import keep_freed_memory
from neocog.classifier import Classifier, pick_device
from neocog.data import Splits
from neocog.errors import NeocogError
from neocog.recipes import Recipe
from neocog.runs import Run
from neocog.storage.atomic import sweep
from neocog.training.build import build, check_augmentation, resolve
from neocog.training.environment import describe_environment, model_facts
from neocog.training.head import check_folds, fit_head, tunes
from neocog.training.session import Interrupted, OnData, Report, full_disk_as_error, threads_of
from neocog.training.train import run_epochs

__all__ = ["Interrupted", "is_finished", "resume", "train"]


def train(
    recipe: Recipe,
    *,
    runs_dir: Path | None = None,
    name: str | None = None,
    device: str = "auto",
    command: str = "",
    report: Report | None = None,
    on_data: OnData | None = None,
) -> Run:
    """Train a recipe from the start in a new run folder.

    `device` is auto, cpu, cuda or mps. Raises UsageError for what cannot be built, NeocogError
    where the data are missing, the loss is not finite or the disk is full, Interrupted on Ctrl-C or
    SIGTERM; the run folder is kept in all of these once training has begun.
    """
    chosen = pick_device(device)
    if name:
        runs.check_name(name)
    recipe = resolve(recipe)
    begin = time.perf_counter()
    splits = _load_splits(recipe, on_data)
    seconds = time.perf_counter() - begin
    check_augmentation(recipe, splits)
    check_folds(recipe, splits)
    model, architecture = build(recipe, splits, chosen)
    folder = runs.runs_folder(runs_dir)
    runs.sweep_left_overs(folder)
    base = f"{recipe.name}-{Path(recipe.data).name.partition('.')[0]}"
    run = runs.create_named(name, folder) if name else runs.create(base, folder)
    with run.held():
        with full_disk_as_error(run):
            run.write_environment(describe_environment(recipe, chosen, splits, seconds))
            if splits.train.paths:
                run.write_split({name: part.paths for name, part in splits.parts.items()})
            run.write_recipe(recipe, command)  # last: it is what makes the folder a run
        classifier = Classifier(model, architecture, splits.preprocessing, splits.classes)
        _train(run, recipe, splits, classifier, report)
    return run


def resume(
    run: Run, *, device: str = "auto", report: Report | None = None, on_data: OnData | None = None
) -> Run:
    """Go on with a run from its checkpoint; from the start where it has none yet.

    `device` auto is the kind it began on. On the CPU the result has the same bits as if the run
    had never stopped: it gets the run's number of threads, and a warning is logged where something
    else differs. Raises as `train` does, and NeocogError where the data have changed or another
    process is training the run.
    """
    recipe, environment = run.read_recipe(), run.read_environment()
    chosen = pick_device(environment["device"] if device == "auto" else device)
    with run.held(), threads_of(environment):
        sweep(run.path)
        _resume(run, recipe, environment, chosen, (report, on_data))
    return run


def _resume(
    run: Run,
    recipe: Recipe,
    environment: dict[str, Any],
    device: torch.device,
    told: tuple[Report | None, OnData | None],
) -> None:
    report, on_data = told
    splits = _load_splits(recipe, on_data)
    if environment["data"]["fingerprints"] != splits.describe()["fingerprints"]:
        raise NeocogError(
            f"The data set {recipe.data} has changed since {run.path} began.",
            f"Train anew: neocog train {recipe.data} --recipe {recipe.name}",
        )
    model, architecture = build(recipe, splits, device)
    classifier = Classifier(model, architecture, splits.preprocessing, splits.classes)
    _train(run, recipe, splits, classifier, report)


def _load_splits(recipe: Recipe, on_data: OnData | None) -> Splits:
    def reading(done: int, total: int) -> None:
        if on_data:
            on_data(done, total, None)

    splits = data.load_for(recipe, reading)
    if on_data:
        on_data(0, 0, splits)
    return splits


def is_finished(run: Run, recipe: Recipe) -> bool:
    """Whether a run has come to the end of its recipe, so that there is nothing to go on with."""
    try:
        lines = run.read_metrics()
    except NeocogError:
        return False  # the checkpoint knows
    if not lines or not run.model_file.exists():
        return False
    if recipe.feature_views and not tunes(recipe, lines[0]):
        return True
    return int(lines[-1]["epoch"]) >= recipe.epochs


def _train(
    run: Run, recipe: Recipe, splits: Splits, classifier: Classifier, report: Report | None
) -> None:
    """Fit the last layer where the recipe says so; then the loop, unless that was all."""
    keep_freed_memory()
    head = None
    if is_finished(run, recipe) and not run.checkpoint_file.exists():
        return
    if recipe.feature_views and not run.checkpoint_file.exists():

        def step(done: int, total: int) -> None:
            if report:
                report(done // recipe.batch_size, max(1, total // recipe.batch_size), None)

        with full_disk_as_error(run):
            try:
                head = fit_head(recipe, splits, classifier, step)
            except KeyboardInterrupt:
                raise Interrupted(run, signal.SIGINT) from None
            except SystemExit:  # what the command line makes of SIGTERM
                raise Interrupted(run, signal.SIGTERM) from None
            classifier.facts = model_facts(recipe, splits, head)
            run.write_metrics([head])
            classifier.save(run.model_file)
        if report:
            report(0, 0, head)
    # Without a head that was just fitted there is a checkpoint: fine-tuning had begun.
    if not recipe.feature_views or tunes(recipe, head or {}):
        run_epochs(run, recipe, splits, classifier, report, head)
