"""Features that PyTorch computes: of several views, on a GPU, or before fine-tuning."""

import copy
import hashlib
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from neocog.classifier import Classifier
from neocog.data import augment, loader
from neocog.data.images import Images
from neocog.inspection.fuse_batch_norm import folded
from neocog.models.inference import batch_of, batch_size_for
from neocog.models.pretrained import last_layer
from neocog.recipes import Recipe
from neocog.training.features import version_of
from neocog.training.precision import has_bfloat16
from neocog.training.split_metrics import Floats


class NetworkBackbone:
    """A classifier's network without its head, run by PyTorch."""

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

    @torch.inference_mode()
    def views(self, images: Images, views: int, on_done: Callable[[int], None]) -> Floats:
        """Features, `(V, N, D)`, of `views` views of the images, as `Backbone.views`."""
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
                on_done(len(batch))
        if not len(images):
            return np.zeros((views, 0, 0), np.float32)
        joined: Floats = torch.stack([torch.cat(batches) for batches in features]).numpy()
        return joined

    def identity(self) -> tuple[str, ...]:
        """All that features depend on except the pixels, as `Backbone.identity`."""
        digest = hashlib.sha256()
        for name, tensor in self.classifier.model.state_dict().items():
            if not name.startswith(f"{self.name}."):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().data)
        versions = [version_of(name) for name in ("torch", "torchvision", "timm")]
        machine = (*versions, self.device.type, str(self.low_precision))
        rule = repr(self.classifier.preprocessing.to_json())
        return (self.classifier.architecture.name, rule, *machine, digest.hexdigest())
