"""Published figures against measured ones: train each recipe over several seeds, and compare."""

import functools
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import scipy.stats
import torch

import neocog
from neocog import recipes, runs
from neocog.data import DATASETS
from neocog.errors import NeocogError, UsageError
from neocog.evaluate import evaluate
from neocog.files import write_atomic
from neocog.metrics.accuracy import wilson_interval
from neocog.recipes import Recipe
from neocog.runs import Run
from neocog.training import resume, train
from neocog.training.train import Report

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
QUICK = ("convnet", "quickstart", "mnist-fast")  # each ends within a minute on two cores
# A run below so many seconds is repeated so often, and so often in its honest form.
SEEDS_BY_SECONDS = ((120.0, 5, 5), (1800.0, 3, 1), (math.inf, 1, 1))

# Told which run begins, and whether it is the honest one; gives what training reports to.
Announce = Callable[[Recipe, bool], Report | None]


@dataclass(frozen=True)
class Measured:
    """Test accuracies of one recipe over seeds 0..n-1, and the training seconds of each."""

    accuracies: list[float]
    seconds: list[float]
    threads: list[int]
    pictures: int

    @property
    def mean(self) -> float:
        """The mean accuracy, 0..1."""
        return statistics.mean(self.accuracies)

    @property
    def std(self) -> float | None:
        """The standard deviation over seeds; None of one."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval: Student's over three seeds and more, else Wilson's of the pictures."""
        n = len(self.accuracies)
        if n < 3 or not self.std:
            return wilson_interval(round(self.mean * self.pictures), self.pictures)
        half = float(scipy.stats.t.ppf(0.975, n - 1)) * self.std / math.sqrt(n)
        return self.mean - half, min(1.0, self.mean + half)

    def to_json(self) -> dict[str, Any]:
        """The figures and the runs they come from."""
        return {
            "mean": self.mean,
            "std": self.std,
            "n": len(self.accuracies),
            "interval": list(self.interval),
            **{key: value for key, value in asdict(self).items() if key != "pictures"},
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
) -> list[dict[str, Any]]:
    """Train the named recipes, or all published ones, and compare them with what was printed.

    `seeds` None is 5 where a run takes under two minutes, 3 under half an hour, else 1, and 1 for
    the honest form of all that take two minutes; with `quick`, which takes the recipes that end
    within a minute, it is 1. Runs are kept in the folder
    `reproduce` among the runs: finished ones are taken as they are, one that was stopped goes on.
    One row a recipe comes back, and is written to `results`, a folder, as soon as it is known.
    Raises UsageError for a name that is no recipe or needs a folder of yours, and as `train` does.
    """
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
    folder = runs.runs_folder(runs_dir) / "reproduce"
    rows = []
    for recipe in chosen:
        found = _measure(recipe, seeds, folder, device, announce, honest=False)
        honest = None
        if recipe.honest_validation_size:
            twin = replace(
                recipe,
                validation_size=recipe.honest_validation_size,
                select="validation/accuracy",
            )
            short = found.seconds[0] < SEEDS_BY_SECONDS[0][0]
            times = seeds if short else None
            honest = _measure(twin, times, folder, device, announce, honest=True)
        rows.append(_row(recipe, found, honest))
        if results:
            _write(results, rows[-1])
    return rows


def _row(recipe: Recipe, found: Measured, honest: Measured | None) -> dict[str, Any]:
    printed = recipe.printed_test_accuracy
    verdict = None
    if printed is not None:
        verdict = "FAIL" if found.interval[1] < printed else "PASS"
    return {
        "recipe": recipe.name,
        "source": recipe.source,
        "model": recipe.model,
        "data": recipe.data,
        "printed": printed,
        **found.to_json(),
        "honest": honest.to_json() if honest else None,
        "time_seconds": statistics.median(found.seconds),
        "verdict": verdict,
    }


def _measure(
    recipe: Recipe,
    seeds: int | None,
    folder: Path,
    device: str,
    announce: Announce | None,
    honest: bool,
) -> Measured:
    """The accuracies of a recipe over its seeds: runs that are there already are not run again."""
    results: list[dict[str, Any]] = []
    threads: list[int] = []
    wanted = seeds or 1
    while len(results) < wanted:
        seeded = replace(recipe, seed=len(results))
        kind = "honest-" if honest else ""
        name = f"{recipe.name}-{kind}seed{seeded.seed}"
        begin = functools.partial(announce, seeded, honest) if announce else lambda: None
        run = _finished(seeded, folder, name, device, begin)
        result = run.read_evaluation()
        assert result is not None
        results.append(result)
        threads.append(run.read_environment()["threads"])
        if seeds is None:
            seconds = results[0]["time_seconds"]["training"]
            counts = next(n for limit, *n in SEEDS_BY_SECONDS if seconds < limit)
            wanted = counts[1] if honest else counts[0]
    return Measured(
        [result["accuracy"] for result in results],
        [round(result["time_seconds"]["training"], 1) for result in results],
        threads,
        results[0]["n"],
    )


def _finished(
    recipe: Recipe, folder: Path, name: str, device: str, begin: Callable[[], Report | None]
) -> Run:
    """The run of exactly this recipe, evaluated: found, gone on with, or trained."""
    number = 1
    while (folder / f"{name}-{number}").exists():
        run = Run(folder / f"{name}-{number}")
        if _trains(run, recipe):
            if not run.evaluation_file.exists():
                resume(run, device=device, report=begin())
                evaluate(run.path, device=device)
            return run
        number += 1
    run = train(
        recipe,
        runs_dir=folder,
        name=f"{name}-{number}",
        device=device,
        command=f"neocog reproduce {recipe.name}",
        report=begin(),
    )
    evaluate(run.path, device=device)
    return run


def _trains(run: Run, recipe: Recipe) -> bool:
    """Whether a run folder is of this recipe; its name, source and figures may have been edited."""
    try:
        found = run.read_recipe()
    except NeocogError:
        return False  # nothing began there, or an older version wrote it
    words = {
        key: getattr(recipe, key)
        for key in (
            "source",
            "printed_test_accuracy",
            "printed_train_accuracy",
            "honest_validation_size",
        )
    }
    return replace(found, **words) == recipe


def _write(folder: Path, row: dict[str, Any]) -> None:
    content = {
        **row,
        "date": time.strftime("%Y-%m-%d"),
        "neocog": neocog.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": _machine(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{row['recipe']}.json"
    write_atomic(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _machine() -> str:
    """The processor in words, its cores, and the accelerator where there is one."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    cuda = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}{cuda}"
