"""What a training takes over from Neocog's own model file where it begins with its weights."""

from dataclasses import replace
from pathlib import Path

from neocog.errors import UsageError
from neocog.model_card import find_card
from neocog.recipes import Recipe


def taken_over(recipe: Recipe) -> Recipe:
    """The recipe with the preprocessing of its weights' file where it leaves it open.

    It is returned as it is where its weights are in no file of Neocog's. Raises UsageError where
    the file holds another network or other channels, NeocogError where its card is wrong.
    """
    card = find_card(Path(recipe.weights))
    if card is None:
        return recipe
    if card.architecture.name != recipe.model:
        raise UsageError(
            f"{recipe.weights} holds the weights of {card.architecture.name}, not of "
            f"{recipe.model}.",
            f"Name its network: --model '{card.architecture.name}'",
        )
    channels = card.architecture.in_channels
    if recipe.mean and len(recipe.mean) != channels:
        wanted, other = ("grey", "RGB") if channels == 1 else ("RGB", "grey")
        mean, std = (
            ",".join(map(str, x)) for x in (card.preprocessing.mean, card.preprocessing.std)
        )
        raise UsageError(
            f"{recipe.weights} takes {wanted} images, and the recipe {recipe.name} makes {other} "
            "ones.",
            f"Say: --set mean={mean} std={std}",
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


def are_for_other_classes(recipe: Recipe, classes: tuple[str, ...]) -> bool:
    """Whether the recipe's weights are in a file of Neocog's that names other classes."""
    card = find_card(Path(recipe.weights))
    return card is not None and card.classes != classes
