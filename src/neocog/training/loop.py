"""The training loop."""

import time
from dataclasses import replace

import torch

from neocog.classifier import Classifier
from neocog.data import Splits, augment, loader
from neocog.progress import Progress, no_progress
from neocog.recipes import Recipe
from neocog.records import EpochMetrics
from neocog.runs import Run
from neocog.training import state as checkpoint
from neocog.training.build import set_train_mode
from neocog.training.environment import model_facts
from neocog.training.epoch_metrics import check_finite, evaluate_epoch, mean_loss, selection_score
from neocog.training.loss import make_loss
from neocog.training.optimizer import learning_rate, make_optimizer
from neocog.training.precision import has_bfloat16
from neocog.training.session import OnResult, catch_signals, full_disk_as_error
from neocog.training.state import TrainingState

CHECKPOINT_SECONDS = 60.0  # between checkpoints within an epoch; each epoch ends with one, too


def run_epochs(  # noqa: C901 - the loop is read from top to bottom
    run: Run,
    recipe: Recipe,
    splits: Splits,
    classifier: Classifier,
    progress: Progress = no_progress,
    on_result: OnResult | None = None,
    head_metrics: EpochMetrics | None = None,
) -> None:
    """Train the classifier's network until the recipe's last epoch, from the checkpoint if any.

    The run folder gets metrics, checkpoints and the model file of the best epoch, whose weights the
    network has at the end. `head_metrics` are those of a head fitted before (epoch 0), which an
    epoch must exceed to be selected. Raises Interrupted after a signal, NeocogError if the loss or
    a weight is not finite or the disk is full.
    """
    model, preprocessing = classifier.model, splits.preprocessing
    device = next(model.parameters()).device
    images, labels = loader.to_device(splits.train, device)
    optimizer, loss_function = make_optimizer(model, recipe), make_loss(recipe)
    # Batches are cut from the epoch's global order: their content is a function of (seed, epoch).
    batch_bounds = loader.batch_bounds(len(images), recipe.batch_size)
    batches = len(batch_bounds)
    steps = batches * recipe.epochs
    if run.checkpoint_file.exists():
        state = checkpoint.load(run.checkpoint_file, model, optimizer)
        state.lines = state.lines or checkpoint.recorded_lines(run, state.epoch)
    else:
        state = TrainingState.initial(batches, device)
    if head_metrics:
        state.keep_if_best(model, 0, selection_score(recipe, head_metrics))
        state.lines = [head_metrics]
    autocast = torch.autocast(
        device.type, torch.bfloat16, enabled=has_bfloat16(recipe.precision, device, model)
    )
    start = time.perf_counter() - state.seconds
    last_save = time.perf_counter()

    with catch_signals(run) as stop, full_disk_as_error(run):
        run.write_metrics(state.lines)
        while state.epoch < recipe.epochs:
            epoch, first_step = state.epoch, state.epoch * batches
            if state.batch == 0:
                torch.manual_seed(loader.seeded(recipe.seed, epoch, 1).initial_seed() % 2**63)
                if recipe.decay_renews_optimizer and epoch in recipe.decay_at_epochs:
                    optimizer.state.clear()
            set_train_mode(model)
            order = loader.order(len(images), recipe.seed, epoch)
            mirrored = augment.flip_mask(len(images), recipe.augment_flip, recipe.seed, epoch)

            for number, batch, targets in loader.batches(
                images, labels, order, batch_bounds, first=state.batch
            ):
                step = first_step + number
                flips = None if mirrored is None else mirrored[order[slice(*batch_bounds[number])]]
                inputs = preprocessing.normalize(
                    augment.augmented(recipe, batch, step, flips, targets)
                )
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(recipe, step, steps) * group["rate_factor"]
                with autocast:
                    logits = model(inputs).float()
                    loss = loss_function(logits, targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                state.losses[number] = loss.detach()
                state.correct += (logits.detach().argmax(1) == targets).sum()
                progress("train", step + 1, steps)
                is_due = stop or time.perf_counter() - last_save > CHECKPOINT_SECONDS
                if is_due and number + 1 < batches:  # the epoch's end writes the last one
                    state.batch, state.seconds = number + 1, time.perf_counter() - start
                    check_finite(state.losses[: state.batch], first_step, model)
                    checkpoint.save(run.checkpoint_file, model, optimizer, state)
                    last_save = time.perf_counter()
                    stop.raise_if_requested()

            check_finite(state.losses, first_step, model)
            metrics = EpochMetrics(
                epoch=epoch + 1,
                step=first_step + batches,
                time_seconds=0.0,
                lr=optimizer.param_groups[0]["lr"],
                train_loss=mean_loss(state.losses, batch_bounds),
                train_accuracy=state.correct.item() / len(images),
            )
            state.begin_epoch(epoch + 1)
            if state.epoch % recipe.look_every_epochs == 0 or state.epoch == recipe.epochs:
                metrics = evaluate_epoch(metrics, model, splits, recipe, images, labels)
                if state.keep_if_best(model, state.epoch, selection_score(recipe, metrics)):
                    classifier.facts = model_facts(recipe, splits, state.epoch, metrics)
            state.seconds = time.perf_counter() - start
            metrics = replace(metrics, time_seconds=state.seconds)
            state.lines.append(metrics)
            checkpoint.save(run.checkpoint_file, model, optimizer, state)
            run.append_metrics(metrics)  # last: a resumed run restores lines from its checkpoint
            last_save = time.perf_counter()
            if state.best_epoch == state.epoch:
                classifier.save(run.model_file)
            if on_result:
                on_result(metrics)
            stop.raise_if_requested()

        model.load_state_dict(state.best_weights)
        best = state.best_epoch
        classifier.facts = model_facts(recipe, splits, best, state.metrics_of(best))
        classifier.save(run.model_file)
