"""Training a head on frozen features without PyTorch: ONNX Runtime computes, NumPy fits.

Only a backbone that is not in the cache needs torch: it is exported once per machine.
"""

import logging
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neocog import classifier as classifiers
from neocog.classifier import Classifier
from neocog.data import Splits
from neocog.engines.onnx_layers import LAYERS_KEY
from neocog.engines.onnx_runtime import CARD_KEY, network_metadata, thread_count
from neocog.errors import NeocogError
from neocog.export.graph import with_head
from neocog.inspection.layers import layers_to_json
from neocog.model_card import Architecture, ModelCard, network_digest, write_model
from neocog.onnx_file import ExportError
from neocog.progress import Progress
from neocog.recipes import Recipe
from neocog.records import EpochMetrics, RunInfo
from neocog.runs import Run
from neocog.storage.atomic import write_atomic
from neocog.training.backbone import find_backbone
from neocog.training.environment import describe_environment, model_facts
from neocog.training.features import compute_features, version_of
from neocog.training.head import HeadFit, fit_to_features, with_features
from neocog.training.session import (
    OnResult,
    full_disk_as_error,
    interruptible,
    is_finished,
    warn_of_differences,
)
from neocog.training.split_metrics import Floats, plain_metrics

if TYPE_CHECKING:
    from neocog.training.network import NetworkTraining

log = logging.getLogger(__name__)

CHECK_IMAGES = 4  # whose logits by the written file are compared with those of their features
CHECK_TOLERANCE = 1e-4  # of the largest logit
GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def is_for(recipe: Recipe, device: str) -> bool:
    """Whether a recipe can be trained so: one view, nothing but the head, on the CPU."""
    only_head = recipe.feature_views == 1 and not recipe.fine_tune and not recipe.trained_part
    exports = not recipe.model.startswith("timm/") and not recipe.test_mirrored
    return only_head and exports and (device == "cpu" or (device == "auto" and not may_have_gpu()))


def may_have_gpu() -> bool:
    """Whether torch might find a GPU; to ask torch itself takes seconds."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return bool(shutil.which("nvidia-smi")) or any(Path(file).exists() for file in GPU_FILES)


def prepare(recipe: Recipe, splits: Splits, device: str) -> "HeadTraining | NetworkTraining":
    """Find the recipe's backbone; what cannot be exported is trained by PyTorch."""
    try:
        return HeadTraining(recipe, splits)
    except ExportError as error:
        log.warning("%s PyTorch computes the features instead.", error.message)
    from neocog.training import network

    return network.prepare(recipe, splits, device)


@contextmanager
def same_environment(info: RunInfo) -> Iterator[None]:
    """Log a warning if a run goes on with other versions or threads than its `info` names."""
    warn_of_differences(
        (
            ("threads", info.threads, _threads()),
            ("onnxruntime", info.onnxruntime, version_of("onnxruntime")),
        )
    )
    yield


class HeadTraining:
    """A recipe, its backbone, and the head that is fitted to the features of its splits."""

    def __init__(self, recipe: Recipe, splits: Splits) -> None:
        self.recipe, self.splits = recipe, splits
        self.backbone = find_backbone(recipe, splits.preprocessing)

    def environment(self, read_seconds: float) -> RunInfo:
        """What is recorded of the machine; `read_seconds` is how long reading the data took."""
        return replace(
            describe_environment(self.recipe, self.splits, read_seconds),
            onnxruntime=version_of("onnxruntime"),
            threads=_threads(),
        )

    def train(self, run: Run, progress: Progress, on_result: OnResult | None) -> Classifier:
        """Fit the head, and write the model file and its ONNX file."""
        if is_finished(run, self.recipe):
            return classifiers.load(run.model_file, device="cpu")
        with full_disk_as_error(run):
            with interruptible(run):
                head, metrics, features = self._fit(progress)
            card = self._card(metrics)
            run.write_metrics([metrics])
            write_model(run.model_file, card, self.backbone.with_head(head.weight, head.bias))
            self._write_onnx(run, card, head)
        if on_result:
            on_result(metrics)
        classifier = classifiers.load(run.model_file, device="cpu")
        _check(classifier, self.splits, head, features)
        return classifier

    def _fit(self, progress: Progress) -> tuple[HeadFit, EpochMetrics, Floats]:
        """The head, the metrics of epoch 0, and the features of train, `(N, D)`."""
        begin = time.perf_counter()
        recipe, splits = self.recipe, self.splits
        parts = ((splits.train, 1), (splits.validation, 1))
        features, cached = compute_features(self.backbone, recipe.data, parts, progress)
        seconds = time.perf_counter() - begin
        head, metrics = fit_to_features(recipe, splits, features, plain_metrics)
        return head, with_features(metrics, cached, seconds), features[0][0]

    def _card(self, metrics: EpochMetrics) -> ModelCard:
        splits, rule = self.splits, self.splits.preprocessing
        sizes = (len(splits.classes), rule.channels, rule.image_size)
        architecture = Architecture(self.recipe.model, *sizes)
        facts = model_facts(self.recipe, splits, 0, metrics)
        return ModelCard(architecture, rule, splits.classes, facts=facts)

    def _write_onnx(self, run: Run, card: ModelCard, head: HeadFit) -> None:
        """Write the file that would otherwise be exported when the run is first used."""
        facts = self.backbone.facts
        whole = replace(facts, parameters=facts.parameters + head.weight.size + head.bias.size)
        digest = network_digest(run.model_file, card)
        metadata = {CARD_KEY: card.to_json(), **network_metadata(whole, digest)}
        layers = self.backbone.layers_with_head(head.weight, head.bias)
        if layers:
            metadata[LAYERS_KEY] = layers_to_json(layers)
        name = self.backbone.head
        content = with_head(self.backbone.graph, head.weight, head.bias, metadata, name)
        with suppress(OSError):  # it is then exported when it is needed
            write_atomic(run.onnx_file, content)


def _threads() -> int:
    return thread_count() or os.cpu_count() or 1


def _check(classifier: Classifier, splits: Splits, head: HeadFit, features: Floats) -> None:
    """Compare the logits of the written file with those of the features that the fit saw."""
    expected = head.logits(features[:CHECK_IMAGES])
    found = classifier.logits(splits.train.images[:CHECK_IMAGES])
    difference = float(np.abs(found - expected).max())
    if difference > CHECK_TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise NeocogError(
            f"The network's logits differ by {difference:.1g} from those of the features that its "
            "head was fitted to.",
            "Empty the cache of features, and train again: neocog data --clear-cache",
        )
