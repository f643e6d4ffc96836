"""Which backbone to begin with: photo sets trained by `neocog train` with each.

    python benchmarks/backbones.py ../shared/data/hymenoptera [PHOTOS ...] [--models NAME NAME ...]

One line per photo set and network: the accuracy on its test images with the 95% interval, and the
processor time (user and system) of the whole command with nothing cached, and again with decoded
images and features cached. The line below compares a network with the first one: how many test
images only one of them gets right, and the p value of McNemar's exact test.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scipy.stats import binomtest


def trained(photos: Path, model: str, place: str) -> tuple[dict[str, Any], float]:
    """What `neocog train` prints, and the seconds of processor time that it takes."""
    command = ["train", str(photos), "--model", model, "--json"]
    folders = {"NEOCOG_RUNS": f"{place}/runs", "NEOCOG_CACHE": f"{place}/{model}"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "neocog", *command],
        env={**os.environ, "NEOCOG_OFFLINE": "1", **folders},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"neocog {' '.join(command)} failed: {done.stdout}")
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return json.loads(done.stdout), seconds


def right_answers(run: str) -> set[str]:
    """The paths of the test images that a run gets right."""
    with (Path(run) / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return {row["path"] for row in csv.DictReader(file) if row["truth"] == row["label"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--models", nargs="+", default=["efficientnet-lite0", "efficientnet-lite2"])
    options = parser.parse_args()
    for photos in options.photos:
        right: list[set[str]] = []
        with tempfile.TemporaryDirectory() as place:
            for model in options.models:
                answer, cold = trained(photos, model, place)
                right.append(right_answers(answer["run"]))
                warm = trained(photos, model, place)[1]
                low, high = answer["interval"]
                print(
                    f"{photos.name}, {model}: {answer['accuracy']:.2%} ({low:.2%} to {high:.2%}, "
                    f"n = {answer['n']}), processor time {cold:.1f} s, cached {warm:.1f} s",
                    flush=True,
                )
                first, second = len(right[0] - right[-1]), len(right[-1] - right[0])
                if first + second:
                    p = binomtest(first, first + second).pvalue
                    print(f"  only {options.models[0]}: {first}, only {model}: {second}, p {p:.2f}")


if __name__ == "__main__":
    main()
