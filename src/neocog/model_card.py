"""The model card: the JSON in a model file's metadata, as a validated value.

The card determines the network that is built and its size, so every value is checked before any
other use.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from neocog.data.preprocess import Preprocessing
from neocog.errors import NeocogError
from neocog.json_fields import FieldError, check_finite, parse, read_fields, read_value, short

FORMAT_VERSION = 1
MAX_CHARACTERS = 8 * 2**20  # of the JSON: 100,000 class names of 40 characters, twice
MAX_CLASSES = 100_000  # ImageNet-21k has 21,841
TEMPERATURE_RANGE = (1e-3, 1e3)
REQUIRED = ("architecture", "preprocessing", "classes", "temperature", "threshold")
_HINT = "Give a run folder or a model.safetensors that `neocog train` wrote."
# Optional; added by `train`, `evaluate` and `export`.
FACTS = ("recipe", "data", "selected", "measured", "export")


@dataclass(frozen=True)
class Architecture:
    """The arguments of `models.build`. `image_size` is (height, width)."""

    name: str
    num_classes: int
    in_channels: int
    image_size: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {**asdict(self), "image_size": list(self.image_size)}


@dataclass(frozen=True)
class ModelCard:
    """The content of a model file except its weights.

    `temperature` divides the logits. Predictions with a probability below `threshold`, 0..1, are
    rejected. `facts` has the optional JSON objects `recipe`, `data`, `selected` and `measured`.
    Raises NeocogError if a value is out of range or two values contradict each other.
    """

    architecture: Architecture
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    temperature: float = 1.0
    threshold: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ranges and consistency."""
        network, rule = self.architecture, self.preprocessing
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise NeocogError(
                f"a classifier has 1 to {MAX_CLASSES:,} classes, not {len(self.classes):,}"
            )
        if len(set(self.classes)) < len(self.classes):
            duplicate, _ = Counter(self.classes).most_common(1)[0]
            raise NeocogError(f"the class {short(duplicate)} is there twice")
        if network.num_classes != len(self.classes):
            raise NeocogError(
                f"its network has {network.num_classes} classes and {len(self.classes)} are named"
            )
        if (network.image_size, network.in_channels) != (rule.image_size, rule.channels):
            raise NeocogError(
                f"its network takes images of {network.image_size} with {network.in_channels} "
                f"channels, and its preprocessing makes {rule.image_size} with {rule.channels}"
            )
        low, high = TEMPERATURE_RANGE
        if not low <= self.temperature <= high:
            raise NeocogError(
                f"`temperature` lies between {low} and {high}, not {self.temperature}"
            )
        if not 0 <= self.threshold <= 1:
            raise NeocogError(f"`threshold` lies between 0 and 1, not {self.threshold}")
        _check_facts(self.facts)

    def to_json(self) -> str:
        """Return the card as JSON for `read_card`. Raises NeocogError if it is too long."""
        card = {
            "format_version": FORMAT_VERSION,
            "architecture": self.architecture.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "classes": list(self.classes),
            "temperature": self.temperature,
            "threshold": self.threshold,
            **self.facts,
        }
        text = json.dumps(card, ensure_ascii=False, allow_nan=False)
        if len(text) > MAX_CHARACTERS:
            raise NeocogError(
                f"A model file describes itself in at most {MAX_CHARACTERS:,} characters, and "
                f"this one would need {len(text):,}: its class names are too many or too long."
            )
        return text


def read_card(text: str) -> ModelCard:
    """Read a card that this or an earlier version of `ModelCard.to_json` wrote.

    Raises NeocogError, whose one-line message names the invalid value but not the file.
    """
    if len(text) > MAX_CHARACTERS:
        raise NeocogError(f"it has {len(text):,} characters, and may have {MAX_CHARACTERS:,}")
    try:
        card = parse(text)
        check_finite(card)
    except ValueError as error:
        raise NeocogError(f"it is not valid JSON: {error}") from None
    if not isinstance(card, dict):
        raise NeocogError(f"it is a JSON object, not {short(card)}")
    version = card.pop("format_version", None)
    if type(version) is not int or version < 1:
        raise NeocogError(f"`format_version` must be 1 or more, not {short(version)}")
    if version > FORMAT_VERSION:
        raise NeocogError(
            f"has a newer format than {FORMAT_VERSION}, the newest that this Neocog reads.",
            "Install a newer one: pip install --upgrade neocog",
        )
    missing = [name for name in REQUIRED if name not in card]
    unknown = [name for name in card if name not in (*REQUIRED, *FACTS)]
    if missing:
        raise NeocogError(f"it has no `{missing[0]}`")
    if unknown:
        raise NeocogError(f"it has {short(unknown[0])}, which no version of Neocog wrote")
    try:
        return ModelCard(
            _read_architecture(card["architecture"]),
            Preprocessing.from_json(card["preprocessing"]),
            _read_classes(card["classes"]),
            read_value("temperature", float, card["temperature"]),
            read_value("threshold", float, card["threshold"]),
            {name: card[name] for name in card if name in FACTS},
        )
    except FieldError as error:
        raise NeocogError(str(error)) from None


def card_in(path: Path, metadata: Mapping[str, str] | None) -> ModelCard:
    """Read the card in a model file's metadata. Raises NeocogError, which names the file."""
    if not metadata or "neocog" not in metadata:
        raise NeocogError(
            f"{path} is not a Neocog model: it does not say what network it holds.", _HINT
        )
    try:
        return read_card(metadata["neocog"])
    except NeocogError as error:
        if error.message.startswith("has a newer format"):
            raise NeocogError(f"{path} {error.message}", error.hint) from None
        raise undescribed(path, error) from None


def find_card(path: Path) -> ModelCard | None:
    """Read the card of a model file; None for any other file. Raises as `card_in` does."""
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata()
    except (OSError, SafetensorError):
        return None
    return card_in(path, metadata) if metadata and "neocog" in metadata else None


def undescribed(path: Path, error: NeocogError) -> NeocogError:
    """Return the one-line error for a file with an invalid card."""
    reason = error.message.partition("\n")[0].rstrip(".:")
    return NeocogError(f"{path} does not describe its network: {reason}.", _HINT)


def _read_architecture(values: Any) -> Architecture:
    if not isinstance(values, Mapping):
        raise FieldError("architecture", values, "a JSON object")
    try:
        return Architecture(**read_fields(Architecture, values))
    except (KeyError, TypeError):
        expected = "name, num_classes, in_channels and image_size"
        raise NeocogError(f"`architecture` has {expected}, not {short(list(values))}") from None


def _read_classes(values: Any) -> tuple[str, ...]:
    classes: tuple[str, ...] = read_value("classes", tuple[str, ...], values)
    for name in classes:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise NeocogError(f"the class {short(name)} is no text") from None
    return classes


# The keys of each fact that `train` and `evaluate` rely on; additional keys are allowed.
_FACT_TYPES: dict[str, dict[str, type]] = {
    "recipe": {"name": str},
    "data": {"name": str, "fingerprints": dict},
    "selected": {"epoch": int, "by": str},
    "measured": {},
    "export": {},
}


def _check_facts(facts: Mapping[str, Any]) -> None:
    """Raise NeocogError if a fact is not an object or a key has the wrong type."""
    for name, fact in facts.items():
        if not isinstance(fact, dict):
            raise NeocogError(f"`{name}` must be a JSON object, not {short(fact)}")
        for key, expected in _FACT_TYPES.get(name, {}).items():
            if type(fact.get(key)) is not expected:
                raise NeocogError(f"`{name}.{key}` cannot be {short(fact.get(key))}")
    data = facts.get("data")
    if data is None:
        return
    splits = {name for name, value in data["fingerprints"].items() if isinstance(value, str)}
    if not {"train", "validation", "test"} <= splits:
        raise NeocogError(f"`data.fingerprints` cannot be {short(data['fingerprints'])}")
    if "\0" in data["name"]:
        raise NeocogError(f"`data.name` cannot be {short(data['name'])}")


__all__ = [
    "FORMAT_VERSION",
    "Architecture",
    "ModelCard",
    "card_in",
    "find_card",
    "read_card",
    "undescribed",
]
