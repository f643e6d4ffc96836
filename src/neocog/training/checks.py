"""Checks of a recipe against its weights and data, before anything is built."""

import numpy as np

from neocog.data import Splits
from neocog.errors import UsageError
from neocog.models import pretrained
from neocog.progress import Progress, no_progress
from neocog.recipes import Recipe
from neocog.training.head import HeadData


def check_weights(recipe: Recipe, progress: Progress = no_progress) -> None:
    """Find the file of the recipe's weights, so that a missing one is known before data are read.

    Raises NeocogError if it is missing. timm's own weights are fetched when the network is built.
    """
    if recipe.weights == "imagenet" and recipe.model.startswith("timm/"):
        pretrained.check_timm(recipe.model)
    elif recipe.weights != "random":
        pretrained.weights_path(recipe.model, recipe.weights, progress)


def check_augmentation(recipe: Recipe, splits: Splits) -> None:
    """Raise UsageError if the recipe's augmentation does not fit the images or their classes."""
    height, width = splits.train.images.shape[1:3]
    if recipe.augment_grow_pixels and recipe.augment_grow_pixels < max(height, width):
        raise UsageError(
            f"augment_grow_pixels ({recipe.augment_grow_pixels}) is smaller than the images "
            f"({height} x {width}).",
            "Use {settings}, or 0 for no enlargement.",
            [("augment_grow_pixels", round(1.25 * max(height, width)))],
        )
    if recipe.augment_hand_fraction and splits.train.classes != tuple("0123456789"):
        raise UsageError(
            "augment_hand_fraction adds strokes to the digits 1, 7 and 9: it needs the classes 0 "
            "to 9.",
            "Use {settings}.",
            [("augment_hand_fraction", 0)],
        )
    if recipe.augment_edge == "reflect" and recipe.augment_shift_pixels >= min(height, width):
        raise UsageError(
            f"An image of {height} x {width} cannot be moved by {recipe.augment_shift_pixels} "
            "pixels and filled with its own edge.",
            "Use {settings}.",
            [("augment_shift_pixels", 2)],
        )


def check_folds(recipe: Recipe, splits: Splits) -> None:
    """Raise UsageError if a class has too few images for the recipe's folds."""
    if not recipe.folds:
        return
    images = HeadData.of(splits.train, splits.validation)
    groups_per_class = [
        len(np.unique(images.groups[images.labels == k])) for k in range(images.num_classes)
    ]
    smallest = splits.classes[int(np.argmin(groups_per_class))]
    if recipe.folds > min(groups_per_class):
        raise UsageError(
            f"{recipe.folds}-fold cross-validation needs {recipe.folds} distinct images per class, "
            f"but {smallest} has {min(groups_per_class)} (near-duplicates and groups count once).",
            "Use {settings}, or add images.",
            [("folds", max(2, min(10, *groups_per_class)))],
        )
