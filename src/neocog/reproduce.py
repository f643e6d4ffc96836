"""Reproduce published accuracies: train each recipe with several seeds and compare."""

import functools
import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import scipy.stats

from neocog import recipes, runs
from neocog.data import DATASETS
from neocog.engines.torch import pick_device
from neocog.errors import NeocogError, UsageError
from neocog.evaluation.evaluate import evaluate
from neocog.metrics.accuracy import wilson_interval
from neocog.recipes import Recipe
from neocog.runs import Run
from neocog.storage.atomic import write_atomic
from neocog.training import resume, train
from neocog.training.session import Report

# The recipes of `neocog reproduce` without arguments. Recipes that need a GPU for hours (resnet20,
# allconv and others) run only if they are named.
PUBLISHED = (
    "lenet",
    "convnet",
    "resnet-cifar",
    "threenet",
    "lenet5",
    "lenet1",
    "lenet5-1998",
    "quickstart",
    "mnist-fast",
    "mnist",
    "cifar10",
)
QUICK = ("quickstart", "mnist-fast", "convnet")  # each takes less than a minute on two cores
# Upper limit of the seconds of a run, number of seeds, number of seeds selected on validation.
SEEDS_BY_SECONDS = ((120.0, 5, 5), (1800.0, 3, 1), (math.inf, 1, 1))

# Called before a run with its recipe and whether it selects on validation; returns the callback
# for the progress of training.
Announce = Callable[[Recipe, bool], Report | None]


@dataclass(frozen=True)
class Measurement:
    """The results of a recipe for the seeds 0..n-1.

    Each of `runs` has a `seed`, `accuracy` and `train_accuracy`, 0..1 (the latter None if the
    recipe does not measure it), the training time in `seconds`, and the machine and the time.
    `images` is the number of test images.
    """

    runs: list[dict[str, Any]]
    images: int

    @property
    def accuracies(self) -> list[float]:
        """The accuracy of each seed, 0..1."""
        return [run["accuracy"] for run in self.runs]

    @property
    def std(self) -> float | None:
        """The standard deviation over seeds; None for a single seed."""
        return statistics.stdev(self.accuracies) if len(self.runs) > 1 else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval: Student's t over seeds for n >= 3, else Wilson's over test images."""
        n, mean = len(self.runs), statistics.mean(self.accuracies)
        if n < 3 or not self.std:
            return wilson_interval(round(mean * self.images), self.images)
        half_width = float(scipy.stats.t.ppf(0.975, n - 1)) * self.std / math.sqrt(n)
        return mean - half_width, min(1.0, mean + half_width)

    def to_json(self) -> dict[str, Any]:
        """Return the statistics and the runs as JSON values."""
        train_accuracies = [
            run["train_accuracy"] for run in self.runs if run["train_accuracy"] is not None
        ]
        return {
            "mean": statistics.mean(self.accuracies),
            "std": self.std,
            "n": len(self.runs),
            "interval": list(self.interval),
            "train_mean": statistics.mean(train_accuracies) if train_accuracies else None,
            "time_seconds": statistics.median(run["seconds"] for run in self.runs),
            "runs": self.runs,
        }


def reproduce(
    names: Sequence[str] = (),
    *,
    seeds: int | None = None,
    quick: bool = False,
    runs_dir: Path | None = None,
    results: Path | None = None,
    device: str = "auto",
    announce: Announce | None = None,
) -> Iterator[dict[str, Any]]:
    """Train the named recipes, or `PUBLISHED`, and compare them with their published accuracy.

    Yields a row per recipe as soon as it is measured, and writes it to the folder `results`, unless
    that has a file with more seeds of the same recipe. By default a recipe runs with 5 seeds if
    a run takes less than two minutes, with 3 below half an hour, else with 1; from two minutes on
    the variant that selects on validation runs once. `quick` runs the recipes of `QUICK` with 1
    seed. Runs are stored in the subfolder `reproduce` of the runs: finished runs on the same type
    of device are reused, and stopped runs are resumed. If a recipe fails, for example because its
    data are missing, its row has an `error` and the next recipe starts. Raises UsageError before
    the first row for an unknown recipe or one for custom images, and otherwise as `train` does.
    """
    if quick and names:
        raise UsageError("--quick has its own list of recipes.", "Say: neocog reproduce --quick")
    selected = [recipes.get(name) for name in names or (QUICK if quick else PUBLISHED)]
    for recipe in selected:
        if recipe.data not in DATASETS:
            raise UsageError(
                f"The recipe {recipe.name} trains on a folder of yours: there is no figure to "
                "reproduce.",
                f"Train it: neocog train FOLDER --recipe {recipe.name}",
            )
    if seeds is None and quick:
        seeds = 1
    runner = _Runner(
        runs.runs_folder(runs_dir) / "reproduce", pick_device(device).type, announce, seeds
    )
    for recipe in selected:
        try:
            row = runner.row(recipe)
        except UsageError:
            raise
        except NeocogError as error:
            yield {**_description(recipe), **dict.fromkeys(_STATISTICS), "error": str(error)}
            continue
        if results:
            _write(results, row, recipe)
        yield row


_STATISTICS = ("mean", "std", "n", "interval", "train_mean", "time_seconds", "honest", "verdict")


def _description(recipe: Recipe) -> dict[str, Any]:
    """Return the part of a row that describes the recipe."""
    return {
        "recipe": recipe.name,
        "source": recipe.source,
        "model": recipe.model,
        "data": recipe.data,
        "printed": recipe.printed_test_accuracy,
        "printed_train": recipe.printed_train_accuracy,
        "as_published": recipe.honest_validation_size is not None,
    }


@dataclass(frozen=True)
class _Runner:
    """Trains recipes on a type of device and stores their runs in a folder.

    `seeds` None chooses the number of seeds by the time of the first run.
    """

    folder: Path
    device: str
    announce: Announce | None
    seeds: int | None

    def row(self, recipe: Recipe) -> dict[str, Any]:
        """Measure a recipe as published and, if that selects on test, selecting on validation."""
        published = self.measure(recipe, honest=False)
        honest = None
        if recipe.honest_validation_size:
            variant = replace(
                recipe, validation_size=recipe.honest_validation_size, select="validation/accuracy"
            )
            honest = self.measure(variant, honest=True).to_json()
        verdict = None
        if recipe.printed_test_accuracy is not None:
            verdict = "FAIL" if published.interval[1] < recipe.printed_test_accuracy else "PASS"
        return {
            **_description(recipe),
            **published.to_json(),
            "honest": honest,
            "verdict": verdict,
            "error": None,
        }

    def measure(self, recipe: Recipe, honest: bool) -> Measurement:
        """Measure a recipe with each of its seeds; existing runs are reused."""
        records: list[dict[str, Any]] = []
        seeds, images = 1, 0
        while len(records) < seeds:
            seeded = replace(recipe, seed=len(records))
            run = self.finished_run(seeded, honest)
            result = run.read_evaluation()
            assert result is not None
            records.append(_run_record(run, seeded, result))
            images = result["n"]
            seconds = records[0]["seconds"]
            by_time = next(n for limit, *n in SEEDS_BY_SECONDS if seconds < limit)[honest]
            seeds = self.seeds or by_time
            if honest:
                seeds = min(seeds, by_time)
        return Measurement(records, images)

    def finished_run(self, recipe: Recipe, honest: bool) -> Run:
        """Return the evaluated run of a recipe: an existing, a resumed or a new one."""
        base = f"{recipe.name}-{'honest-' if honest else ''}seed{recipe.seed}"
        report = functools.partial(self.announce, recipe, honest) if self.announce else lambda: None
        number = 1
        while (self.folder / f"{base}-{number}").exists():
            run = Run(self.folder / f"{base}-{number}")
            if _is_run_of(run, recipe, self.device):
                if not run.evaluation_file.exists():
                    resumed = resume(run, device=self.device, report=report())
                    evaluate(run.path, device=self.device, splits=resumed.splits)
                return run
            number += 1
        trained = train(
            recipe,
            runs_dir=self.folder,
            name=f"{base}-{number}",
            device=self.device,
            command=f"neocog reproduce {recipe.name}",
            report=report(),
        )
        evaluate(trained.run.path, device=self.device, splits=trained.splits)
        return trained.run


def _run_record(run: Run, recipe: Recipe, result: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a finished run, as described by `Measurement`."""
    environment = run.read_environment()
    epochs = {metrics["epoch"]: metrics for metrics in run.read_metrics()}
    selected = epochs.get(result["selected_epoch"], {})
    return {
        "seed": recipe.seed,
        "accuracy": result["accuracy"],
        "train_accuracy": selected.get("train/accuracy_after"),
        "seconds": round(result["time_seconds"]["training"], 1),
        **{
            key: environment.get(key)
            for key in (
                "device", "device_name", "machine", "cpus", "threads",
                "torch", "python", "neocog", "git_commit", "started",
            )
        },
    }  # fmt: skip


def _is_run_of(run: Run, recipe: Recipe, device: str) -> bool:
    """Whether a run has the settings of this recipe and was trained on this type of device."""
    try:
        run_recipe, environment = run.read_recipe(), run.read_environment()
    except NeocogError:
        return False  # training has not started, or an older version wrote the run
    return environment["device"] == device and _settings(run_recipe) == _settings(recipe)


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return the fields of a recipe that affect training, without its documentation."""
    documentation = (
        "source", "printed_test_accuracy", "printed_train_accuracy", "honest_validation_size",
    )  # fmt: skip
    return {key: value for key, value in recipe.to_json().items() if key not in documentation}


def _write(folder: Path, row: dict[str, Any], recipe: Recipe) -> None:
    """Write a row, unless the existing file has more seeds of the same settings."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{row['recipe']}.json"
    settings = json.loads(json.dumps(_settings(recipe)))
    if path.exists():
        existing = json.loads(path.read_text("utf-8"))
        # A field that is missing in an older file has its default, which changes nothing.
        if settings | existing.get("settings", {}) == settings and existing["n"] > row["n"]:
            return
    text = json.dumps({**row, "settings": settings}, indent=2, ensure_ascii=False)
    write_atomic(path, text + "\n")
