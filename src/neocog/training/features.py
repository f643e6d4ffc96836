"""What comes into a network's last layer, for each image: computed once, and kept on disk."""

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neocog.classifier import Classifier
from neocog.data import ImageSet, augment, loader
from neocog.data.cache import features_folder, load_arrays, save_arrays
from neocog.data.images import Images, LazyImages
from neocog.inspection.fuse_batch_norm import folded
from neocog.models.inference import batch_of, batch_size_for
from neocog.models.pretrained import last_layer
from neocog.recipes import Recipe
from neocog.training.precision import has_bfloat16

MOST_BYTES = 2**29  # of one data set's features: what takes more is computed anew each time
COMPUTING = (
    1  # counted up where the same pixels and weights give other features: kept ones are stale
)
DIGEST = 16  # bytes, of an image's pixels as the network gets them

Part = tuple[ImageSet, int]  # images, and how many views of each


@torch.inference_mode()
def compute_features(
    recipe: Recipe, classifier: Classifier, parts: Sequence[Part], tell: Callable[[int], None]
) -> tuple[list[Tensor], int]:
    """What comes into the last layer for each part: views x N x D, float32, on the CPU.

    The views are the image as it is, mirrored, and crops. Where all parts have one view, what was
    computed before, for the same pixels and the same network, is taken from the disk; the second
    value says for how many images. `tell` gets numbers of images that are done, again and
    again.
    """
    network = _Headless(recipe, classifier)
    if any(views > 1 for _, views in parts):
        return [network.views(part.images, views, tell) for part, views in parts], 0
    before = known = FeatureCache.read(network.identity(recipe.data))
    found, kept = [], 0
    for part, _ in parts:
        digests = [_digest(part.images[n]) for n in range(len(part))]
        missing = [n for n, digest in enumerate(digests) if digest not in known.row_of]
        kept += len(part) - len(missing)
        tell(len(part) - len(missing))
        if missing:
            rows = network.views(_unread(part.images, np.array(missing)), 1, tell)[0]
            known = known.with_more([digests[n] for n in missing], rows)
        found.append(digests)
    wanted = list(dict.fromkeys(digest for digests in found for digest in digests))
    if wanted != list(before.row_of):
        known.keep(wanted)
    return [known.rows_of(digests)[None] for digests in found], kept


def _unread(images: Images, which: NDArray[np.int64]) -> Images:
    """Some images, without a copy of them all."""
    return images.take(which) if isinstance(images, LazyImages) else LazyImages(images, which)


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()[:DIGEST]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


class _Headless:
    """A classifier's network up to what comes into its last layer."""

    def __init__(self, recipe: Recipe, classifier: Classifier) -> None:
        self.seed, self.classifier = recipe.seed, classifier
        self.name = last_layer(classifier.model)
        self.device = next(classifier.model.parameters()).device
        self.low_precision = has_bfloat16(recipe.precision, self.device)

    @cached_property
    def network(self) -> nn.Module:
        """A copy in evaluation mode, whose batch norms are folded where they can be."""
        classifier = self.classifier
        model = copy.deepcopy(classifier.model).eval()
        parent, _, leaf = self.name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, nn.Identity())
        rule = classifier.preprocessing
        blank = np.zeros((1, *rule.image_size, rule.channels), np.uint8)
        return folded(model, classifier.inputs(blank))

    def views(self, images: Images, views: int, tell: Callable[[int], None]) -> Tensor:
        """Features of every view of the images, N x H x W x C: views x N x D."""
        found: list[list[Tensor]] = [[] for _ in range(views)]
        size = batch_size_for(images.shape, self.classifier.model)
        for begin in range(0, len(images), size):
            batch = batch_of(images, begin, size, self.device)
            for view in range(views):
                generator = loader.seeded(self.seed, begin, view)
                shown = augment.view(batch, view, generator)
                inputs = self.classifier.preprocessing.normalize(shown)
                with torch.autocast(self.device.type, torch.bfloat16, self.low_precision):
                    found[view].append(self.network(inputs).flatten(1).float().cpu())
                tell(len(batch))
        return torch.stack([torch.cat(rows) for rows in found]) if len(images) else torch.zeros(0)

    def identity(self, data: str) -> str:
        """Names the file for `data`: a digest of what features depend on beside the pixels."""
        rule = self.classifier.preprocessing.to_json()
        versions = [_version(name) for name in ("torch", "torchvision", "timm")]
        machine = (COMPUTING, *versions, self.device.type, self.low_precision)
        facts = (self.classifier.architecture["name"], rule, machine, str(Path(data).resolve()))
        digest = hashlib.sha256(repr(facts).encode(errors="replace"))
        for name, tensor in self.classifier.model.state_dict().items():
            if not name.startswith(f"{self.name}."):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()[:32]


@dataclass(frozen=True)
class FeatureCache:
    """Features that are known, N x D, and the row of each image's digest; `file` keeps them."""

    file: Path
    row_of: dict[bytes, int]
    rows: Tensor

    @staticmethod
    def read(identity: str) -> "FeatureCache":
        """What was kept; nothing where that is missing or damaged."""
        file = features_folder() / f"{identity}.safetensors"
        kept = load_arrays(file)
        if kept and {"digests", "features"} == set(kept):
            digests = [row.tobytes() for row in kept["digests"]]
            if len(digests) == len(kept["features"]):
                rows = torch.from_numpy(kept["features"])
                return FeatureCache(file, {d: n for n, d in enumerate(digests)}, rows)
        return FeatureCache(file, {}, torch.zeros(0))

    def with_more(self, digests: Sequence[bytes], rows: Tensor) -> "FeatureCache":
        """These and others."""
        begin = len(self.rows)
        row_of = self.row_of | {d: begin + n for n, d in enumerate(digests)}
        return FeatureCache(self.file, row_of, torch.cat([self.rows, rows]) if begin else rows)

    def rows_of(self, digests: Sequence[bytes]) -> Tensor:
        """The features of images, in their order."""
        return self.rows[[self.row_of[d] for d in digests]]

    def keep(self, digests: Sequence[bytes]) -> None:
        """Write those of these images and no others; a disk without room costs time only."""
        rows = self.rows_of(digests)
        if rows.nbytes > MOST_BYTES:
            return
        names = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST)
        save_arrays(self.file, {"digests": names, "features": rows.numpy()})
