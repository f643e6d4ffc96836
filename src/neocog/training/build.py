"""From a recipe to its network: checks before training, weights, frozen layers."""

from pathlib import Path

import torch
from torch import nn

from neocog import models
from neocog.classifier import Classifier
from neocog.data import Splits
from neocog.errors import UsageError
from neocog.model_card import Architecture, find_card
from neocog.models import pretrained
from neocog.models.protocols import FitsToImages
from neocog.progress import Progress, no_progress
from neocog.recipes import Recipe
from neocog.training.loss import check_gives_logits


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


def build_classifier(recipe: Recipe, splits: Splits, device: torch.device) -> Classifier:
    """An untrained classifier: the recipe's network with its initial weights, on `device`.

    Random weights are a function of the recipe's seed. Raises UsageError if `trained_part` names no
    layer or the network's outputs are not logits.
    """
    height, width, channels = splits.train.images.shape[1:]
    architecture = Architecture(recipe.model, len(splits.classes), channels, (height, width))
    torch.manual_seed(recipe.seed)
    model = models.build(**vars(architecture))
    if recipe.weights != "random":
        with_head = not has_other_classes(recipe, splits.classes)
        pretrained.load_pretrained(
            model, recipe.model, recipe.weights, recipe.trained_part, with_head=with_head
        )
    freeze(model, recipe)
    model = model.to(device)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    images = splits.train.images[: 5000 if isinstance(model, FitsToImages) else 2]
    inputs = splits.preprocessing.normalize(torch.tensor(images, device=device))
    if isinstance(model, FitsToImages):
        model.fit_to(inputs)
    if not recipe.feature_views or recipe.fine_tune:  # a fitted head is linear
        check_gives_logits(model, inputs[:2])
    return Classifier.of_network(model, architecture, splits.preprocessing, splits.classes)


def has_other_classes(recipe: Recipe, classes: tuple[str, ...]) -> bool:
    """Whether the recipe's weights are in a Neocog model file with other classes."""
    card = find_card(Path(recipe.weights))
    return card is not None and card.classes != classes


def freeze(model: nn.Module, recipe: Recipe) -> None:
    """Freeze all parameters outside the recipe's `trained_part`, a prefix of their names.

    Raises UsageError if no parameter has it.
    """
    part = recipe.trained_part
    names = [name for name, _ in model.named_parameters()]
    if not any(name.startswith(part) for name in names):
        children = list(dict.fromkeys(name.partition(".")[0] for name in names))
        raise UsageError(
            f"{recipe.model} has no layers whose names begin with {part!r}.",
            f"Its parts are: {', '.join(children)}.",
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(part) and parameter.requires_grad)


def set_train_mode(model: nn.Module) -> None:
    """Training mode, with frozen modules in eval mode: their batch-norm statistics stay."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters(recurse=False))
        if parameters and not any(p.requires_grad for p in parameters):
            module.eval()
