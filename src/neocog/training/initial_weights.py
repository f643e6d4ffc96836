"""Training from a Neocog model file: the preprocessing and classes that go with its weights."""

from dataclasses import replace
from pathlib import Path

from neocog.errors import UsageError
from neocog.model_card import find_card
from neocog.recipes import Recipe


def with_file_preprocessing(recipe: Recipe) -> Recipe:
    """The recipe with the preprocessing in its weights' file, if it does not set its own.

    A recipe whose weights are not in a Neocog model file is returned unchanged. Raises UsageError
    if the file holds another network or another number of channels, NeocogError if its metadata is
    invalid.
    """
    card = find_card(Path(recipe.weights))
    if card is None:
        return recipe
    if card.architecture.name != recipe.model:
        raise UsageError(
            f"{recipe.weights} holds the weights of {card.architecture.name}, not of "
            f"{recipe.model}.",
            "Name its network: {settings}",
            [("model", card.architecture.name)],
        )
    channels = card.architecture.in_channels
    if recipe.mean and len(recipe.mean) != channels:
        wanted, other = ("grey", "RGB") if channels == 1 else ("RGB", "grey")
        raise UsageError(
            f"{recipe.weights} takes {wanted} images, and the recipe {recipe.name} makes {other} "
            "ones.",
            "Say: {settings}",
            [("mean", card.preprocessing.mean), ("std", card.preprocessing.std)],
        )
    if recipe.mean:
        return recipe
    rule = card.preprocessing
    side = recipe.image_size_pixels or rule.image_size[0]
    resize = round(rule.resize * side / rule.image_size[0])
    return replace(
        recipe,
        mean=rule.mean,
        std=rule.std,
        image_size_pixels=side,
        resize_pixels=recipe.resize_pixels or resize or None,
    )


def has_other_classes(recipe: Recipe, classes: tuple[str, ...]) -> bool:
    """Whether the recipe's weights are in a Neocog model file with other classes."""
    card = find_card(Path(recipe.weights))
    return card is not None and card.classes != classes
