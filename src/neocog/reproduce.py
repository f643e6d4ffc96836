"""Reproduce published accuracies: train each recipe with several seeds and compare."""

import json
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import scipy.stats

from neocog import recipes, runs
from neocog.data import DATASETS, Splits
from neocog.engines.torch import pick_device
from neocog.errors import NeocogError, SpellSettings, UsageError, spell_in_python
from neocog.evaluation.evaluate import evaluate
from neocog.json_fields import JsonRecord, JsonValue
from neocog.metrics.accuracy import wilson_interval
from neocog.progress import Progress, no_progress
from neocog.recipes import Recipe
from neocog.records import EpochMetrics, EvaluationRecord
from neocog.runs import Run
from neocog.storage.atomic import write_atomic
from neocog.training import resume, train
from neocog.training.session import OnResult

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


class Observer(Progress, Protocol):
    """Watches the runs, as `train` lets `progress` and `on_result` do, and learns of each start."""

    def on_start(self, recipe: Recipe, honest: bool) -> None:
        """Take note of a run that begins, and of whether it selects on validation."""

    def on_result(self, result: Splits | EpochMetrics) -> None:
        """Take note of the splits of the run, and of the metrics of each epoch."""


@dataclass(frozen=True)
class RunFigures(JsonRecord):
    """What is recorded of a finished run with one seed.

    The accuracies are 0..1, that of train None if the recipe does not measure it; `seconds` is the
    training time. The rest is as in `RunInfo`.
    """

    seed: int
    accuracy: float
    train_accuracy: float | None
    seconds: float
    device: str | None = None
    device_name: str | None = None
    machine: str | None = None
    cpus: int | None = None
    threads: int | str | None = None
    torch: str | None = None
    python: str | None = None
    neocog: str | None = None
    git_commit: str | None = None
    started: str | None = None


@dataclass(frozen=True)
class Measurement:
    """The results of a recipe for the seeds 0..n-1; `images` is the number of test images."""

    runs: list[RunFigures]
    images: int

    @property
    def accuracies(self) -> list[float]:
        """The accuracy of each seed, 0..1."""
        return [run.accuracy for run in self.runs]

    @property
    def mean(self) -> float:
        """The mean accuracy over seeds."""
        return statistics.mean(self.accuracies)

    @property
    def time_seconds(self) -> float:
        """The median training time."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def std(self) -> float | None:
        """The standard deviation over seeds; None for a single seed."""
        return statistics.stdev(self.accuracies) if len(self.runs) > 1 else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval: Student's t over seeds for n >= 3, else Wilson's over test images."""
        n, mean = len(self.runs), self.mean
        if n < 3 or not self.std:
            return wilson_interval(round(mean * self.images), self.images)
        half_width = float(scipy.stats.t.ppf(0.975, n - 1)) * self.std / math.sqrt(n)
        return mean - half_width, min(1.0, mean + half_width)

    def to_json(self) -> dict[str, Any]:
        """Return the statistics and the runs as JSON values."""
        train_accuracies = [
            run.train_accuracy for run in self.runs if run.train_accuracy is not None
        ]
        return {
            "mean": self.mean,
            "std": self.std,
            "n": len(self.runs),
            "interval": list(self.interval),
            "train_mean": statistics.mean(train_accuracies) if train_accuracies else None,
            "time_seconds": self.time_seconds,
            "runs": [run.to_json() for run in self.runs],
        }


@dataclass(frozen=True)
class Reproduction:
    """A recipe's published accuracy and the measured ones.

    `published` is measured as the source did, `honest` selected on validation if the source
    selected on test. `published` is None after an `error`.
    """

    recipe: Recipe
    published: Measurement | None = None
    honest: Measurement | None = None
    error: NeocogError | None = None

    @property
    def as_published(self) -> bool:
        """Whether the source selected on test, so that there is an honest measurement, too."""
        return self.recipe.honest_validation_size is not None

    @property
    def verdict(self) -> str | None:
        """FAIL if the whole interval lies below the printed accuracy, else PASS."""
        printed = self.recipe.printed_test_accuracy
        if self.published is None or printed is None:
            return None
        return "FAIL" if self.published.interval[1] < printed else "PASS"

    def error_text(self, spell: SpellSettings = spell_in_python) -> str | None:
        """The error with its hint, whose settings are written by `spell`."""
        if self.error is None:
            return None
        return f"{self.error.message} {self.error.spell_hint(spell)}".strip()

    def to_json(self, spell: SpellSettings = spell_in_python) -> dict[str, Any]:
        """Return the row that `neocog reproduce --json` prints and `results` keep."""
        measured = self.published.to_json() if self.published else dict.fromkeys(_STATISTICS)
        return {
            "recipe": self.recipe.name,
            "source": self.recipe.source,
            "model": self.recipe.model,
            "data": self.recipe.data,
            "printed": self.recipe.printed_test_accuracy,
            "printed_train": self.recipe.printed_train_accuracy,
            "as_published": self.as_published,
            **measured,
            "honest": self.honest.to_json() if self.honest else None,
            "verdict": self.verdict,
            "error": self.error_text(spell),
        }


_STATISTICS = ("mean", "std", "n", "interval", "train_mean", "time_seconds")


def reproduce(
    names: Sequence[str] = (),
    *,
    seeds: int | None = None,
    quick: bool = False,
    runs_dir: Path | None = None,
    results: Path | None = None,
    device: str = "auto",
    observer: Observer | None = None,
) -> Iterator[Reproduction]:
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
        raise UsageError("--quick has its own list of recipes.", "Type: neocog reproduce --quick")
    selected = [recipes.get(name) for name in names or (QUICK if quick else PUBLISHED)]
    for recipe in selected:
        if recipe.data not in DATASETS:
            raise UsageError(
                f"The recipe {recipe.name} trains on your own images: there is no figure to "
                "reproduce.",
                f"To train it: neocog train FOLDER --recipe {recipe.name}",
            )
    if seeds is None and quick:
        seeds = 1
    runner = _Runner(
        runs.runs_folder(runs_dir) / "reproduce", pick_device(device).type, observer, seeds
    )
    for recipe in selected:
        try:
            row = runner.row(recipe)
        except UsageError:
            raise
        except NeocogError as error:
            yield Reproduction(recipe, error=error)
            continue
        if results:
            _write(results, row)
        yield row


@dataclass(frozen=True)
class _Runner:
    """Trains recipes on a type of device and stores their runs in a folder.

    `seeds` None chooses the number of seeds by the time of the first run.
    """

    folder: Path
    device: str
    observer: Observer | None
    seeds: int | None

    def row(self, recipe: Recipe) -> Reproduction:
        """Measure a recipe as published and, if that selects on test, selecting on validation."""
        published = self.measure(recipe, honest=False)
        if not recipe.honest_validation_size:
            return Reproduction(recipe, published)
        variant = replace(
            recipe, validation_size=recipe.honest_validation_size, select="validation/accuracy"
        )
        return Reproduction(recipe, published, self.measure(variant, honest=True))

    def measure(self, recipe: Recipe, honest: bool) -> Measurement:
        """Measure a recipe with each of its seeds; existing runs are reused."""
        records: list[RunFigures] = []
        seeds, images = 1, 0
        while len(records) < seeds:
            seeded = replace(recipe, seed=len(records))
            run = self.finished_run(seeded, honest)
            result = run.read_evaluation()
            assert result is not None
            records.append(_run_figures(run, seeded, result))
            images = result.n
            seconds = records[0].seconds
            by_time = next(n for limit, *n in SEEDS_BY_SECONDS if seconds < limit)[honest]
            seeds = self.seeds or by_time
            if honest:
                seeds = min(seeds, by_time)
        return Measurement(records, images)

    def finished_run(self, recipe: Recipe, honest: bool) -> Run:
        """Return the evaluated run of a recipe: an existing, a resumed or a new one."""
        base = f"{recipe.name}-{'honest-' if honest else ''}seed{recipe.seed}"
        number = 1
        while (self.folder / f"{base}-{number}").exists():
            run = Run(self.folder / f"{base}-{number}")
            if _is_run_of(run, recipe, self.device):
                if not run.evaluation_file.exists():
                    progress, on_result = self.start(recipe, honest)
                    resumed = resume(
                        run, device=self.device, progress=progress, on_result=on_result
                    )
                    evaluate(run.path, device=self.device, splits=resumed.splits)
                return run
            number += 1
        progress, on_result = self.start(recipe, honest)
        trained = train(
            recipe,
            runs_dir=self.folder,
            name=f"{base}-{number}",
            device=self.device,
            command=f"neocog reproduce {recipe.name}",
            progress=progress,
            on_result=on_result,
        )
        evaluate(trained.run.path, device=self.device, splits=trained.splits)
        return trained.run

    def start(self, recipe: Recipe, honest: bool) -> tuple[Progress, OnResult | None]:
        """Announce a run; returns what watches its training."""
        if self.observer is None:
            return no_progress, None
        self.observer.on_start(recipe, honest)
        return self.observer, self.observer.on_result


def _run_figures(run: Run, recipe: Recipe, result: EvaluationRecord) -> RunFigures:
    """Return the record of a finished run."""
    info = run.read_environment()
    selected = next((m for m in run.read_metrics() if m.epoch == result.selected_epoch), None)
    return RunFigures(
        seed=recipe.seed,
        accuracy=result.accuracy,
        train_accuracy=selected.train_accuracy_after if selected else None,
        seconds=round(result.time_seconds.training, 1),
        device=info.device,
        device_name=info.device_name,
        machine=info.machine,
        cpus=info.cpus,
        threads=info.threads,
        torch=info.torch,
        python=info.python,
        neocog=info.neocog,
        git_commit=info.git_commit,
        started=info.started,
    )


def _is_run_of(run: Run, recipe: Recipe, device: str) -> bool:
    """Whether a run has the settings of this recipe and was trained on this type of device."""
    try:
        run_recipe, environment = run.read_recipe(), run.read_environment()
    except NeocogError:
        return False  # training has not started, or an older version wrote the run
    return environment.device == device and _settings(run_recipe) == _settings(recipe)


def _settings(recipe: Recipe) -> dict[str, JsonValue]:
    """Return the fields of a recipe that affect training, without its documentation."""
    documentation = (
        "source", "printed_test_accuracy", "printed_train_accuracy", "honest_validation_size",
    )  # fmt: skip
    return {key: value for key, value in recipe.to_json().items() if key not in documentation}


def _write(folder: Path, row: Reproduction) -> None:
    """Write a row, unless the existing file has more seeds of the same settings."""
    folder.mkdir(parents=True, exist_ok=True)
    path, values = folder / f"{row.recipe.name}.json", row.to_json()
    settings = json.loads(json.dumps(_settings(row.recipe)))
    if path.exists():
        existing = json.loads(path.read_text("utf-8"))
        # A field that is missing in an older file has its default, which changes nothing.
        if settings | existing.get("settings", {}) == settings and existing["n"] > values["n"]:
            return
    text = json.dumps({**values, "settings": settings}, indent=2, ensure_ascii=False)
    write_atomic(path, text + "\n")
