"""The first training batch, with its augmentation."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from neocog.data import ImageSet
from neocog.recipes import Recipe
from neocog.records import EpochMetrics

BATCH_SIZE = 32  # images that are shown


def as_carried_out(recipe: Recipe, line: EpochMetrics) -> Recipe:
    """The recipe of a run with this first line: without fine-tuning where it did not start."""
    skipped = line.head is not None and line.head.tuning_skipped
    return replace(recipe, fine_tune=False) if skipped else recipe


def first_training_batch(recipe: Recipe, train: ImageSet) -> tuple[NDArray[np.uint8], list[str]]:
    """The first training images after augmentation, uint8, (N, H, W, C), and their class names."""
    if recipe.feature_views in (1, 2) and not recipe.fine_tune:
        return _features_batch(recipe, train)
    import torch  # what a report and plots without this batch do without

    from neocog.data import augment, loader

    count = min(BATCH_SIZE, len(train))
    order = loader.order(len(train), recipe.seed, 0)[:count]
    batch = torch.from_numpy(train.images[order.numpy()])
    labels = [train.classes[train.labels[n]] for n in order]
    if recipe.feature_views and not recipe.fine_tune:
        generator = loader.seeded(recipe.seed, 0, 2)
        views = [augment.view(batch, n, generator) for n in range(recipe.feature_views)]
        augmented = torch.stack([views[n % len(views)][n].float() for n in range(count)])
    else:
        flips = augment.flip_mask(len(train), recipe.augment_flip, recipe.seed, 0)
        mirrored = None if flips is None else flips[order]
        targets = torch.from_numpy(train.labels[order.numpy()])
        augmented = augment.augmented(recipe, batch, 0, mirrored, targets).float()
    pixels: NDArray[np.uint8] = augmented.clamp(0, 255).round().byte().numpy()
    return pixels, labels


def _features_batch(recipe: Recipe, train: ImageSet) -> tuple[NDArray[np.uint8], list[str]]:
    """Some training images of a fit on features, which has no order: every second one mirrored.

    That is with two views; with one view, none is changed.
    """
    order = np.random.default_rng(recipe.seed).permutation(len(train))[:BATCH_SIZE]
    images = np.array(train.images[order])
    if recipe.feature_views == 2:
        images[1::2] = images[1::2, :, ::-1]
    return images, [train.classes[train.labels[n]] for n in order]
