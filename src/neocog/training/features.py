"""Penultimate-layer features: computed once for each image, and cached on disk."""

import copy
import hashlib
from collections.abc import Sequence
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
from neocog.data.images import Images, LazyImages
from neocog.inspection.fuse_batch_norm import folded
from neocog.models.inference import batch_of, batch_size_for
from neocog.models.pretrained import last_layer
from neocog.progress import Progress, no_progress
from neocog.recipes import Recipe
from neocog.storage import cache
from neocog.storage.checksummed import load_arrays, save_arrays
from neocog.training.precision import has_bfloat16

MAX_BYTES = 2**29  # of one dataset's features: larger ones are not cached
FEATURES_VERSION = 1  # increment when the same pixels and weights give other features
DIGEST_BYTES = 16  # of an image's pixels as the network gets them

Part = tuple[ImageSet, int]  # images, and the number of views of each


@torch.inference_mode()
def compute_features(
    recipe: Recipe,
    classifier: Classifier,
    parts: Sequence[Part],
    progress: Progress = no_progress,
) -> tuple[list[Tensor], int]:
    """The input of the head for each part, `(V, N, D)`, float32, on the CPU.

    The V views are the image itself, its mirror image, and crops. If all parts have one view, the
    features of the same pixels and network are read from the cache; the second value is the number
    of images found there. The stage of `progress` is `features`, in views of images.
    """
    backbone = _Backbone(recipe, classifier)
    counter = _Counter(progress, sum(len(part) * views for part, views in parts))
    if any(views > 1 for _, views in parts):
        return [backbone.views(part.images, views, counter) for part, views in parts], 0
    stored = cache = FeatureCache.read(backbone.identity(recipe.data))
    digests_of_parts, hits = [], 0
    for part, _ in parts:
        digests = [_digest(part.images[n]) for n in range(len(part))]
        missing = [n for n, digest in enumerate(digests) if digest not in cache.row_of]
        hits += len(part) - len(missing)
        counter.add(len(part) - len(missing))
        if missing:
            rows = backbone.views(_subset(part.images, np.array(missing)), 1, counter)[0]
            cache = cache.with_more([digests[n] for n in missing], rows)
        digests_of_parts.append(digests)
    current = list(dict.fromkeys(digest for digests in digests_of_parts for digest in digests))
    if current != list(stored.row_of):
        cache.write(current)
    return [cache.rows_of(digests)[None] for digests in digests_of_parts], hits


def _subset(images: Images, indices: NDArray[np.int64]) -> Images:
    """The images with these indices, not copied."""
    if isinstance(images, LazyImages):
        return images.take(indices)
    return LazyImages(images, indices)


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()[:DIGEST_BYTES]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


class _Counter:
    """Adds up the images that are done, and tells `progress`."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, count: int) -> None:
        """Take note of `count` more images."""
        self.done += count
        self.progress("features", self.done, self.total)


class _Backbone:
    """A classifier's network without its head."""

    def __init__(self, recipe: Recipe, classifier: Classifier) -> None:
        self.seed, self.classifier = recipe.seed, classifier
        self.name = last_layer(classifier.model)
        self.device = next(classifier.model.parameters()).device
        self.low_precision = has_bfloat16(recipe.precision, self.device)

    @cached_property
    def network(self) -> nn.Module:
        """A copy in evaluation mode, with batch norms fused into convolutions where possible."""
        classifier = self.classifier
        model = copy.deepcopy(classifier.model).eval()
        parent, _, leaf = self.name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, nn.Identity())
        rule = classifier.preprocessing
        blank = np.zeros((1, *rule.image_size, rule.channels), np.uint8)
        return folded(model, classifier.inputs(blank))

    def views(self, images: Images, views: int, counter: "_Counter") -> Tensor:
        """Features, `(V, N, D)`, of `views` views of the images, `(N, H, W, C)`."""
        features: list[list[Tensor]] = [[] for _ in range(views)]
        size = batch_size_for(images.shape, self.classifier.model)
        for begin in range(0, len(images), size):
            batch = batch_of(images, begin, size, self.device)
            for view in range(views):
                generator = loader.seeded(self.seed, begin, view)
                augmented = augment.view(batch, view, generator)
                inputs = self.classifier.preprocessing.normalize(augmented)
                with torch.autocast(self.device.type, torch.bfloat16, self.low_precision):
                    features[view].append(self.network(inputs).flatten(1).float().cpu())
                counter.add(len(batch))
        if not len(images):
            return torch.zeros(0)
        return torch.stack([torch.cat(batches) for batches in features])

    def identity(self, data: str) -> str:
        """The name of the cache file: a digest of all that features depend on except the pixels."""
        rule = self.classifier.preprocessing.to_json()
        versions = [_version(name) for name in ("torch", "torchvision", "timm")]
        machine = (FEATURES_VERSION, *versions, self.device.type, self.low_precision)
        facts = (self.classifier.architecture.name, rule, machine, str(Path(data).resolve()))
        digest = hashlib.sha256(repr(facts).encode(errors="replace"))
        for name, tensor in self.classifier.model.state_dict().items():
            if not name.startswith(f"{self.name}."):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()[:32]


@dataclass(frozen=True)
class FeatureCache:
    """Cached features, `rows`, `(N, D)`, and the row of each image's digest."""

    file: Path
    row_of: dict[bytes, int]
    rows: Tensor

    @staticmethod
    def read(identity: str) -> "FeatureCache":
        """The cache on disk; empty if it is missing or damaged."""
        file = cache.entry("features", f"{identity}.safetensors")
        arrays = load_arrays(file)
        if arrays and {"digests", "features"} == set(arrays):
            digests = [row.tobytes() for row in arrays["digests"]]
            if len(digests) == len(arrays["features"]):
                rows = torch.from_numpy(arrays["features"])
                return FeatureCache(file, {d: n for n, d in enumerate(digests)}, rows)
        return FeatureCache(file, {}, torch.zeros(0))

    def with_more(self, digests: Sequence[bytes], rows: Tensor) -> "FeatureCache":
        """This cache with the features of more images."""
        begin = len(self.rows)
        row_of = self.row_of | {d: begin + n for n, d in enumerate(digests)}
        return FeatureCache(self.file, row_of, torch.cat([self.rows, rows]) if begin else rows)

    def rows_of(self, digests: Sequence[bytes]) -> Tensor:
        """The features of the images with these digests, `(len(digests), D)`."""
        return self.rows[[self.row_of[d] for d in digests]]

    def write(self, digests: Sequence[bytes]) -> None:
        """Write the features of these images and no others, unless they take over MAX_BYTES.

        A full disk raises nothing: the features are computed again next time.
        """
        rows = self.rows_of(digests)
        if rows.nbytes > MAX_BYTES:
            return
        names = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)
        save_arrays(self.file, {"digests": names, "features": rows.numpy()})
        cache.evict()
