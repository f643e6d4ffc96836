"""The one training loop."""

import logging
import os
import platform
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import neocog
from neocog import data, models, runs
from neocog.allocator import keep_freed_memory
from neocog.classifier import Classifier, pick_device
from neocog.data import Splits, augment, loader
from neocog.data.images import LazyImages
from neocog.errors import NeocogError, UsageError
from neocog.models import pretrained
from neocog.models.inference import InferenceModule, predict_logits
from neocog.models.protocols import FitsToImages
from neocog.recipes import Recipe
from neocog.runs import Run
from neocog.storage.atomic import sweep
from neocog.training import state as checkpoint
from neocog.training.head import check_folds, fit_head, tunes
from neocog.training.initial_weights import are_for_other_classes, taken_over
from neocog.training.loss import check_gives_logits, make_loss, measured
from neocog.training.optimizer import learning_rate, make_optimizer
from neocog.training.precision import has_bfloat16
from neocog.training.state import Progress

log = logging.getLogger(__name__)

MOST_THREADS = 1024  # a number above it was not written by a training
CHECKPOINT_SECONDS = 60.0  # within an epoch; one is written at the end of every epoch, too

# Told (steps done, steps in all, None) after every step and the epoch's line at its end.
Report = Callable[[int, int, dict[str, Any] | None], None]
# Told (images read, images in all, None) as they are decoded, and the splits at the end.
OnData = Callable[[int, int, Splits | None], None]


class Interrupted(Exception):  # noqa: N818 - not an error: the run was asked to stop, and did
    """Training was stopped by a signal after the step in hand; its checkpoint is written."""

    def __init__(self, run: Run, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name}")
        self.run = run
        self.exit_code = 128 + signal_number


def train(
    recipe: Recipe,
    *,
    runs_dir: Path | None = None,
    name: str | None = None,
    device: str = "auto",
    command: str = "",
    report: Report | None = None,
    on_data: OnData | None = None,
) -> Run:
    """Train a recipe from the start in a new run folder.

    `device` is auto, cpu, cuda or mps. Raises UsageError for what cannot be built, NeocogError
    where the data are missing, the loss is not finite or the disk is full, Interrupted on Ctrl-C or
    SIGTERM; the run folder is kept in all of these once training has begun.
    """
    chosen = pick_device(device)
    if name:
        runs.check_name(name)
    recipe = _resolved(recipe)
    begin = time.perf_counter()
    splits = _load(recipe, on_data)
    seconds = time.perf_counter() - begin
    _check_augmentation(recipe, splits)
    check_folds(recipe, splits)
    model, architecture = _build(recipe, splits, chosen)
    folder = runs.runs_folder(runs_dir)
    runs.sweep_leftovers(folder)
    base = f"{recipe.name}-{Path(recipe.data).name.partition('.')[0]}"
    run = runs.create_named(name, folder) if name else runs.create(base, folder)
    with run.locked():
        with _telling_of_a_full_disk(run):
            run.write_environment(_environment(recipe, chosen, splits, seconds))
            if splits.train.paths:
                run.write_split({name: part.paths for name, part in splits.parts.items()})
            run.write_recipe(recipe, command)  # last: it is what makes the folder a run
        classifier = Classifier(model, architecture, splits.preprocessing, splits.classes)
        _train(run, recipe, splits, classifier, report)
    return run


def resume(
    run: Run, *, device: str = "auto", report: Report | None = None, on_data: OnData | None = None
) -> Run:
    """Go on with a run from its checkpoint; from the start where it has none yet.

    `device` auto is the kind it began on. On the CPU the result has the same bits as if the run
    had never stopped: it gets the run's number of threads, and a warning is logged where something
    else differs. Raises as `train` does, and NeocogError where the data have changed or another
    process is training the run.
    """
    recipe, environment = run.read_recipe(), run.read_environment()
    chosen = pick_device(environment["device"] if device == "auto" else device)
    with run.locked(), _threads_of(environment):
        sweep(run.path)
        _go_on(run, recipe, environment, chosen, (report, on_data))
    return run


def _go_on(
    run: Run,
    recipe: Recipe,
    environment: dict[str, Any],
    device: torch.device,
    told: tuple[Report | None, OnData | None],
) -> None:
    report, on_data = told
    splits = _load(recipe, on_data)
    if environment["data"]["fingerprints"] != splits.describe()["fingerprints"]:
        raise NeocogError(
            f"The data set {recipe.data} has changed since {run.path} began.",
            f"Train anew: neocog train {recipe.data} --recipe {recipe.name}",
        )
    model, architecture = _build(recipe, splits, device)
    classifier = Classifier(model, architecture, splits.preprocessing, splits.classes)
    _train(run, recipe, splits, classifier, report)


@contextmanager
def _threads_of(environment: dict[str, Any]) -> Iterator[None]:
    """The number of threads that a run began with: another gives sums that differ in the last bits.

    A warning is logged for what differs all the same.
    """
    before, wanted = torch.get_num_threads(), environment.get("threads")
    if type(wanted) is int and 1 <= wanted <= MOST_THREADS:
        torch.set_num_threads(wanted)
    now = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "processor": torch.backends.cpu.get_cpu_capability(),
    }
    other = [
        f"{k} was {environment.get(k)}, is {v}" for k, v in now.items() if environment.get(k) != v
    ]
    if other:
        log.warning(
            "The run began in another environment (%s): its result may differ in the last bits "
            "from one that was never stopped.",
            "; ".join(other),
        )
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _resolved(recipe: Recipe) -> Recipe:
    """The recipe with paths that hold from anywhere, and with what it leaves to its weights."""
    if recipe.data not in data.DATASETS and data.exists(recipe.data):
        place = Path(recipe.data)
        place = place.resolve() if ".." in place.parts else place.absolute()
        recipe = replace(recipe, data=str(place))
    if recipe.weights not in ("random", "imagenet"):
        recipe = replace(recipe, weights=str(Path(recipe.weights).absolute()))
    models.describe(recipe.model)  # what cannot be is said before the work
    recipe = pretrained.with_weight_defaults(taken_over(recipe))
    if recipe.weights != "random" and not recipe.model.startswith("timm/"):
        pretrained.weights_path(recipe.model, recipe.weights)
    return recipe


def _load(recipe: Recipe, on_data: OnData | None) -> Splits:
    def reading(done: int, total: int) -> None:
        if on_data:
            on_data(done, total, None)

    splits = data.load_for(recipe, reading)
    if on_data:
        on_data(0, 0, splits)
    return splits


def is_finished(run: Run, recipe: Recipe) -> bool:
    """Whether a run has come to the end of its recipe, so that there is nothing to go on with."""
    try:
        lines = run.read_metrics()
    except NeocogError:
        return False  # the checkpoint knows
    if not lines or not run.model_file.exists():
        return False
    if recipe.feature_views and not tunes(recipe, lines[0]):
        return True
    return int(lines[-1]["epoch"]) >= recipe.epochs


def _train(
    run: Run, recipe: Recipe, splits: Splits, classifier: Classifier, report: Report | None
) -> None:
    """Fit the last layer where the recipe says so; then the loop, unless that was all."""
    keep_freed_memory()
    head = None
    if is_finished(run, recipe) and not run.checkpoint_file.exists():
        return
    if recipe.feature_views and not run.checkpoint_file.exists():

        def step(done: int, total: int) -> None:
            if report:
                report(done // recipe.batch_size, max(1, total // recipe.batch_size), None)

        with _telling_of_a_full_disk(run):
            try:
                head = fit_head(recipe, splits, classifier, step)
            except KeyboardInterrupt:
                raise Interrupted(run, signal.SIGINT) from None
            except SystemExit:  # what the command line makes of SIGTERM
                raise Interrupted(run, signal.SIGTERM) from None
            classifier.facts = _facts(recipe, splits, head)
            run.write_metrics([head])
            classifier.save(run.model_file)
        if report:
            report(0, 0, head)
    # Without a head that was just fitted there is a checkpoint: fine-tuning had begun.
    if not recipe.feature_views or tunes(recipe, head or {}):
        _fit(run, recipe, splits, classifier, report, head)


def _fit(  # noqa: C901 - the loop is read from top to bottom
    run: Run,
    recipe: Recipe,
    splits: Splits,
    classifier: Classifier,
    report: Report | None,
    head: dict[str, Any] | None,
) -> None:
    """The loop: everything that happens to the weights happens here.

    `head` is the line of a fit of the last layer before it, which an epoch must outdo to be kept.
    """
    model, preprocessing = classifier.model, splits.preprocessing
    device = next(model.parameters()).device
    images, labels = loader.to_device(splits.train, device)
    optimizer, loss_of = make_optimizer(model, recipe), make_loss(recipe)
    batch_bounds = loader.batch_bounds(len(images), recipe.batch_size)
    batches = len(batch_bounds)
    steps = batches * recipe.epochs
    state = Progress(
        torch.zeros(batches, device=device), torch.zeros((), dtype=torch.long, device=device)
    )
    if head:
        state.best_value, state.lines = _selection_score(recipe, head, 0), [head]
        state.best_weights = {k: v.clone() for k, v in model.state_dict().items()}
    if run.checkpoint_file.exists():
        state = checkpoint.load(run.checkpoint_file, model, optimizer)
        state.lines = state.lines or _lines_until(run, state.epoch)
    low_precision = torch.autocast(
        device.type, torch.bfloat16, enabled=has_bfloat16(recipe.precision, device, model)
    )
    began = time.perf_counter() - state.seconds
    saved = time.perf_counter()

    with _noting_signals() as stop, _telling_of_a_full_disk(run):
        run.write_metrics(state.lines)
        while state.epoch < recipe.epochs:
            epoch = state.epoch
            if state.batch == 0:
                torch.manual_seed(loader.seeded(recipe.seed, epoch, 1).initial_seed() % 2**63)
            _set_train_mode(model)
            order = loader.order(len(images), recipe.seed, epoch)
            mirrored = augment.flip_mask(len(images), recipe.augment_flip, recipe.seed, epoch)
            renews = recipe.decay_renews_optimizer and epoch in recipe.decay_at_epochs
            if renews and state.batch == 0:
                optimizer.state.clear()
            for number, batch, targets in loader.batches(
                images, labels, order, batch_bounds, first=state.batch
            ):
                step = epoch * batches + number
                flips = None if mirrored is None else mirrored[order[slice(*batch_bounds[number])]]
                changed = augment.augmented(recipe, batch, step, flips, targets)
                inputs = preprocessing.normalize(changed)
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(recipe, step, steps) * group["rate_factor"]
                with low_precision:
                    scores = model(inputs).float()
                    loss = loss_of(scores, targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                state.losses[number] = loss.detach()
                state.correct += (scores.detach().argmax(1) == targets).sum()
                if report:
                    report(step + 1, steps, None)
                if stop or time.perf_counter() - saved > CHECKPOINT_SECONDS:
                    state.batch, state.seconds = number + 1, time.perf_counter() - began
                    _check_finite(state.losses[: number + 1], epoch * batches, model)
                    if state.batch < batches:
                        checkpoint.save(run.checkpoint_file, model, optimizer, state)
                        saved = time.perf_counter()
                        if stop:
                            raise Interrupted(run, stop[0])

            _check_finite(state.losses, epoch * batches, model)
            line: dict[str, Any] = {
                "epoch": epoch + 1,
                "step": (epoch + 1) * batches,
                "time_seconds": 0.0,
                "lr": optimizer.param_groups[0]["lr"],
                "train/loss": _mean_loss(
                    state.losses, [end - begin for begin, end in batch_bounds]
                ),
                "train/accuracy": state.correct.item() / len(images),
            }
            state.epoch, state.batch = epoch + 1, 0
            state.losses.zero_()
            state.correct.zero_()
            if state.epoch % recipe.look_every_epochs == 0 or state.epoch == recipe.epochs:
                line |= _evaluate_epoch(model, splits, recipe, images, labels)
                value = _selection_score(recipe, line, state.epoch)
                if state.best_value is None or value > state.best_value:
                    state.best_epoch, state.best_value = state.epoch, value
                    state.best_weights = {k: v.clone() for k, v in model.state_dict().items()}
                    classifier.facts = _facts(recipe, splits, line)
            state.seconds = line["time_seconds"] = time.perf_counter() - began
            state.lines.append(line)
            checkpoint.save(run.checkpoint_file, model, optimizer, state)
            run.append_metrics(line)  # last: a resumed run restores lines from its checkpoint
            saved = time.perf_counter()
            if state.best_epoch == state.epoch:
                classifier.save(run.model_file)
            if report:
                report(line["step"], steps, line)
            if stop:
                raise Interrupted(run, stop[0])
        model.load_state_dict(state.best_weights)
        classifier.facts = _facts(recipe, splits, state.line_of(state.best_epoch))
        classifier.save(run.model_file)


def _lines_until(run: Run, epoch: int) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, for a checkpoint of an earlier version, which has none."""
    try:
        lines = run.read_metrics()
    except NeocogError as error:
        log.warning("%s The curves of the run begin anew.", error.message)
        return []
    return [line for line in lines if line["epoch"] <= epoch]


def _set_train_mode(model: nn.Module) -> None:
    """Training mode, but for what is not trained: its batch norms keep what they know."""
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(p.requires_grad for p in own):
            module.eval()


def _evaluate_epoch(
    model: nn.Module, splits: Splits, recipe: Recipe, images: Tensor | LazyImages, labels: Tensor
) -> dict[str, float]:
    """What the weights reach on validation, and on train where the recipe selects by it."""
    found: dict[str, float] = {}
    module = InferenceModule(model, splits.preprocessing)
    if len(splits.validation):
        batch, targets = loader.to_device(splits.validation, labels.device)
        scores = predict_logits(module, batch)
        found |= measured(recipe, "validation", scores, targets)
    if recipe.select.startswith("train"):
        scores = predict_logits(module, images)
        found["train/accuracy_after"] = (scores.argmax(1) == labels).sum().item() / len(labels)
    return found


def _selection_score(recipe: Recipe, line: dict[str, Any], epoch: int) -> float:
    """The number that selection makes as large as it can."""
    if recipe.select == "last":
        return float(epoch)
    value = float(line[recipe.select])
    return -value if recipe.select.endswith("loss") else value


def _mean_loss(losses: Tensor, sizes: list[int]) -> float:
    """The mean over images of the batches' mean losses: the last batch may be smaller."""
    weights = torch.tensor(sizes, dtype=torch.float64)
    return float((losses.cpu().double() * weights).sum() / weights.sum())


def _check_finite(losses: Tensor, first_step: int, model: nn.Module) -> None:
    """Raise NeocogError where a loss, or a weight after the last of them, is no number."""
    wrong = torch.nonzero(~torch.isfinite(losses)).flatten().tolist()
    if not wrong and all(torch.isfinite(p).all() for p in model.parameters()):
        return
    place = wrong[0] if wrong else len(losses) - 1
    what = f"loss is {losses[place].item()}" if wrong else "weights are no longer numbers"
    raise NeocogError(
        f"The {what} at step {first_step + place + 1}: training has diverged. What the run had "
        "reached at the end of the epoch before is kept.",
        "Try a learning rate ten times smaller: --set learning_rate=...",
    )


@contextmanager
def _telling_of_a_full_disk(run: Run) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads what is printed: not the disk's fault
    except OSError as error:
        kept = "no epoch was finished"
        hint = f"Make room, then begin it again: neocog train --resume {run.path}"
        if run.checkpoint_file.exists():
            kept, hint = "its last good checkpoint is kept", hint.replace("begin it again", "go on")
        elif not run.recipe_file.exists():
            kept, hint = "training has not begun", "Make room, then train again."
            shutil.rmtree(run.path, ignore_errors=True)
        message = f"{run.path} cannot be written ({error.strerror or error}); {kept}."
        raise NeocogError(message, hint) from None


@contextmanager
def _noting_signals() -> Iterator[list[int]]:
    """A list that SIGINT and SIGTERM append to; a second SIGINT interrupts at once."""
    noted: list[int] = []

    def note(number: int, _frame: object) -> None:
        if noted and number == signal.SIGINT:
            raise KeyboardInterrupt
        noted.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _build(
    recipe: Recipe, splits: Splits, device: torch.device
) -> tuple[nn.Module, dict[str, Any]]:
    """The recipe's network with the weights that its seed gives, and its architecture."""
    height, width, channels = splits.train.images.shape[1:]
    architecture = {
        "name": recipe.model,
        "num_classes": len(splits.classes),
        "in_channels": channels,
        "image_size": (height, width),
    }
    torch.manual_seed(recipe.seed)
    model = models.build(**architecture)
    if recipe.weights != "random":
        with_head = not are_for_other_classes(recipe, splits.classes)
        pretrained.load_pretrained(
            model, recipe.model, recipe.weights, recipe.trained_part, with_head=with_head
        )
    _freeze(model, recipe)
    model = model.to(device)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    fits_to_images = isinstance(model, FitsToImages)
    few = splits.train.images[: 5000 if fits_to_images else 2]
    inputs = splits.preprocessing.normalize(torch.tensor(few, device=device))
    if isinstance(model, FitsToImages):
        model.fit_to(inputs)
    if not recipe.feature_views or recipe.fine_tune:  # a fitted last layer is linear
        check_gives_logits(model, inputs[:2])
    return model, architecture


def _freeze(model: nn.Module, recipe: Recipe) -> None:
    """Leave out of training what the recipe does not name. Raises UsageError where nothing is."""
    part = recipe.trained_part
    names = [name for name, _ in model.named_parameters()]
    if not any(name.startswith(part) for name in names):
        tops = list(dict.fromkeys(name.partition(".")[0] for name in names))
        raise UsageError(
            f"{recipe.model} has no layers whose names begin with {part!r}.",
            f"Its parts are: {', '.join(tops)}.",
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(part) and parameter.requires_grad)


def _check_augmentation(recipe: Recipe, splits: Splits) -> None:
    """Raise UsageError where the images are too large or too small for the recipe's changes."""
    height, width = splits.train.images.shape[1:3]
    if recipe.augment_grow_pixels and recipe.augment_grow_pixels < max(height, width):
        raise UsageError(
            f"augment_grow_pixels ({recipe.augment_grow_pixels}) is smaller than the images "
            f"({height} x {width}).",
            f"Say: --set augment_grow_pixels={round(1.25 * max(height, width))}, or 0 not to grow.",
        )
    if recipe.augment_hand_fraction and splits.train.classes != tuple("0123456789"):
        raise UsageError(
            "augment_hand_fraction adds strokes to the digits 1, 7 and 9: it wants the classes 0 "
            "to 9.",
            "Say: --set augment_hand_fraction=0",
        )
    if recipe.augment_edge == "reflect" and recipe.augment_shift_pixels >= min(height, width):
        raise UsageError(
            f"An image of {height} x {width} cannot be moved by {recipe.augment_shift_pixels} "
            "pixels and filled with its own edge.",
            "Say: --set augment_shift_pixels=2",
        )


def _environment(
    recipe: Recipe, device: torch.device, splits: Splits, read_seconds: float
) -> dict[str, Any]:
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


def _facts(recipe: Recipe, splits: Splits, line: dict[str, Any]) -> dict[str, Any]:
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
