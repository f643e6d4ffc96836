"""What a recipe finally is: the default for the data, overrides, what the weights imply.

It is decided here, once, before anything is read or built; nothing changes a recipe afterwards.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from neocog import recipes
from neocog.recipes.recipe import Recipe

# Networks with a recipe of their own, which also applies to similar data. All other networks are
# trained with the recipe of the data.
_SIMILAR_DATA = (("mnist5k", "mnist"), ("cifar10", "cifar100"))
RECIPE_OF_MODEL = {
    "lenet5-1998": "lenet5-1998",
    **{
        r.model: r.name
        for r in recipes.RECIPES.values()
        if r.data == "cifar10" and r.model != "convnet"
    },
}

# Custom datasets with at least this many images of at most this side are trained from scratch.
SMALL_SIDE, MANY_IMAGES = 64, 2000


@dataclass(frozen=True)
class WeightsPreprocessing:
    """The preprocessing that weights were trained with.

    `mean` and `std` apply to images scaled to 0..1. The short side of an image is resized to
    `resize` pixels (0: not at all) and its centre of `image_size` x `image_size` is cropped.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int
    resize: int


# Of weights of a network whose ImageNet weights, and thus their preprocessing, are not known.
UNKNOWN_WEIGHTS = WeightsPreprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 64, 73)


class Context(Protocol):
    """What a recipe depends on besides itself; `neocog.recipe_context` is the real one.

    Recipes are below data and networks, so they ask. They ask only for what decides something:
    some answers take seconds.
    """

    def is_own_data(self, data: str) -> bool:
        """Whether a name is that of a user's files, not of a published dataset."""

    def measure(self, data: str, allow_outside: bool) -> tuple[int, int]:
        """The number of images in a user's dataset, and their typical short side in pixels."""

    def check_network(self, model: str) -> None:
        """Raise UsageError if there is no such network."""

    def has_weights(self, model: str) -> bool:
        """Whether the preprocessing of a network's ImageNet weights is known without timm."""

    def imagenet_weights(self, model: str) -> WeightsPreprocessing:
        """The preprocessing of a network's ImageNet weights. Raises UsageError if it has none."""

    def weights_in_file(self, recipe: Recipe) -> WeightsPreprocessing | None:
        """The preprocessing in the recipe's weights, if they are a Neocog model file.

        Raises UsageError if they are those of another network or number of channels.
        """


def resolve(
    context: Context,
    recipe: Recipe | str | None = None,
    *,
    data: str | None = None,
    model: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    on_small: Callable[[int, int], None] | None = None,
) -> Recipe:
    """Return the final recipe: complete, checked, with absolute paths.

    `recipe` is a recipe or the name of one; None chooses by `data` and `model`. `overrides`
    replace fields of a named or chosen recipe; `data` and `model` must be among them. `on_small` is
    called with (images, pixels a side) if a user's images are so many and so small that they are
    trained from scratch. A resolved recipe is returned unchanged.

    Raises UsageError for an unknown recipe, field or network, an invalid value, and weights that do
    not fit; NeocogError if a file of weights or data is damaged.
    """
    if not isinstance(recipe, Recipe):
        recipe = _select(context, recipe, data, model, overrides or {}, on_small)
    if context.is_own_data(recipe.data):
        path = Path(recipe.data)
        path = path.resolve() if ".." in path.parts else path.absolute()
        recipe = replace(recipe, data=str(path))
    if recipe.weights not in ("random", "imagenet"):
        recipe = replace(recipe, weights=str(Path(recipe.weights).absolute()))
    context.check_network(recipe.model)
    return _with_preprocessing_of_weights(recipe, context)


def _select(
    context: Context,
    name: str | None,
    data: str | None,
    model: str | None,
    overrides: Mapping[str, Any],
    on_small: Callable[[int, int], None] | None,
) -> Recipe:
    """The recipe with this name, or the one that suits data and network, with `overrides`."""
    chosen = name or choose(data, model, context.has_weights)
    meant = name or model or {"weights", "fine_tune", "folds"} & set(overrides)
    if chosen == "photos" and not meant and data and context.is_own_data(data):
        count, side = context.measure(data, bool(overrides.get("allow_outside")))
        small = scratch_overrides(count, side)
        if small:
            if on_small:
                on_small(count, side)
            return recipes.get("scratch", {**small, **overrides})
    return recipes.get(chosen, overrides)


def choose(data: str | None, model: str | None, has_weights: Callable[[str], bool]) -> str:
    """Return the name of the recipe for data and a network, by default quickstart.

    A network's own recipe is used on similar data only.
    """
    default = recipes.DEFAULT_FOR_DATA.get(data or "mnist5k", "photos")
    if default == "photos" and model and not (has_weights(model) or model.startswith("timm/")):
        default = "scratch"
    if recipes.RECIPES[default].model == model:
        return default
    own = recipes.RECIPES.get(RECIPE_OF_MODEL.get(model or "", ""))
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
    shift = round(recipes.RECIPES["scratch"].augment_shift_pixels * side / SMALL_SIDE)
    epochs = max(10, min(40, 600_000 // count))
    return {"image_size_pixels": max(side, 16), "augment_shift_pixels": shift, "epochs": epochs}


def _with_preprocessing_of_weights(recipe: Recipe, context: Context) -> Recipe:
    """Fill the recipe's unset mean, std and image sizes with the values of its weights."""
    in_file = context.weights_in_file(recipe)
    if in_file and not recipe.mean:
        recipe = _filled(recipe, in_file)
    has_sizes = recipe.image_size_pixels and recipe.resize_pixels
    if recipe.mean and (has_sizes or (recipe.image_size_pixels and recipe.fit != "crop")):
        return recipe
    if recipe.weights == "imagenet":
        return _filled(recipe, context.imagenet_weights(recipe.model))
    if recipe.mean and recipe.fit != "crop":
        return recipe
    from_timm = recipe.weights != "random" and recipe.model.startswith("timm/")
    known = context.has_weights(recipe.model) or from_timm
    return _filled(recipe, context.imagenet_weights(recipe.model) if known else UNKNOWN_WEIGHTS)


def _filled(recipe: Recipe, weights: WeightsPreprocessing) -> Recipe:
    side = recipe.image_size_pixels or weights.image_size
    resize = recipe.resize_pixels or round(weights.resize * side / weights.image_size)
    return replace(
        recipe,
        mean=recipe.mean or weights.mean,
        std=recipe.std or weights.std,
        image_size_pixels=side,
        resize_pixels=resize or None,
    )
