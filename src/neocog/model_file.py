"""A model file read and written as a PyTorch network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from neocog import models
from neocog.errors import DamagedFileError, UsageError, WeightsError
from neocog.json_fields import short
from neocog.model_card import ModelCard, card_in, damaged, undescribed
from neocog.models.meta_device import build_on_meta
from neocog.storage.atomic import write_atomic

# What safetensors calls the types that weights and counters have.
DTYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
}


def read_network(path: Path) -> nn.Module:
    """Build the network in a model file, on the CPU, in evaluation mode.

    Its weights are compared with the network before anything is built, so that the network takes no
    more memory than its weights take on disk. Raises NeocogError if the weights are not finite or
    do not fit the network (the first layer that differs is named).
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            card = card_in(path, file.metadata())
            _check_shapes(path, card, {name: file.get_slice(name) for name in file.keys()})  # noqa: SIM118
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from None
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise DamagedFileError(
                f"{path} is damaged: {name!r} holds weights that are not finite.",
                "Train it again, with a smaller learning rate if it diverged.",
            )
    model = models.build(**vars(card.architecture))
    load_weights(model, state, str(path))
    return model.eval()


def write_network(path: Path, card: ModelCard, model: nn.Module) -> None:
    """Write a safetensors file that describes itself, whole or not at all."""
    state = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    write_atomic(path, save_tensors(state, metadata={"neocog": card.to_json()}))


def load_weights(model: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Put `state` into `model`. Raises NeocogError naming the first layer that differs."""
    own = {name: tensor.shape for name, tensor in model.state_dict().items()}
    _check_fit(own, {name: tensor.shape for name, tensor in state.items()}, origin)
    model.load_state_dict(state)


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
