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
            f"{', '.join(sorted(unused))}: {name} fits the last layer alone, once and to its end, "
            "and needs none.",
            "To train the whole network, add: --fine-tune",
        )
    return recipe


# Networks with ImageNet weights, which `photos` can start from.
PRETRAINED = (
    "efficientnet-lite0",
    *(recipe.model for recipe in cifar10.FROM_SCRATCH if recipe.model != "alexnet-2012"),
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "convnext_tiny",
    "vit_b_16",
)

# Networks with a recipe of their own, which also applies to similar data. All other networks are
# trained with the recipe of the data.
_SIMILAR_DATA = (("mnist5k", "mnist"), ("cifar10", "cifar100"))
RECIPE_OF_MODEL = {
    "lenet5-1998": "lenet5-1998",
    **{r.model: r.name for r in RECIPES.values() if r.data == "cifar10" and r.model != "convnet"},
}


# Custom datasets with at least this many images of at most this side are trained from scratch.
SMALL_SIDE, MANY_IMAGES = 64, 2000


def choose(data: str | None, recipe: str | None, model: str | None = None) -> str:
    """Return the name of the recipe to use: `recipe` itself, the model's or the data's.

    A model's own recipe is used on similar data only. Without arguments it is quickstart.
    """
    if recipe is not None:
        return recipe
    default = DEFAULT_FOR_DATA.get(data or "mnist5k", "photos")
    if default == "photos" and model and not (model in PRETRAINED or model.startswith("timm/")):
        default = "scratch"
    if RECIPES[default].model == model:
        return default
    own = RECIPES.get(RECIPE_OF_MODEL.get(model or "", ""))
    if own and (data is None or any({data, own.data} <= set(names) for names in _SIMILAR_DATA)):
        return own.name
    if model and data in ("cifar10", "cifar100"):
        return "cifar10-plain"  # the recipe cifar10 is tuned to its own network
    return default


def scratch_overrides(count: int, side: int) -> dict[str, int] | None:
    """Return the overrides of `scratch` for `count` images with short sides of `side` pixels.

    None if the images are few or large, because a pretrained network is then more accurate.
    """
    if count < MANY_IMAGES or not 0 < side <= SMALL_SIDE:
        return None
    shift = round(RECIPES["scratch"].augment_shift_pixels * side / SMALL_SIDE)
    epochs = max(10, min(40, 600_000 // count))
    return {"image_size_pixels": max(side, 16), "augment_shift_pixels": shift, "epochs": epochs}


__all__ = [
    "DEFAULT_FOR_DATA",
    "RECIPES",
    "Recipe",
    "choose",
    "get",
    "override",
    "scratch_overrides",
]
