"""Recipes: values that say what to train and how. `RECIPES` is the whole list."""

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

# What `neocog train DATA` runs where no recipe is named.
DEFAULT_FOR_DATA = {
    "mnist5k": "quickstart",
    "mnist": "mnist",
    "fashion-mnist": "fashion-mnist",
    "digits": "digits",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
}


def get(name: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe called `name`, with `overrides` applied and checked.

    Raises UsageError for an unknown recipe, an unknown field or a wrong value.
    """
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    recipe = override(RECIPES[name], overrides or {})
    idle = {"epochs", "learning_rate", "batch_size"} & set(overrides or {})
    if idle and recipe.feature_views and not recipe.fine_tune:
        raise UsageError(
            f"{', '.join(sorted(idle))}: {name} fits the last layer alone, once and to its end, "
            "and needs none.",
            "To train the whole network, add: --fine-tune",
        )
    return recipe


# Networks that have ImageNet weights: what `photos` can begin with.
PRETRAINED = (
    "efficientnet-lite0",
    *(recipe.model for recipe in cifar10.FROM_SCRATCH if recipe.model != "alexnet-2012"),
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "convnext_tiny",
    "vit_b_16",
)

# Networks that need their own recipe, on any data of its kind; others train by the data's.
_KINDS = (("mnist5k", "mnist"), ("cifar10", "cifar100"))
OWN_RECIPE = {
    "lenet5-1998": "lenet5-1998",
    **{r.model: r.name for r in RECIPES.values() if r.data == "cifar10" and r.model != "convnet"},
}


# Images of your own that are as small and as many as this are learned from nothing.
SMALL_SIDE, MANY = 64, 2000


def choose(data: str | None, recipe: str | None, model: str | None = None) -> str:
    """The name of the recipe: the one named, else the network's own or the data's, else quickstart.

    A network that needs its own recipe gets it on any data of the recipe's kind.
    """
    if recipe is not None:
        return recipe
    usual = DEFAULT_FOR_DATA.get(data or "mnist5k", "photos")
    if usual == "photos" and model and not (model in PRETRAINED or model.startswith("timm/")):
        usual = "scratch"
    if RECIPES[usual].model == model:
        return usual
    own = RECIPES.get(OWN_RECIPE.get(model or "", ""))
    if own and (data is None or any({data, own.data} <= set(kind) for kind in _KINDS)):
        return own.name
    if model and data in ("cifar10", "cifar100"):
        return "cifar10-plain"  # theirs is tuned to its own network
    return usual


def for_small(count: int, side: int) -> dict[str, Any] | None:
    """What to change in `scratch` for `count` images with short sides of `side` pixels.

    None where they are few or large, and a network that knows photos does better.
    """
    if count < MANY or not 0 < side <= SMALL_SIDE:
        return None
    shift = round(RECIPES["scratch"].augment_shift_pixels * side / SMALL_SIDE)
    epochs = max(10, min(40, 600_000 // count))
    return {"image_size_pixels": max(side, 16), "augment_shift_pixels": shift, "epochs": epochs}


__all__ = ["DEFAULT_FOR_DATA", "RECIPES", "Recipe", "choose", "for_small", "get", "override"]
