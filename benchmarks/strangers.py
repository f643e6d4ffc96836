"""How sure a fitted last layer is of strangers, by how its penalty is chosen.

    python benchmarks/strangers.py ../shared/data [--seeds 5] [--features FILE.npz] [--only mnist]

Small balanced training sets are drawn from ants and bees, CIFAR-10 (32 pixels, enlarged) and MNIST.
The head of EfficientNet-Lite0 is fitted to each in three ways:

- `least`: the penalty with the least log-loss on held-out images (cross-validation, or validation
  from 500 training images on), fitted to train alone: what `neocog train` did before;
- `chosen`: the penalty that `neocog train` takes, fitted to train alone;
- `refit`: the same penalty, fitted to train and validation: what `neocog train` does.

The table gives, for each way, the mean over the seeds of the accuracy and of the log-loss on test
images, and the share of strangers - images of classes that the head has never seen - that get one
of its classes with more than 99%. The last column counts the seeds in which `refit` has a lower
log-loss than `chosen`, and the lines below the table compare the ways over all sets and seeds. The
features are computed once and kept in FILE, of images in the form that `neocog train FOLDER` gives
them.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from neocog import data, models, recipe_context, recipes
from neocog.metrics.selection import log_losses
from neocog.models import pretrained
from neocog.models.inference import InferenceModule, predict_logits
from neocog.recipes.resolve import resolve
from neocog.training import head

POOL = {"cifar10": 200, "mnist": 80}  # images of a class
CERTAIN = 0.99
MOST_TEST, MOST_STRANGERS = 100, 1500  # images of a class, images in all
WAYS = ("least", "chosen", "refit")
COLOUR = data.DataConfig((0.5,) * 3, (0.5,) * 3)
VALIDATION_SHARE = 0.15 / 0.85  # of what is not test, as `neocog train FOLDER` holds back


@dataclass(frozen=True)
class Task:
    """Classes of one source, and how many images of each are drawn, validation among them."""

    source: str
    classes: tuple[str, ...]
    count: int

    @property
    def name(self) -> str:
        """The row's name."""
        named = "/".join(self.classes) if len(self.classes) < 4 else f"{len(self.classes)} classes"
        return f"{self.source} {named}, {self.count} each"


def tasks(labels: dict[str, np.ndarray]) -> list[Task]:
    """The training sets that are tried."""
    pairs = [
        ("hymenoptera", ("ants", "bees"), (20, 40, 100)),
        ("cifar10", ("cat", "dog"), (20, 40, 100)),
        ("cifar10", ("airplane", "frog"), (20, 40, 100)),
        ("cifar10", ("automobile", "truck"), (20, 40, 100)),
        ("cifar10", ("bird", "deer", "ship"), (20, 30, 100)),
        ("cifar10", tuple(sorted(set(labels["cifar10"].tolist()))), (10, 20, 40, 100)),
        ("mnist", ("3", "8"), (20, 40)),
        ("mnist", tuple("0123456789"), (10, 20, 40)),
    ]
    return [Task(source, classes, n) for source, classes, counts in pairs for n in counts]


def photos(folder: Path) -> dict[str, tuple[list[np.ndarray], list[str]]]:
    """RGB images and the names of their classes, by source."""
    paths = sorted((folder / "hymenoptera").glob("*/*/*.jpg"))
    images = [np.asarray(Image.open(p).convert("RGB")) for p in paths]
    found = {"hymenoptera": (images, [p.parent.name for p in paths])}
    for name, count in POOL.items():
        form = COLOUR if name == "cifar10" else data.DataConfig()
        test = data.load(name, form).test
        chosen = np.concatenate([np.flatnonzero(test.labels == k)[:count] for k in range(10)])
        raw = np.asarray(test.images)[chosen]
        coloured = raw if raw.shape[3] == 3 else np.repeat(raw, 3, 3)
        found[name] = list(coloured), [test.classes[test.labels[n]] for n in chosen]
    return found


def features(folder: Path, kept: Path | None) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The head's inputs, N x 1280, and the classes' names, N, by source."""
    if kept and kept.exists():
        stored = np.load(kept)
        sources = [name.removesuffix("/labels") for name in stored if name.endswith("/labels")]
        return (
            {name: torch.tensor(stored[f"{name}/features"]) for name in sources},
            {name: stored[f"{name}/labels"] for name in sources},
        )
    recipe = resolve(recipe_context, recipes.get("photos", {"data": "mnist5k"}))
    rule = data.data_config(recipe).preprocessing()
    model = models.build("efficientnet-lite0", 2, 3, rule.image_size)
    pretrained.load_pretrained(model, "efficientnet-lite0", "imagenet")
    model.output = torch.nn.Identity()
    rows, labels = {}, {}
    for name, (images, classes) in photos(folder).items():
        fitted = np.stack([rule.transform_image(image) for image in images])
        rows[name] = predict_logits(
            InferenceModule(model, rule), fitted, lambda n, name=name: print(name, n, flush=True)
        )
        labels[name] = np.array(classes)
    if kept:
        parts = {f"{name}/features": rows[name].numpy() for name in rows}
        np.savez(kept, **parts, **{f"{name}/labels": labels[name] for name in labels})
    return rows, labels


@dataclass(frozen=True)
class Draw:
    """One training set: features and labels to fit to, to validate and to test by; strangers."""

    train: tuple[torch.Tensor, np.ndarray]
    validation: tuple[torch.Tensor, np.ndarray]
    test: tuple[torch.Tensor, np.ndarray]
    strangers: torch.Tensor


def draw(
    task: Task, rows: dict[str, torch.Tensor], labels: dict[str, np.ndarray], seed: int
) -> Draw:
    random = np.random.RandomState(seed)
    mine = labels[task.source]
    held = max(1, round(task.count * VALIDATION_SHARE))
    places: list[list[np.ndarray]] = [[], [], []]
    for name in task.classes:
        order = random.permutation(np.flatnonzero(mine == name))
        batch_bounds = np.split(order, [held, task.count, task.count + MOST_TEST])[:3]
        for part, cut in zip(
            places, (batch_bounds[1], batch_bounds[0], batch_bounds[2]), strict=True
        ):
            part.append(cut)
    parts = []
    for part in places:
        truth = np.repeat(np.arange(len(part)), [len(cut) for cut in part])
        parts.append((rows[task.source][np.concatenate(part)], truth))
    # Digits are drawn in black and white: as strangers of photos they are too easy.
    others = [rows[name] for name in rows if name not in (task.source, "mnist")]
    strangers = torch.cat([rows[task.source][~np.isin(mine, task.classes)], *others])
    some = np.random.RandomState(0).permutation(len(strangers))[:MOST_STRANGERS]
    return Draw(*parts, strangers[some])


def known(labels: np.ndarray, classes: int) -> head.HeadData:
    names = tuple(map(str, range(len(labels))))
    return head.HeadData(labels, names, np.arange(len(labels)), classes)


def least(drawn: Draw, classes: int) -> float:
    """The penalty with the least log-loss on held-out images, as Neocog took it before."""
    features, labels = drawn.train
    truth = known(labels, classes)
    parts = []
    for part in truth.folds(head.FOLDS):
        rest = np.setdiff1d(np.arange(len(labels)), part)
        parts.append((rest, features[part], labels[part]))
    if len(labels) >= head.CROSS_VALIDATE_BELOW:
        parts = [(np.arange(len(labels)), *drawn.validation)]
    losses = np.zeros(len(head.PENALTIES))
    for rest, judged, right in parts:
        problem = head.LogisticRegression(features[None, rest], truth.subset(rest))
        for n, penalty in enumerate(head.PENALTIES):
            weight, bias = problem.solve(penalty)
            losses[n] += log_losses((judged @ weight.T + bias).numpy(), right).mean()
    return head.PENALTIES[int(losses.argmin())]


def measure(drawn: Draw, classes: int) -> dict[str, np.ndarray]:
    """Accuracy, log-loss and share of strangers above 99%, for each way; penalties for two."""
    (features, labels), (held, truth) = drawn.train, drawn.validation
    train = known(labels, classes)
    fitted = {"chosen": head.fit(features[None], train, held, truth)}
    penalty = least(drawn, classes)
    fitted["least"] = replace(
        fitted["chosen"], **solved(head.LogisticRegression(features[None], train), penalty)
    )
    both = known(np.concatenate([labels, truth]), classes)
    fitted["refit"] = head.refit(fitted["chosen"], torch.cat([features, held])[None], both)
    found = {}
    for way in WAYS:
        outputs = fitted[way].logits(drawn.test[0]).numpy()
        sure = torch.softmax(fitted[way].logits(drawn.strangers), 1).max(1).values > CERTAIN
        found[way] = np.array(
            [
                (outputs.argmax(1) == drawn.test[1]).mean(),
                log_losses(outputs, drawn.test[1]).mean(),
                sure.float().mean().item(),
            ]
        )
    found["penalties"] = np.array([penalty, fitted["chosen"].choice.penalty])
    return found


def solved(problem: head.LogisticRegression, penalty: float) -> dict[str, torch.Tensor]:
    return dict(zip(("weight", "bias"), problem.solve(penalty), strict=True))


def compared(found: list[dict[str, np.ndarray]], one: str, other: str) -> str:
    """How two ways differ over all sets and seeds, in words."""
    gaps = np.array([run[other] - run[one] for run in found])
    means, errors = gaps.mean(0), gaps.std(0, ddof=1) / np.sqrt(len(gaps))
    return (
        f"{other} against {one}, {len(found)} fits: accuracy {100 * means[0]:+.2f} ± "
        f"{100 * errors[0]:.2f} points, log-loss {means[1]:+.4f} ± {errors[1]:.4f} (lower in "
        f"{(gaps[:, 1] < 0).sum()}), strangers above 99% {100 * means[2]:+.1f} points"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--features", type=Path, help="where the features are kept")
    parser.add_argument("--only", default="", help="tasks with this in their names")
    options = parser.parse_args()
    rows, labels = features(options.folder, options.features)
    torch.set_num_threads(1)
    print("| images | accuracy | log-loss | strangers > 99% | penalty | refit lower |")
    print("|---|---|---|---|---|---|")
    everything = []
    for task in tasks(labels):
        if options.only not in task.name:
            continue
        seeds = range(options.seeds)
        found = [measure(draw(task, rows, labels, seed), len(task.classes)) for seed in seeds]
        everything += found
        means = np.array([np.mean([run[way] for run in found], 0) for way in WAYS])
        cells = [
            " / ".join(f"{100 * v:.1f}%" for v in means[:, 0]),
            " / ".join(f"{v:.3f}" for v in means[:, 1]),
            " / ".join(f"{100 * v:.1f}%" for v in means[:, 2]),
            " / ".join(
                f"{v:.2g}" for v in np.exp(np.mean([np.log(run["penalties"]) for run in found], 0))
            ),
            f"{sum(run['refit'][1] < run['chosen'][1] for run in found)} of {len(found)}",
        ]
        print(f"| {task.name} | {' | '.join(cells)} |", flush=True)
    print(f"\nThree figures a cell: {', '.join(WAYS)}; penalties: least, chosen.")
    for one, other in (("least", "chosen"), ("chosen", "refit"), ("least", "refit")):
        print(compared(everything, one, other))


if __name__ == "__main__":
    main()
