"""Images a second of Neocog's training loop against the tutorials' own way, as ratios.

    python benchmarks/speed.py                 the four tutorial networks, three pairs each
    python benchmarks/speed.py lenet5 -n 5     one network, five pairs
    python benchmarks/speed.py --where         where Neocog's time goes, phase by phase
    python benchmarks/speed.py --plain         against the least that plain PyTorch needs
    python benchmarks/speed.py --allocator     with and without keeping freed memory

The same network, batch size, loss and optimiser on the same digits. The tutorial's way is
torchvision's MNIST data set with its transforms, a DataLoader, and `loss.item()` at every step;
Neocog's is the ordinary `neocog.train`. Every measurement is a process of its own, the two ways
take turns, and what counts is the median of the pairs' ratios.
"""

import argparse
import json
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from neocog import data, models, recipes, training
from neocog.allocator import keep_freed_memory
from neocog.data import loader
from neocog.recipes import Recipe
from neocog.training import train
from neocog.training.loss import make_loss
from neocog.training.optimizer import make_optimizer

RECIPES = ("threenet", "lenet", "lenet5", "convnet")
PICTURES = {"threenet": 55000, "lenet": 8000, "lenet5": 12000, "convnet": 12000}
DATA = "mnist"


def tutorial_way(name: str, count: int) -> float:
    """Images a second of the tutorial's program."""
    from torch.utils.data import DataLoader, Subset
    from torchvision import datasets, transforms

    recipe = recipes.get(name)
    everything = data.load(DATA, data.DataConfig(validation_size=0)).train
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for half in ("train", "t10k"):  # torchvision wants both
            images, labels = everything.images[:, :, :, 0], everything.labels.astype("uint8")
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
                (raw / f"{half}-{kind}-ubyte").write_bytes(head + array.tobytes())
        steps = [transforms.ToTensor()]
        if recipe.std != (1.0,):
            steps.append(transforms.Normalize(recipe.mean, recipe.std))
        full = datasets.MNIST(folder, train=True, transform=transforms.Compose(steps))
    loader = DataLoader(Subset(full, range(count)), batch_size=recipe.batch_size, shuffle=True)
    model, optimizer = published(recipe)
    loss_of = torch.nn.CrossEntropyLoss()
    running, begin = 0.0, time.perf_counter()
    for images, labels in loader:
        optimizer.zero_grad()
        loss = loss_of(model(images), labels)
        loss.backward()
        optimizer.step()
        running += loss.item()
    return count / (time.perf_counter() - begin)


def plain_way(name: str, count: int) -> float:
    """Images a second of the least that plain PyTorch needs: floats in memory, no figures."""
    recipe = recipes.get(name)
    splits = data.load(DATA, data.DataConfig(recipe.mean, recipe.std, 60000 - count))
    images = splits.preprocessing.normalize(torch.tensor(splits.train.images))
    labels = torch.tensor(splits.train.labels)
    model, optimizer = published(recipe)
    begin = time.perf_counter()
    for chosen in torch.randperm(count).split(recipe.batch_size):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    return count / (time.perf_counter() - begin)


def published(recipe: Recipe) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The network and the optimiser as the tutorial's program makes them."""
    model = models.build(recipe.model, 10, 1, (28, 28))
    if recipe.optimizer == "adam":
        optimizer = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
    else:
        optimizer = torch.optim.SGD(
            model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum
        )
    return model, optimizer


def neocog_way(name: str, count: int, allocator: bool = True) -> float:
    """Images a second of the ordinary training loop, from the first step to the last."""
    if not allocator:
        training.keep_freed_memory = lambda: None
    overrides = {"data": DATA, "epochs": 1, "validation_size": 60000 - count, "select": "last"}
    recipe = recipes.get(name, overrides)
    times: list[float] = []

    def progress(_stage: str, _done: int, _total: int) -> None:
        times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        train(recipe, runs_dir=Path(folder), device="cpu", progress=progress)
    return (count - recipe.batch_size) / (times[-1] - times[0])


def where(name: str, steps: int = 300) -> dict[str, float]:
    """The share of each phase of a step, by the clock: on a CPU nothing runs behind its back."""
    keep_freed_memory()
    recipe = recipes.get(name)
    splits = data.load(DATA, data.DataConfig(recipe.mean, recipe.std))
    images, labels = loader.to_device(splits.train, torch.device("cpu"))
    model = models.build(recipe.model, 10, 1, (28, 28))
    optimizer, loss_of = make_optimizer(model, recipe), make_loss(recipe)
    spent = dict.fromkeys(("batch by index", "normalise", "forward", "backward", "optimiser"), 0.0)
    order = loader.order(len(images), 0, 0)
    batch_bounds = loader.batch_bounds(len(images), recipe.batch_size)

    def timed(phase: str, action: Callable[[], object]) -> object:
        begin = time.perf_counter()
        result = action()
        spent[phase] += time.perf_counter() - begin
        return result

    taking = loader.batches(images, labels, order, batch_bounds)
    for _ in range(min(steps, len(batch_bounds))):
        _, batch, targets = timed("batch by index", lambda: next(taking))
        inputs = timed("normalise", lambda p=batch: splits.preprocessing.normalize(p))
        loss = timed("forward", lambda x=inputs, t=targets: loss_of(model(x), t))
        optimizer.zero_grad()
        timed("backward", loss.backward)
        timed("optimiser", optimizer.step)
    total = sum(spent.values())
    return {phase: seconds / total for phase, seconds in spent.items()}


def measure(way: str, name: str) -> float:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, name, "--measure", way]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(answer.stdout.splitlines()[-1]))


def compare(ways: tuple[str, str], names: list[str], pairs: int) -> None:
    """Print both ways' medians and the median of the pairs' ratios, with the range."""
    print(f"{'network':<10} {ways[0]:>14} {ways[1]:>18}   ratio (lowest to highest of {pairs})")
    for name in names:
        found = [[measure(way, name) for way in ways] for _ in range(pairs)]
        first, second = (statistics.median(column) for column in zip(*found, strict=True))
        ratios = sorted(b / a for a, b in found)
        print(
            f"{name:<10} {first:>12,.0f}/s {second:>16,.0f}/s   {statistics.median(ratios):.1f}x"
            f"  ({ratios[0]:.1f} to {ratios[-1]:.1f})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=list(RECIPES), metavar="NETWORK")
    parser.add_argument("-n", "--pairs", type=int, default=3)
    parser.add_argument("--where", action="store_true")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--allocator", action="store_true")
    parser.add_argument("--measure", choices=("tutorial", "plain", "neocog", "default-malloc"))
    options = parser.parse_args()
    if options.measure:
        name = options.names[0]
        ways = {
            "tutorial": tutorial_way,
            "plain": plain_way,
            "neocog": neocog_way,
            "default-malloc": lambda n, count: neocog_way(n, count, allocator=False),
        }
        print(json.dumps(ways[options.measure](name, PICTURES[name])))
    elif options.where:
        for name in options.names:
            shares = ", ".join(f"{k} {share:.0%}" for k, share in where(name).items())
            print(f"{name:<10} {shares}", flush=True)
    elif options.plain:
        compare(("plain", "neocog"), options.names, options.pairs)
    elif options.allocator:
        compare(("default-malloc", "neocog"), options.names, options.pairs)
    else:
        compare(("tutorial", "neocog"), options.names, options.pairs)


if __name__ == "__main__":
    main()
