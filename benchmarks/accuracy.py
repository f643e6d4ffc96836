"""Test accuracy and training time of a recipe over several seeds: mean, standard deviation, n.

python benchmarks/accuracy.py mnist --seeds 5
"""

import argparse
import platform
import statistics
import tempfile
from pathlib import Path

import torch

from neocog import recipes
from neocog.evaluate import evaluate
from neocog.training import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    accuracies, seconds = [], []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            recipe = recipes.get(options.recipe, {"seed": seed})
            run = train(recipe, runs_dir=Path(folder), device=options.device)
            result = evaluate(run.path).result
        accuracies.append(100 * result["accuracy"])
        seconds.append(result["time_seconds"]["training"])
        print(f"seed {seed}: {accuracies[-1]:.2f}% in {seconds[-1]:.1f} s", flush=True)
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    print(
        f"{options.recipe}: {statistics.mean(accuracies):.3f}% +- {spread:.3f} (n = "
        f"{len(accuracies)}), median {statistics.median(seconds):.1f} s of training; torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}"
    )


if __name__ == "__main__":
    main()
