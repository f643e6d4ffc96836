"""Provenance: the machine and versions of a run, and the training facts in a model file."""

import os
import platform
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import neocog
from neocog import data
from neocog.data import Splits
from neocog.messages import Message
from neocog.recipes import Recipe
from neocog.records import EpochMetrics, ModelFacts, RecipeFacts, RunInfo, SelectedFacts
from neocog.training.head import fine_tunes


def describe_environment(recipe: Recipe, splits: Splits, read_seconds: float) -> RunInfo:
    """The machine, versions and data of a run that begins now, on the CPU.

    `read_seconds` is how long reading the data took. Who computes adds its version and threads.
    """
    return RunInfo(
        neocog=neocog.__version__,
        python=platform.python_version(),
        system=platform.platform(),
        device="cpu",
        cpus=os.cpu_count(),
        machine=_processor_name(),
        git_commit=_git_commit(),
        seed=recipe.seed,
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        read_seconds=read_seconds,
        data=splits.describe(),
    )


def _processor_name() -> str:
    """The model name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """The commit of the source tree that this package runs from; None if it is installed."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def model_facts(
    recipe: Recipe, splits: Splits, epoch: int, metrics: EpochMetrics | None
) -> ModelFacts:
    """The part of a model file's metadata that describes its training.

    `metrics` are those of the selected `epoch`; None if they are lost. Equal trainings give equal
    files: neither paths, dates nor times are included; the run's recipe.json has the paths.
    """
    selected_by: Message | str = recipe.select
    if metrics and metrics.head and not fine_tunes(recipe, metrics):
        selected_by = metrics.head.chosen_by
    varying = ("time_seconds", "features_seconds", "head_seconds", "head/kept")
    values = metrics.to_json() if metrics else {"epoch": epoch}
    weights = recipe.weights
    if weights not in ("random", "imagenet"):
        weights = Path(weights).name
    name = data.bare_name(recipe.data)
    recorded = replace(recipe, data=name, weights=weights)
    return ModelFacts(
        recipe=RecipeFacts(recipe.name, recorded.to_json()),
        data=replace(splits.describe(), name=name),
        selected=SelectedFacts(
            epoch, selected_by, {key: values[key] for key in values if key not in varying}
        ),
    )
