"""A classifier: an engine with preprocessing, classes, temperature and threshold."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neocog import runs
from neocog.data.decode import read_images
from neocog.data.images import Images
from neocog.data.preprocess import Preprocessing
from neocog.engines import ENGINES, Engine, softmax
from neocog.engines.onnx_runtime import WEIGHTS_KEY, OnnxEngine
from neocog.errors import DamagedFileError, NeocogError, NotFoundError, UsageError, unknown
from neocog.model_card import Architecture, ModelCard, card_in, read_card_of
from neocog.onnx_file import ExportError, find_or_export
from neocog.records import ModelFacts

if TYPE_CHECKING:  # an exported network needs no torch
    from torch import Tensor, nn

    from neocog.models.inference import InferenceModule

log = logging.getLogger(__name__)

READ_AT_ONCE = 128  # files that are decoded before the network sees them


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    `top` holds (class, probability) pairs, most likely first; `label` and `probability` are its
    first. `rejected` is set if the probability is below the classifier's threshold. If the image
    could not be used, `error` is one line and there is no label.
    """

    path: str
    label: str | None = None
    probability: float | None = None
    top: list[tuple[str, float]] = field(default_factory=list)
    rejected: bool = False
    error: str | None = None


@dataclass
class Classifier:
    """A trained network with everything needed to classify a new image.

    `architecture` holds the arguments of `models.build`: name, num_classes, in_channels,
    image_size. `temperature` divides the logits; a prediction whose probability is below
    `threshold` (0..1) is rejected. `facts` is the rest of the model file's metadata: recipe, data,
    accuracy. `read_model` builds the network when an engine is not enough; use `model`.
    """

    engine: Engine
    architecture: Architecture
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    temperature: float = 1.0
    threshold: float = 0.0
    facts: ModelFacts = field(default_factory=ModelFacts)
    read_model: "Callable[[], nn.Module]" = lambda: _no_network()

    @classmethod
    def of_network(
        cls,
        network: "nn.Module",
        architecture: Architecture,
        preprocessing: Preprocessing,
        classes: tuple[str, ...],
    ) -> "Classifier":
        """Return a classifier that runs a network in memory, for training."""
        from neocog.engines.torch import TorchEngine

        engine = TorchEngine(network, preprocessing)
        return cls(engine, architecture, preprocessing, classes, read_model=lambda: network)

    @cached_property
    def model(self) -> "nn.Module":
        """The network as a PyTorch module, `(N, C, H, W)` to `(N, K)`, built when first used."""
        return self.read_model()

    @property
    def inference(self) -> "InferenceModule":
        """The network together with normalisation, mirrored views and temperature."""
        from neocog.models.inference import InferenceModule

        return InferenceModule(self.model, self.preprocessing, self.temperature)

    def inputs(self, images: NDArray[np.uint8]) -> "Tensor":
        """Convert images of the network's size, uint8 `(N, H, W, C)`, to its input."""
        import torch

        device = next(self.model.parameters()).device
        return self.preprocessing.normalize(torch.tensor(images, device=device))

    def logits(self, images: Images) -> NDArray[np.float32]:
        """Logits `(N, K)` of images of the network's size, uint8 `(N, H, W, C)`.

        They are divided by the temperature. Raises NeocogError if one is not finite: no probability
        could be computed from it.
        """
        logits = self.engine.logits(images)
        if self.temperature != self.engine.facts.temperature:
            logits = logits * np.float32(self.engine.facts.temperature / self.temperature)
        if not np.isfinite(logits).all():
            raise NeocogError(
                "The network's logits are not finite: its weights or its preprocessing are wrong.",
                "Train it again, with a smaller learning rate if it diverged.",
            )
        return logits

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Class probabilities `(N, K)` of images of the network's size, uint8 `(N, H, W, C)`."""
        return softmax(self.logits(images))

    def predict(
        self, sources: Sequence[tuple[str, Path | bytes]], top: int = 3
    ) -> list[Prediction]:
        """Classify images; `sources` are pairs (name to report, file or the file's bytes).

        An image that cannot be read or used becomes a Prediction with its `error`; the others are
        classified. The `top` most likely classes are reported.
        """
        rule, found = self.preprocessing, []
        for begin in range(0, len(sources), READ_AT_ONCE):
            some = sources[begin : begin + READ_AT_ONCE]
            read = read_images((source for _, source in some), rule.transform_image, rule.shrink_to)
            fitted = [image for image in read if not isinstance(image, str)]
            shares = iter(self.probabilities(np.stack(fitted)) if fitted else ())
            found += [
                Prediction(name, error=image)
                if isinstance(image, str)
                else self.describe(name, next(shares), top)
                for (name, _), image in zip(some, read, strict=True)
            ]
        return found

    def describe(self, name: str, row: NDArray[np.float32], top: int) -> Prediction:
        """Return the prediction for the image `name` from its probabilities, `(K,)`."""
        best = np.argsort(-row, kind="stable")[: max(1, top)]
        pairs = [(self.classes[k], float(row[k])) for k in best]
        label, probability = pairs[0]
        return Prediction(name, label, probability, pairs, rejected=probability < self.threshold)

    def save(self, path: Path) -> None:
        """Write a self-describing safetensors file, whole or not at all."""
        from neocog.model_file import write_network

        card = ModelCard(
            self.architecture,
            self.preprocessing,
            self.classes,
            self.temperature,
            self.threshold,
            self.facts,
        )
        write_network(path, card, self.model)


def _no_network() -> "nn.Module":
    raise NeocogError(
        "An ONNX file has no layers to inspect.",
        "Name the run or the model.safetensors that it was exported from.",
    )


def load(
    run: str | Path, runs_dir: Path | None = None, device: str = "auto", engine: str = "auto"
) -> Classifier:
    """Load the classifier of a run, of `latest`, or in a model file; no code from the file is run.

    `engine` is one of `engines.ENGINES`; auto is ONNX Runtime, or PyTorch if `device` is not the
    CPU. For ONNX Runtime the network is exported when it is first needed. OpenVINO computes in
    bfloat16 if its export says that this changes no label. Raises UsageError if
    there is no such run or engine, and NeocogError if the file is missing, damaged, not Neocog's,
    of a newer format, or its weights do not fit its network.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    path = model_path(str(run), runs.runs_folder(runs_dir))
    if path.suffix == ".onnx":
        return _of_onnx_file(path, engine)
    card = read_card_of(path)
    if engine in ("onnx", "openvino") or (engine == "auto" and device in ("auto", "cpu")):
        try:
            onnx = find_or_export(path, card)
            return _of_card(card, _run_by(engine, onnx, path), partial(_read_model, path, device))
        except ExportError as error:
            if engine != "auto":
                raise
            log.warning("%s PyTorch is used instead.", error.message)
    model = _read_model(path, device)
    return _of_card(card, _torch_engine(model, card), lambda: model)


def _of_card(card: ModelCard, engine: Engine, read_model: "Callable[[], nn.Module]") -> Classifier:
    return Classifier(
        engine,
        card.architecture,
        card.preprocessing,
        card.classes,
        card.temperature,
        card.threshold,
        card.facts,
        read_model,
    )


def _of_onnx_file(path: Path, engine: str) -> Classifier:
    """The classifier in an exported file, whose layers cannot be inspected."""
    if engine == "torch":
        raise UsageError(
            f"{path} cannot be run by the torch engine.",
            "Name the run or the model.safetensors that it was exported from, or: {settings}",
            [("engine", "onnx")],
        )
    onnx = OnnxEngine.read(path)
    card = card_in(path, onnx.metadata)
    if onnx.input_shape != (*card.preprocessing.image_size, card.preprocessing.channels):
        raise DamagedFileError(f"{path} is damaged: its graph takes images of {onnx.input_shape}.")
    return _of_card(card, _run_by(engine, onnx, path), _no_network)


def _run_by(engine: str, onnx: OnnxEngine, path: Path) -> Engine:
    if engine == "openvino":
        from neocog.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(onnx.content, onnx.facts, _keeps_labels(path, onnx.weights))
    return onnx


def _keeps_labels(path: Path, weights: str) -> bool:
    """Whether bfloat16 changes no label on the validation split of the network in a model file.

    `neocog export --to openvino` checks that, and records it in the file that it writes beside.
    """
    from neocog.engines.openvino import exported_metadata

    metadata = exported_metadata(path.with_suffix(".xml"))
    if not weights or metadata.get(WEIGHTS_KEY) != weights:
        return False
    try:
        export = card_in(path, metadata).facts.export
    except NeocogError:  # it is damaged, and says nothing
        return False
    found = export.bfloat16 if export else None
    return found is not None and found.labels_differ == 0


def _torch_engine(model: "nn.Module", card: ModelCard) -> Engine:
    from neocog.engines.torch import TorchEngine

    return TorchEngine(model, card.preprocessing, card.temperature)


def _read_model(path: Path, device: str) -> "nn.Module":
    from neocog.engines.torch import pick_device
    from neocog.model_file import read_network

    return read_network(path).to(pick_device(device))


def model_path(run: str, folder: Path) -> Path:
    """Return the model file `run`, or that of the run `run`. Raises as `runs.find` does."""
    if run.endswith(runs.MODEL_SUFFIXES):
        return Path(run)
    found = runs.find(run, folder, with_model=True)
    if not found.model_file.is_file():
        raise NotFoundError(
            f"The run {found.path} has no model yet: no epoch was finished.",
            f"Continue it: neocog train --resume {found.path}",
        )
    return found.model_file
