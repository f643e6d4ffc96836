"""What a run records about its machine and versions, and a model file about its training."""

import os
import platform
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import neocog
from neocog import data
from neocog.data import Splits
from neocog.recipes import Recipe
from neocog.training.head import tunes


def describe_environment(
    recipe: Recipe, device: torch.device, splits: Splits, read_seconds: float
) -> dict[str, Any]:
    """The machine, the versions and the data of a run that begins now, as JSON."""
    return {
        "neocog": neocog.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "machine": _machine(),
        "git_commit": _git_commit(),
        "seed": recipe.seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "read_seconds": read_seconds,
        "data": splits.describe(),
    }


def _machine() -> str:
    """The processor in words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """The commit of the source tree that this package runs from, None where it is installed."""
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


def model_facts(recipe: Recipe, splits: Splits, line: dict[str, Any]) -> dict[str, Any]:
    """What the model file says of itself beyond what is needed to use it.

    Two equal trainings give equal files: no place, date or time is in it. The run's recipe.json has
    the places.
    """
    by = recipe.select if tunes(recipe, line) else line.get("head/chosen_by", recipe.select)
    varies = ("time_seconds", "features_seconds", "head_seconds", "head/kept")
    metrics = {name: value for name, value in line.items() if name not in varies}
    weights = recipe.weights
    if weights not in ("random", "imagenet"):
        weights = Path(weights).name
    name = data.bare_name(recipe.data)
    return {
        "recipe": replace(recipe, data=name, weights=weights).to_json(),
        "data": {**splits.describe(), "name": name},
        "selected": {"epoch": line["epoch"], "by": by, "metrics": metrics},
    }
