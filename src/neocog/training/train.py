"""The one training loop."""

import time
from typing import Any

import torch

from neocog.classifier import Classifier
from neocog.data import Splits, augment, loader
from neocog.recipes import Recipe
from neocog.runs import Run
from neocog.training import state as checkpoint
from neocog.training.build import set_train_mode
from neocog.training.environment import model_facts
from neocog.training.epoch_metrics import check_finite, evaluate_epoch, mean_loss, selection_score
from neocog.training.loss import make_loss
from neocog.training.optimizer import learning_rate, make_optimizer
from neocog.training.precision import has_bfloat16
from neocog.training.session import Interrupted, Report, catching_signals, full_disk_as_error
from neocog.training.state import Progress, lines_until

CHECKPOINT_SECONDS = 60.0  # within an epoch; one is written at the end of every epoch, too


def run_epochs(  # noqa: C901 - the loop is read from top to bottom
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
        state.best_value, state.lines = selection_score(recipe, head, 0), [head]
        state.best_weights = {k: v.clone() for k, v in model.state_dict().items()}
    if run.checkpoint_file.exists():
        state = checkpoint.load(run.checkpoint_file, model, optimizer)
        state.lines = state.lines or lines_until(run, state.epoch)
    low_precision = torch.autocast(
        device.type, torch.bfloat16, enabled=has_bfloat16(recipe.precision, device, model)
    )
    began = time.perf_counter() - state.seconds
    saved = time.perf_counter()

    with catching_signals() as stop, full_disk_as_error(run):
        run.write_metrics(state.lines)
        while state.epoch < recipe.epochs:
            epoch = state.epoch
            if state.batch == 0:
                torch.manual_seed(loader.seeded(recipe.seed, epoch, 1).initial_seed() % 2**63)
            set_train_mode(model)
            order = loader.order(len(images), recipe.seed, epoch)
            mirrored = augment.which_are_mirrored(
                len(images), recipe.augment_flip, recipe.seed, epoch
            )
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
                    check_finite(state.losses[: number + 1], epoch * batches, model)
                    if state.batch < batches:
                        checkpoint.save(run.checkpoint_file, model, optimizer, state)
                        saved = time.perf_counter()
                        if stop:
                            raise Interrupted(run, stop[0])

            check_finite(state.losses, epoch * batches, model)
            line: dict[str, Any] = {
                "epoch": epoch + 1,
                "step": (epoch + 1) * batches,
                "time_seconds": 0.0,
                "lr": optimizer.param_groups[0]["lr"],
                "train/loss": mean_loss(state.losses, [end - begin for begin, end in batch_bounds]),
                "train/accuracy": state.correct.item() / len(images),
            }
            state.epoch, state.batch = epoch + 1, 0
            state.losses.zero_()
            state.correct.zero_()
            if state.epoch % recipe.look_every_epochs == 0 or state.epoch == recipe.epochs:
                line |= evaluate_epoch(model, splits, recipe, images, labels)
                value = selection_score(recipe, line, state.epoch)
                if state.best_value is None or value > state.best_value:
                    state.best_epoch, state.best_value = state.epoch, value
                    state.best_weights = {k: v.clone() for k, v in model.state_dict().items()}
                    classifier.facts = model_facts(recipe, splits, line)
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
        classifier.facts = model_facts(recipe, splits, state.line_of(state.best_epoch))
        classifier.save(run.model_file)
