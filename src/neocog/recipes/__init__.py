"""Recipes: values that define what to train and how. `RECIPES` lists them."""

from collections.abc import Mapping
from typing import Any

from neocog.errors import UsageError, unknown
from neocog.recipes import cifar10, mnist, photos
from neocog.recipes.recipe import Recipe, override

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        mnist.QUICKSTART,
        mnist.MNIST,
        mnist.MNIST_FAST,
        mnist.LENET,
        mnist.CONVNET,
        mnist.THREENET,
        mnist.LENET5,
        mnist.LENET1,
        mnist.LENET5_1998,
        mnist.DIGITS,
        mnist.FASHION_MNIST,
        cifar10.CIFAR10,
        cifar10.RESNET_CIFAR,
        cifar10.CIFAR100,
        cifar10.CIFAR10_PLAIN,
        *cifar10.HE_FAMILY,
        cifar10.ALLCONV,
        *cifar10.FROM_SCRATCH,
        photos.PHOTOS,
        photos.ALEXNET_TRANSFER,
        photos.SCRATCH,
    )
}

# The recipe of `neocog train DATA` without --recipe.
DEFAULT_FOR_DATA = {
    "mnist5k": "quickstart",
    "mnist": "mnist",
    "fashion-mnist": "fashion-mnist",
    "digits": "digits",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
}


def get(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe called `name` with `overrides` applied.

    Raises UsageError for an unknown recipe or field, or an invalid value.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    recipe = override(RECIPES[name], overrides or {})
    unused = {"epochs", "learning_rate", "batch_size"} & set(overrides or {})
    if unused and recipe.feature_views and not recipe.fine_tune:
        raise UsageError(
            f"{', '.join(sorted(unused))}: {name} fits only the head, in one step, and "
            "does not use this.",
            "To train the whole network, add: {settings}",
            [("fine_tune", True)],
        )
    return recipe


__all__ = ["DEFAULT_FOR_DATA", "RECIPES", "Recipe", "get", "override"]
