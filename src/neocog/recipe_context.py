"""What a recipe depends on besides itself: data, networks and weights, for `recipes.resolve`.

Networks and weights are imported when they are asked for: most recipes need no torch to be final.
"""

from pathlib import Path

from neocog import data, models
from neocog.errors import UsageError
from neocog.model_card import find_card
from neocog.models import has_weights
from neocog.recipes import Recipe
from neocog.recipes.resolve import WeightsPreprocessing


def is_own_data(name: str) -> bool:
    """Whether a name is that of a user's files, not of a published dataset."""
    return name not in data.DATASETS and data.exists(name)


def measure(name: str, allow_outside: bool) -> tuple[int, int]:
    """The number of images in a user's dataset, and their typical short side in pixels."""
    return data.measure_dataset(name, allow_outside)


def check_network(model: str) -> None:
    """Raise UsageError if there is no such network."""
    models.describe(model)


def imagenet_weights(model: str) -> WeightsPreprocessing:
    """The preprocessing of a network's ImageNet weights. Raises UsageError if it has none."""
    from neocog.models.pretrained import weights_spec

    spec = weights_spec(model)
    return WeightsPreprocessing(spec.mean, spec.std, spec.image_size, spec.resize)


def weights_in_file(recipe: Recipe) -> WeightsPreprocessing | None:
    """The preprocessing in the recipe's weights, if they are a Neocog model file.

    Raises UsageError if the file holds another network or another number of channels, NeocogError
    if its metadata is invalid.
    """
    card = find_card(Path(recipe.weights))
    if card is None:
        return None
    if card.architecture.name != recipe.model:
        raise UsageError(
            f"{recipe.weights} holds the weights of {card.architecture.name}, not of "
            f"{recipe.model}.",
            "Name its network: {settings}",
            [("model", card.architecture.name)],
        )
    rule, channels = card.preprocessing, card.architecture.in_channels
    if recipe.mean and len(recipe.mean) != channels:
        wanted, other = ("grey", "RGB") if channels == 1 else ("RGB", "grey")
        raise UsageError(
            f"{recipe.weights} takes {wanted} images, and the recipe {recipe.name} makes {other} "
            "ones.",
            "Use {settings}.",
            [("mean", rule.mean), ("std", rule.std)],
        )
    return WeightsPreprocessing(rule.mean, rule.std, rule.image_size[0], rule.resize)


__all__ = [
    "check_network",
    "has_weights",
    "imagenet_weights",
    "is_own_data",
    "measure",
    "weights_in_file",
]
