"""A classifier: weights, preprocessing, classes, temperature and threshold in one file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from neocog import models, runs
from neocog.allocator import keep_freed_memory
from neocog.data.decode import read_images
from neocog.data.images import Images
from neocog.data.preprocess import Preprocessing
from neocog.errors import (
    DamagedFileError,
    NeocogError,
    NotFoundError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from neocog.json_fields import short
from neocog.model_card import Architecture, ModelCard, card_in, undescribed
from neocog.models.inference import InferenceModule, predict_logits
from neocog.models.meta_device import build_on_meta
from neocog.records import ModelFacts
from neocog.storage.atomic import write_atomic

# What safetensors calls the types that weights and counters have.
DTYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
}
READ_AT_ONCE = 128  # files that are decoded before the network sees them


@dataclass(frozen=True)
class Prediction:
    """What the classifier says of one image.

    `top` holds (class, probability) pairs, most likely first; `label` and `probability` are its
    first. `rejected` is set where the probability lies below the classifier's threshold. Where the
    image could not be used `error` is one line, and there is no label.
    """

    path: str
    label: str | None = None
    probability: float | None = None
    top: list[tuple[str, float]] = field(default_factory=list)
    rejected: bool = False
    error: str | None = None


@dataclass
class Classifier:
    """A trained network with all that is needed to use it on a new image.

    `architecture` is what `models.build` takes: name, num_classes, in_channels, image_size.
    `temperature` divides the logits; a prediction whose probability lies below `threshold` (0..1)
    is marked as rejected. `facts` is the rest of what the file says of itself: recipe, data,
    accuracy.
    """

    model: nn.Module
    architecture: dict[str, Any]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    temperature: float = 1.0
    threshold: float = 0.0
    facts: ModelFacts = field(default_factory=ModelFacts)

    @property
    def inference(self) -> InferenceModule:
        """The network together with normalisation, mirrored views and temperature."""
        return InferenceModule(self.model, self.preprocessing, self.temperature)

    def inputs(self, images: NDArray[np.uint8]) -> Tensor:
        """Fitted images, uint8, N x H x W x C, as the network's input, where the network is."""
        device = next(self.model.parameters()).device
        return self.inference.normalize(torch.tensor(images, device=device))

    def scores(self, images: Images) -> Tensor:
        """Logits (N, K) on the CPU of fitted images, uint8 (N, H, W, C); temperature applied.

        Raises NeocogError where one is not finite: no probability could be made of it.
        """
        keep_freed_memory()
        found = predict_logits(self.inference, images).cpu()
        if not torch.isfinite(found).all():
            raise NeocogError(
                "The network's logits are not finite: its weights or its preprocessing are wrong.",
                "Train it again, with a smaller learning rate if it diverged.",
            )
        return found

    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Class probabilities, N x K, of fitted images, uint8, N x H x W x C."""
        return self.as_probabilities(self.scores(images))

    def as_probabilities(self, scores: Tensor) -> NDArray[np.float32]:
        """The softmax of the logits that `scores` gave, (N, K)."""
        probabilities: NDArray[np.float32] = torch.softmax(scores, 1).numpy()
        return probabilities

    def predict(
        self, sources: Sequence[tuple[str, Path | bytes]], top: int = 3
    ) -> list[Prediction]:
        """What each image shows: `sources` are (name to report, file or the file's bytes).

        An image that cannot be read or used becomes a Prediction with its `error`; the others are
        predicted all the same. `top` classes are reported.
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
        """What an image called `name` shows, by its probabilities, K; `top` are reported."""
        best = np.argsort(-row, kind="stable")[: max(1, top)]
        pairs = [(self.classes[k], float(row[k])) for k in best]
        label, probability = pairs[0]
        return Prediction(name, label, probability, pairs, rejected=probability < self.threshold)

    def save(self, path: Path) -> None:
        """Write one safetensors file that describes itself, whole or not at all."""
        sizes = {**self.architecture, "image_size": tuple(self.architecture["image_size"])}
        card = ModelCard(
            Architecture(**sizes),
            self.preprocessing,
            self.classes,
            self.temperature,
            self.threshold,
            self.facts,
        )
        state = {k: v.detach().cpu().contiguous() for k, v in self.model.state_dict().items()}
        write_atomic(path, save_tensors(state, metadata={"neocog": card.to_json()}))


def pick_device(name: str) -> torch.device:
    """The torch device for auto, cpu, cuda or mps. Raises UsageError where it is not there."""
    has = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in has.items() if there))
    if name not in has:
        raise UnknownNameError(f"There is no device {name!r}.", "Known: auto, cpu, cuda, mps.")
    if not has[name]:
        raise UsageError(
            f"This machine has no {name} device.", "Say: {settings}", [("device", "auto")]
        )
    return torch.device(name)


def load(run: str | Path, runs_dir: Path | None = None, device: str = "auto") -> Classifier:
    """The classifier of a run, of `latest`, or in a model file; no code from the file is run.

    What the file says is checked before anything is made of it, so that its network takes no more
    memory than its weights take on disk. Raises UsageError where there is no such run, NeocogError
    where the file is missing, damaged, not Neocog's, of a newer format, or its weights are not
    finite or do not fit its network (the first layer that differs is named).
    """
    path = model_path(str(run), runs.runs_folder(runs_dir))
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            card = card_in(path, file.metadata())
            _check_shapes(path, card, {name: file.get_slice(name) for name in file.keys()})  # noqa: SIM118
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise NotFoundError(f"There is no model file {path}.", "Train one: neocog train") from None
    except (OSError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DamagedFileError(f"{path} is damaged or no model file ({reason}).") from None
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise DamagedFileError(
                f"{path} is damaged: {name!r} holds weights that are not finite.",
                "Train it again, with a smaller learning rate if it diverged.",
            )
    model = models.build(**vars(card.architecture))
    load_weights(model, state, str(path))
    model.to(pick_device(device)).eval()
    return Classifier(
        model,
        card.architecture.to_json(),
        card.preprocessing,
        card.classes,
        card.temperature,
        card.threshold,
        facts=card.facts,
    )


def _check_shapes(path: Path, card: ModelCard, found: Mapping[str, Any]) -> None:
    """Compare the file's header with the network, which is built without memory.

    `found` are safetensors' slices, which know shape and type and are not read. Raises NeocogError
    naming the first layer that differs.
    """
    try:
        network = build_on_meta(**vars(card.architecture))
    except UsageError as error:  # an unknown name, a wrong pattern, a size that does not fit
        raise undescribed(path, error) from None
    own = network.state_dict()
    _check_fit(
        {name: tensor.shape for name, tensor in own.items()},
        {name: tuple(part.get_shape()) for name, part in found.items()},
        str(path),
    )
    for name, tensor in own.items():
        kind = found[name].get_dtype()
        if kind != DTYPES.get(tensor.dtype):
            raise WeightsError(
                f"The weights in {path} do not fit: {name!r} is {kind} in the file and "
                f"{DTYPES.get(tensor.dtype)} in the network."
            )


def model_path(run: str, folder: Path) -> Path:
    """The model file that was typed: itself, or that of the run. Raises as `runs.find` does."""
    if run.endswith(runs.MODEL_SUFFIX):
        return Path(run)
    found = runs.find(run, folder, with_model=True)
    if not found.model_file.is_file():
        raise NotFoundError(
            f"The run {found.path} has no model yet: it did not get to the end of an epoch.",
            f"Go on with it: neocog train --resume {found.path}",
        )
    return found.model_file


def load_weights(model: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Put `state` into `model`. Raises NeocogError naming the first layer that differs."""
    own = {name: tensor.shape for name, tensor in model.state_dict().items()}
    _check_fit(own, {name: tensor.shape for name, tensor in state.items()}, origin)
    model.load_state_dict(state)


def _check_fit(
    own: Mapping[str, Sequence[int]], found: Mapping[str, Sequence[int]], origin: str
) -> None:
    """Raise NeocogError naming the first tensor whose shape is not the network's own."""
    for name, shape in own.items():
        if name not in found:
            raise WeightsError(f"The weights in {origin} do not fit: they have no {name!r}.")
        if tuple(found[name]) != tuple(shape):
            raise WeightsError(
                f"The weights in {origin} do not fit: {name!r} is {tuple(found[name])} there "
                f"and {tuple(shape)} in the network."
            )
    for name in found:
        if name not in own:
            raise WeightsError(
                f"The weights in {origin} do not fit: {short(name)} is not in the network."
            )
