"""From a recipe to its network: final values, checks before the work, weights, frozen layers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from neocog import data, models
from neocog.data import Splits
from neocog.errors import UsageError
from neocog.models import pretrained
from neocog.recipes import Recipe
from neocog.training.initial_weights import are_for_other_classes, taken_over
from neocog.training.loss import check_gives_logits


def resolve(recipe: Recipe) -> Recipe:
    """The recipe with paths that hold from anywhere, and with what it leaves to its weights."""
    if recipe.data not in data.DATASETS and data.exists(recipe.data):
        place = Path(recipe.data)
        place = place.resolve() if ".." in place.parts else place.absolute()
        recipe = replace(recipe, data=str(place))
    if recipe.weights not in ("random", "imagenet"):
        recipe = replace(recipe, weights=str(Path(recipe.weights).absolute()))
    models.describe(recipe.model)  # what cannot be is said before the work
    recipe = pretrained.with_weight_defaults(taken_over(recipe))
    if recipe.weights != "random" and not recipe.model.startswith("timm/"):
        pretrained.weights_path(recipe.model, recipe.weights)
    return recipe


def check_augmentation(recipe: Recipe, splits: Splits) -> None:
    """Raise UsageError where the images are too large or too small for the recipe's changes."""
    height, width = splits.train.images.shape[1:3]
    if recipe.augment_grow_pixels and recipe.augment_grow_pixels < max(height, width):
        raise UsageError(
            f"augment_grow_pixels ({recipe.augment_grow_pixels}) is smaller than the images "
            f"({height} x {width}).",
            f"Say: --set augment_grow_pixels={round(1.25 * max(height, width))}, or 0 not to grow.",
        )
    if recipe.augment_hand_fraction and splits.train.classes != tuple("0123456789"):
        raise UsageError(
            "augment_hand_fraction adds strokes to the digits 1, 7 and 9: it wants the classes 0 "
            "to 9.",
            "Say: --set augment_hand_fraction=0",
        )
    if recipe.augment_edge == "reflect" and recipe.augment_shift_pixels >= min(height, width):
        raise UsageError(
            f"An image of {height} x {width} cannot be moved by {recipe.augment_shift_pixels} "
            "pixels and filled with its own edge.",
            "Say: --set augment_shift_pixels=2",
        )


def build(recipe: Recipe, splits: Splits, device: torch.device) -> tuple[nn.Module, dict[str, Any]]:
    """The recipe's network with the weights that its seed gives, and its architecture."""
    height, width, channels = splits.train.images.shape[1:]
    architecture = {
        "name": recipe.model,
        "num_classes": len(splits.classes),
        "in_channels": channels,
        "image_size": (height, width),
    }
    torch.manual_seed(recipe.seed)
    model = models.build(**architecture)
    if recipe.weights != "random":
        with_head = not are_for_other_classes(recipe, splits.classes)
        pretrained.load_pretrained(
            model, recipe.model, recipe.weights, recipe.trained_part, with_head=with_head
        )
    freeze(model, recipe)
    model = model.to(device)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    fit_to = getattr(model, "fit_to", None)  # a layer that is made from images, not trained
    few = splits.train.images[: 5000 if fit_to else 2]
    inputs = splits.preprocessing.normalize(torch.tensor(few, device=device))
    if fit_to:
        fit_to(inputs)
    if not recipe.feature_views or recipe.fine_tune:  # a fitted last layer is linear
        check_gives_logits(model, inputs[:2])
    return model, architecture


def freeze(model: nn.Module, recipe: Recipe) -> None:
    """Leave out of training what the recipe does not name. Raises UsageError where nothing is."""
    part = recipe.trained_part
    names = [name for name, _ in model.named_parameters()]
    if not any(name.startswith(part) for name in names):
        tops = list(dict.fromkeys(name.partition(".")[0] for name in names))
        raise UsageError(
            f"{recipe.model} has no layers whose names begin with {part!r}.",
            f"Its parts are: {', '.join(tops)}.",
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(part) and parameter.requires_grad)


def set_train_mode(model: nn.Module) -> None:
    """Training mode, but for what is not trained: its batch norms keep what they know."""
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(p.requires_grad for p in own):
            module.eval()
