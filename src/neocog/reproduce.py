"""Published figures against measured ones: train each recipe over several seeds, and compare."""

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
from neocog.classifier import pick_device
from neocog.data import DATASETS
from neocog.errors import NeocogError, UsageError
from neocog.evaluation.evaluate import evaluate
from neocog.metrics.accuracy import wilson_interval
from neocog.recipes import Recipe
from neocog.runs import Run
from neocog.storage.atomic import write_atomic
from neocog.training import resume, train
from neocog.training.session import Report

# What `neocog reproduce` runs where no recipe is named: the tutorials', the LeNets' and ours. Those
# that want a GPU for hours (resnet20, allconv and others) are run when they are named.
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
QUICK = ("quickstart", "mnist-fast", "convnet")  # each ends within a minute on two cores
# A run below so many seconds is repeated so often, and so often in its honest form.
SEEDS_BY_SECONDS = ((120.0, 5, 5), (1800.0, 3, 1), (math.inf, 1, 1))

# Told which run begins, and whether it is the honest one; gives what training reports to.
Announce = Callable[[Recipe, bool], Report | None]


@dataclass(frozen=True)
class Measured:
    """What one recipe gave over seeds 0..n-1.

    A run is its `seed`, `accuracy` and `train_accuracy` (None where the recipe does not look at
    it), 0..1, its training `seconds`, and where and when it was made. `images` is how many test
    images there are.
    """

    runs: list[dict[str, Any]]
    images: int

    @property
    def accuracies(self) -> list[float]:
        """Each seed's accuracy, 0..1."""
        return [run["accuracy"] for run in self.runs]

    @property
    def std(self) -> float | None:
        """The standard deviation over seeds; None of one."""
        return statistics.stdev(self.accuracies) if len(self.runs) > 1 else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval: Student's over three seeds and more, else Wilson's of the images."""
        n, mean = len(self.runs), statistics.mean(self.accuracies)
        if n < 3 or not self.std:
            return wilson_interval(round(mean * self.images), self.images)
        half = float(scipy.stats.t.ppf(0.975, n - 1)) * self.std / math.sqrt(n)
        return mean - half, min(1.0, mean + half)

    def to_json(self) -> dict[str, Any]:
        """The figures and the runs they come from."""
        trained = [run["train_accuracy"] for run in self.runs if run["train_accuracy"] is not None]
        return {
            "mean": statistics.mean(self.accuracies),
            "std": self.std,
            "n": len(self.runs),
            "interval": list(self.interval),
            "train_mean": statistics.mean(trained) if trained else None,
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
    """Train the named recipes, or all published ones, and compare them with what was printed.

    One row a recipe is given as soon as it is known, and written to `results`, a folder, unless a
    file with more seeds of the same recipe is there. `seeds` None is 5 where a run takes under two
    minutes, 3 under half an hour, else 1, and 1 for the honest form of what takes two minutes; with
    `quick`, which takes the recipes that end within a minute, it is 1. Runs are kept in the folder
    `reproduce` among the runs: finished ones of the same kind of device are taken as they are, one
    that was stopped goes on. A recipe whose data are missing gives a row with an `error`, and the
    next one begins. Raises UsageError, at the first row, for a name that is no recipe or needs a
    folder of yours, and otherwise as `train` does.
    """
    if quick and names:
        raise UsageError("--quick has its own list of recipes.", "Say: neocog reproduce --quick")
    chosen = [recipes.get(name) for name in names or (QUICK if quick else PUBLISHED)]
    for recipe in chosen:
        if recipe.data not in DATASETS:
            raise UsageError(
                f"The recipe {recipe.name} trains on a folder of yours: there is no figure to "
                "reproduce.",
                f"Train it: neocog train FOLDER --recipe {recipe.name}",
            )
    if seeds is None and quick:
        seeds = 1
    bench = _Bench(
        runs.runs_folder(runs_dir) / "reproduce", pick_device(device).type, announce, seeds
    )
    for recipe in chosen:
        try:
            row = bench.row(recipe)
        except UsageError:
            raise
        except NeocogError as error:
            yield {**_words(recipe), **dict.fromkeys(_FIGURES), "error": str(error)}
            continue
        if results:
            _write(results, row, recipe)
        yield row


_FIGURES = ("mean", "std", "n", "interval", "train_mean", "time_seconds", "honest", "verdict")


def _words(recipe: Recipe) -> dict[str, Any]:
    """What a row says of its recipe."""
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
class _Bench:
    """Where runs are kept, what they run on, who is told, and how many seeds are wanted."""

    folder: Path
    device: str
    announce: Announce | None
    seeds: int | None

    def row(self, recipe: Recipe) -> dict[str, Any]:
        """The figures of a recipe, trained as published and honestly."""
        found = self.measure(recipe, honest=False)
        honest = None
        if recipe.honest_validation_size:
            twin = replace(
                recipe, validation_size=recipe.honest_validation_size, select="validation/accuracy"
            )
            honest = self.measure(twin, honest=True).to_json()
        verdict = None
        if recipe.printed_test_accuracy is not None:
            verdict = "FAIL" if found.interval[1] < recipe.printed_test_accuracy else "PASS"
        return {
            **_words(recipe),
            **found.to_json(),
            "honest": honest,
            "verdict": verdict,
            "error": None,
        }

    def measure(self, recipe: Recipe, honest: bool) -> Measured:
        """A recipe over its seeds: runs that are there already are not run again."""
        found: list[dict[str, Any]] = []
        wanted, images = 1, 0
        while len(found) < wanted:
            seeded = replace(recipe, seed=len(found))
            run = self.finished(seeded, honest)
            result = run.read_evaluation()
            assert result is not None
            found.append(_facts(run, seeded, result))
            images = result["n"]
            by_time = next(n for limit, *n in SEEDS_BY_SECONDS if found[0]["seconds"] < limit)[
                honest
            ]
            wanted = self.seeds or by_time
            if honest:
                wanted = min(wanted, by_time)
        return Measured(found, images)

    def finished(self, recipe: Recipe, honest: bool) -> Run:
        """The run of exactly this recipe, evaluated: found, gone on with, or trained."""
        base = f"{recipe.name}-{'honest-' if honest else ''}seed{recipe.seed}"
        report = functools.partial(self.announce, recipe, honest) if self.announce else lambda: None
        number = 1
        while (self.folder / f"{base}-{number}").exists():
            run = Run(self.folder / f"{base}-{number}")
            if _trains(run, recipe, self.device):
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


def _facts(run: Run, recipe: Recipe, result: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a finished run."""
    environment = run.read_environment()
    chosen = next((ln for ln in run.read_metrics() if ln["epoch"] == result["selected_epoch"]), {})
    return {
        "seed": recipe.seed,
        "accuracy": result["accuracy"],
        "train_accuracy": chosen.get("train/accuracy_after"),
        "seconds": round(result["time_seconds"]["training"], 1),
        **{
            key: environment.get(key)
            for key in (
                "device", "device_name", "machine", "cpus", "threads",
                "torch", "python", "neocog", "git_commit", "started",
            )
        },
    }  # fmt: skip


def _trains(run: Run, recipe: Recipe, device: str) -> bool:
    """Whether a run is of this recipe on this kind of device; words may have been edited since."""
    try:
        found, environment = run.read_recipe(), run.read_environment()
    except NeocogError:
        return False  # nothing began there, or an older version wrote it
    return environment["device"] == device and _settings(found) == _settings(recipe)


def _settings(recipe: Recipe) -> dict[str, Any]:
    """What a recipe trains, without what is said about it."""
    said = ("source", "printed_test_accuracy", "printed_train_accuracy", "honest_validation_size")
    return {key: value for key, value in recipe.to_json().items() if key not in said}


def _write(folder: Path, row: dict[str, Any], recipe: Recipe) -> None:
    """Keep a row, unless what is there has more seeds of the same settings."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{row['recipe']}.json"
    settings = json.loads(json.dumps(_settings(recipe)))
    if path.exists():
        kept = json.loads(path.read_text("utf-8"))
        # A field that recipes did not have then has the value that changes nothing.
        if settings | kept.get("settings", {}) == settings and kept["n"] > row["n"]:
            return
    text = json.dumps({**row, "settings": settings}, indent=2, ensure_ascii=False)
    write_atomic(path, text + "\n")
