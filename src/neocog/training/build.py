"""From a recipe to its network: weights, frozen layers."""

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
from neocog.recipes import Recipe
from neocog.training.loss import check_gives_logits


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
