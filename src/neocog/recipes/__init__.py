"""Recipes: values that say what to train and how. `RECIPES` is the whole list."""

from collections.abc import Mapping
from typing import Any

from neocog.errors import unknown
from neocog.recipes import mnist, photos
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
        mnist.DIGITS,
        mnist.FASHION_MNIST,
        photos.PHOTOS,
    )
}

# What `neocog train DATA` runs where no recipe is named.
DEFAULT_FOR_DATA = {
    "mnist5k": "quickstart",
    "mnist": "mnist",
    "fashion-mnist": "fashion-mnist",
    "digits": "digits",
}


def get(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe called `name`, with `overrides` applied and checked.

    Raises UsageError for an unknown recipe, an unknown field or a wrong value.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return override(RECIPES[name], overrides or {})


def choose(data: str | None, recipe: str | None) -> str:
    """The name of the recipe: the one named, else the data's own, else quickstart."""
    if recipe is not None:
        return recipe
    if data is None:
        return "quickstart"
    return DEFAULT_FOR_DATA.get(data, "photos")


__all__ = ["DEFAULT_FOR_DATA", "RECIPES", "Recipe", "choose", "get", "override"]
