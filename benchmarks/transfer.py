"""Transfer learning on a folder of photos: `neocog train` against the tutorials' own way.

    python benchmarks/transfer.py ../shared/data/hymenoptera [--seeds 5] [--repeats 3]

Both use EfficientNet-Lite0 with the same ImageNet weights, its features frozen. The tutorials' way
decodes every photo and runs the whole network over it in every one of five epochs, in batches of
five. Times are of whole processes, in turn. `cold-first` begins with an empty cache, so that the
backbone is exported too, which happens once per machine; `cold` with the exported backbone alone;
`decoded` with the decoded images besides; `warm` with all that was kept, features too; `answer` is
when a warm one prints its accuracy: plots and report come after that. Processor seconds of ours
stand beside them: on a busy machine they say more. The folder has train/ and val/; val is the test.
The labels of all test images are compared with those of the same model file run by PyTorch.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

EPOCHS, BATCH = 5, 5


def tutorial(folder: Path) -> float:
    """The tutorials' loop, on a network that fits the comparison; returns the test accuracy."""
    import torch
    from torch import nn
    from torchvision import datasets, transforms

    from neocog import models
    from neocog.models import pretrained

    torch.manual_seed(0)
    normalise = transforms.Normalize([0.5] * 3, [0.5] * 3)
    train = transforms.Compose(
        [
            transforms.Resize(230),
            transforms.CenterCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            normalise,
        ]
    )
    test = transforms.Compose(
        [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), normalise]
    )
    loaders = {
        name: torch.utils.data.DataLoader(
            datasets.ImageFolder(folder / name, how), BATCH, shuffle=name == "train"
        )
        for name, how in (("train", train), ("val", test))
    }
    model = models.build("efficientnet-lite0", 2, 3, (224, 224))
    pretrained.load_pretrained(model, "efficientnet-lite0", "imagenet")
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.output = nn.Linear(1280, 2)
    optimizer = torch.optim.SGD(model.output.parameters(), lr=0.001, momentum=0.9)
    model.eval()
    for _ in range(EPOCHS):
        for images, labels in loaders["train"]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).sum().item() for x, y in loaders["val"]]
    return sum(right) / len(loaders["val"].dataset)


@dataclass(frozen=True)
class Timing:
    """Seconds of a process, until it tells people an accuracy, and of processors; its output."""

    seconds: float
    told: float
    processor: float
    printed: str


def processor_seconds() -> float:
    """Seconds of processors that all ended child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(command: list[str], environment: dict[str, str]) -> Timing:
    begin, before = time.perf_counter(), processor_seconds()
    told = 0.0
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        for line in process.stderr:
            if line.startswith("Accuracy"):
                told = time.perf_counter() - begin
        printed = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    return Timing(time.perf_counter() - begin, told, processor_seconds() - before, printed)


def same_labels(run: str) -> tuple[int, int]:
    """The number of test images, and of those with the labels of the PyTorch reference."""
    from neocog import classifier
    from neocog.evaluation.evaluate import evaluate, splits_of

    loaded = classifier.load(run, engine="onnx")
    splits = splits_of(loaded, Path(run) / "model.safetensors")
    found, reference = (
        evaluate(run, engine=engine, splits=splits).probabilities.argmax(1)
        for engine in ("onnx", "torch")
    )
    return len(found), int((found == reference).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tutorial", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tutorial:
        print(tutorial(options.folder))
        return
    kinds = ("tutorial", "cold-first", "cold", "decoded", "warm", "answer")
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    processor: dict[str, list[float]] = {kind: [] for kind in kinds[:-1]}
    accuracies = []

    def measure(kind: str, command: list[str], environment: dict[str, str]) -> Timing:
        found = timed(command, environment)
        seconds[kind].append(found.seconds)
        processor[kind].append(found.processor)
        return found

    with tempfile.TemporaryDirectory() as place:
        base = {**os.environ, "NEOCOG_OFFLINE": "1", "NEOCOG_RUNS": f"{place}/runs"}
        ours = [sys.executable, "-m", "neocog", "train", str(options.folder), "--json"]
        theirs = [sys.executable, __file__, str(options.folder), "--tutorial"]
        for repeat in range(options.repeats):
            cache = {**base, "NEOCOG_CACHE": f"{place}/cache{repeat}"}
            computed = Path(cache["NEOCOG_CACHE"], "computed")
            measure("cold-first", ours, cache)
            printed = measure("tutorial", theirs, base).printed
            for kept in computed.iterdir():
                if kept.name != "backbones":
                    shutil.rmtree(kept)
            measure("cold", ours, cache)
            shutil.rmtree(computed / "features")
            measure("decoded", ours, cache)
            seconds["answer"].append(measure("warm", ours, cache).told)
            shown = ", ".join(f"{name} {found[-1]:.1f} s" for name, found in seconds.items())
            print(f"repeat {repeat}: {shown}", flush=True)
        for seed in range(options.seeds):
            answer = json.loads(timed([*ours, "--seed", str(seed)], cache).printed)
            accuracies.append(answer["accuracy"])
        os.environ.update(cache)  # the decoded images are there
        compared, same = same_labels(answer["run"])
    spread = 100 * statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    mean, seeds = statistics.mean(accuracies), len(accuracies)
    print(f"tutorial's way: {float(printed):.2%}")
    print(f"neocog: {mean:.2%} ± {spread:.2f} ({seeds} seeds), n = {answer['n']}")
    print(f"labels as those of PyTorch: {same} of {compared}")
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    for name in kinds[1:]:
        ratio = middle["tutorial"] / middle[name]
        spent = (
            f" ({statistics.median(processor[name]):.1f} of processors)"
            if name in processor
            else ""
        )
        print(
            f"{name}: {middle[name]:.1f} s{spent}, {ratio:.1f} times as fast as the tutorial's way"
        )


if __name__ == "__main__":
    main()
