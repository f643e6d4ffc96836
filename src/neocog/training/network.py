"""Training by PyTorch: a fit of the head if the recipe has one, then the epochs that follow."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from neocog import classifier as classifiers
from neocog.allocator import keep_freed_memory
from neocog.classifier import Classifier
from neocog.data import Splits
from neocog.engines.torch import pick_device
from neocog.models.pretrained import last_layer
from neocog.progress import Progress, no_progress
from neocog.recipes import Recipe
from neocog.records import EpochMetrics, RunInfo
from neocog.runs import Run
from neocog.training.build import build_classifier
from neocog.training.environment import describe_environment, model_facts
from neocog.training.features import compute_features
from neocog.training.head import HeadFit, fine_tunes, fit_to_features, views_of, with_features
from neocog.training.loop import run_epochs
from neocog.training.loss import loss_and_accuracy
from neocog.training.network_features import NetworkBackbone
from neocog.training.session import (
    OnResult,
    full_disk_as_error,
    interruptible,
    is_finished,
    warn_of_differences,
)
from neocog.training.split_metrics import Floats, Labels, SplitMetrics, plain_metrics

MAX_THREADS = 1024  # a larger number in environment.json was not written by a training


def prepare(recipe: Recipe, splits: Splits, device: str) -> "NetworkTraining":
    """Build the recipe's network. Raises UsageError if it cannot be built or trained."""
    return NetworkTraining(recipe, splits, pick_device(device))


@contextmanager
def same_environment(environment: RunInfo) -> Iterator[None]:
    """Use the number of threads in a run's `environment`: another changes the last bits of sums.

    Logs a warning for differences that remain, such as another version of torch.
    """
    before, recorded = torch.get_num_threads(), environment.threads
    if isinstance(recorded, int) and 1 <= recorded <= MAX_THREADS:
        torch.set_num_threads(recorded)
    compared = (
        ("threads", recorded, torch.get_num_threads()),
        ("torch", environment.torch, torch.__version__),
        ("processor", environment.processor, torch.backends.cpu.get_cpu_capability()),
    )
    warn_of_differences(compared)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class NetworkTraining:
    """A recipe and the network that it trains."""

    def __init__(self, recipe: Recipe, splits: Splits, device: torch.device) -> None:
        self.recipe, self.splits, self.device = recipe, splits, device
        self.classifier = build_classifier(recipe, splits, device)

    def environment(self, read_seconds: float) -> RunInfo:
        """What is recorded of the machine; `read_seconds` is how long reading the data took."""
        is_cuda = self.device.type == "cuda"
        return replace(
            describe_environment(self.recipe, self.splits, read_seconds),
            torch=torch.__version__,
            processor=torch.backends.cpu.get_cpu_capability(),
            device=self.device.type,
            device_name=torch.cuda.get_device_name(self.device) if is_cuda else None,
            threads=torch.get_num_threads(),
        )

    def train(self, run: Run, progress: Progress, on_result: OnResult | None) -> Classifier:
        """Fit the head if the recipe does so, then run the epochs that follow, if any."""
        keep_freed_memory()
        recipe, splits, classifier = self.recipe, self.splits, self.classifier
        has_checkpoint = run.checkpoint_file.exists()
        if not has_checkpoint and is_finished(run, recipe):
            return classifiers.load(run.model_file, device=self.device.type, engine="torch")
        head_metrics = None
        if recipe.feature_views and not has_checkpoint:
            head_metrics = self._fit_head(run, progress)
            if on_result:
                on_result(head_metrics)
        # A head-fitting recipe has a checkpoint only if fine-tuning had begun.
        if not recipe.feature_views or fine_tunes(recipe, head_metrics):
            run_epochs(run, recipe, splits, classifier, progress, on_result, head_metrics)
        classifier.model.eval()
        return classifier

    def _fit_head(self, run: Run, progress: Progress) -> EpochMetrics:
        """Fit the head and record it as epoch 0; returns its metrics."""
        with full_disk_as_error(run):
            with interruptible(run):
                metrics = fit_head(self.recipe, self.splits, self.classifier, progress)
            self.classifier.facts = model_facts(self.recipe, self.splits, 0, metrics)
            run.write_metrics([metrics])
            self.classifier.save(run.model_file)
        return metrics


def fit_head(
    recipe: Recipe, splits: Splits, classifier: Classifier, progress: Progress = no_progress
) -> EpochMetrics:
    """Fit the head of the classifier's network in place; returns the metrics of epoch 0.

    The fit has `recipe.feature_views` rows for each training image; see `head.fit_to_features`. The
    stage of `progress` is `features`.
    """

    def with_recipe_loss(logits: Floats, labels: Labels) -> SplitMetrics:
        return loss_and_accuracy(recipe, torch.from_numpy(logits), torch.from_numpy(labels))

    begin = time.perf_counter()
    parts = ((splits.train, views_of(recipe, len(splits.train))), (splits.validation, 1))
    backbone = NetworkBackbone(recipe, classifier)
    features, cached = compute_features(backbone, recipe.data, parts, progress)
    seconds = time.perf_counter() - begin
    # If epochs follow, the loss is theirs, to be comparable; else what the head minimises.
    measure = with_recipe_loss if recipe.fine_tune else plain_metrics
    head, metrics = fit_to_features(recipe, splits, features, measure)
    _copy_to_network(head, classifier.model)
    return with_features(metrics, cached, seconds)


@torch.no_grad()
def _copy_to_network(head: HeadFit, model: nn.Module) -> None:
    """Copy the weights of a fit to the head of a network."""
    layer = model.get_submodule(last_layer(model))
    assert isinstance(layer, nn.Linear | nn.Conv2d)
    layer.weight.copy_(torch.from_numpy(head.weight).reshape(layer.weight.shape))
    assert layer.bias is not None
    layer.bias.copy_(torch.from_numpy(head.bias))
