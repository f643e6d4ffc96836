"""What a model file says of itself, as a checked value: the JSON in its metadata.

The card decides what is built and how large it is, so that every value of it is checked before
anything else is done with it.
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
MOST_CHARACTERS = 8 * 2**20  # of the JSON; 100,000 class names of 40 letters, twice
MOST_CLASSES = 100_000  # ImageNet-21k has 21,841
TEMPERATURES = (1e-3, 1e3)
DEFINING = ("architecture", "preprocessing", "classes", "temperature", "threshold")
_HINT = "Give a run folder or a model.safetensors that `neocog train` wrote."
FACTS = ("recipe", "data", "selected", "measured")  # what `train` and `evaluate` add


@dataclass(frozen=True)
class Architecture:
    """What `models.build` takes: a network's name and sizes. `image_size` is (height, width)."""

    name: str
    num_classes: int
    in_channels: int
    image_size: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {**asdict(self), "image_size": list(self.image_size)}


@dataclass(frozen=True)
class ModelCard:
    """All that a model file holds but its weights.

    `temperature` divides the logits; predictions of a probability below `threshold` (0..1) are
    rejected. `facts` are JSON values: `recipe`, `data`, `selected` and `measured`, each an object,
    none of which must be there. Raises NeocogError where a value is outside its range or two
    contradict each other.
    """

    architecture: Architecture
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    temperature: float = 1.0
    threshold: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ranges, and what must agree."""
        network, rule = self.architecture, self.preprocessing
        if not 1 <= len(self.classes) <= MOST_CLASSES:
            raise NeocogError(
                f"a classifier has 1 to {MOST_CLASSES:,} classes, not {len(self.classes):,}"
            )
        if len(set(self.classes)) < len(self.classes):
            twice, _ = Counter(self.classes).most_common(1)[0]
            raise NeocogError(f"the class {short(twice)} is there twice")
        if network.num_classes != len(self.classes):
            raise NeocogError(
                f"its network has {network.num_classes} classes and {len(self.classes)} are named"
            )
        if (network.image_size, network.in_channels) != (rule.image_size, rule.channels):
            raise NeocogError(
                f"its network takes images of {network.image_size} with {network.in_channels} "
                f"channels, and its preprocessing makes {rule.image_size} with {rule.channels}"
            )
        low, high = TEMPERATURES
        if not low <= self.temperature <= high:
            raise NeocogError(
                f"`temperature` lies between {low} and {high}, not {self.temperature}"
            )
        if not 0 <= self.threshold <= 1:
            raise NeocogError(f"`threshold` lies between 0 and 1, not {self.threshold}")
        _check_facts(self.facts)

    def to_json(self) -> str:
        """The card as one JSON text, which `read_card` reads. Raises NeocogError if too long."""
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
        if len(text) > MOST_CHARACTERS:
            raise NeocogError(
                f"A model file describes itself in at most {MOST_CHARACTERS:,} characters, and "
                f"this one would need {len(text):,}: its class names are too many or too long."
            )
        return text


def read_card(text: str) -> ModelCard:
    """The card that `ModelCard.to_json` wrote, also that of an earlier version.

    Raises NeocogError with one line that names the value that is wrong, and the file not.
    """
    if len(text) > MOST_CHARACTERS:
        raise NeocogError(f"it has {len(text):,} characters, and may have {MOST_CHARACTERS:,}")
    try:
        card = parse(text)
        check_finite(card)
    except ValueError as error:
        raise NeocogError(f"it is no JSON: {error}") from None
    if not isinstance(card, dict):
        raise NeocogError(f"it is a JSON object, not {short(card)}")
    version = card.pop("format_version", None)
    if type(version) is not int or version < 1:
        raise NeocogError(f"`format_version` must be 1 or more, not {short(version)}")
    if version > FORMAT_VERSION:
        raise NeocogError(
            f"has format {short(version)}; this Neocog reads up to {FORMAT_VERSION}.",
            "Install a newer one: pip install --upgrade neocog",
        )
    missing = [name for name in DEFINING if name not in card]
    unknown = [name for name in card if name not in (*DEFINING, *FACTS)]
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
    """The card in the metadata of a model file. Raises NeocogError that names the file."""
    if not metadata or "neocog" not in metadata:
        raise NeocogError(
            f"{path} is not a Neocog model: it does not say what network it holds.", _HINT
        )
    try:
        return read_card(metadata["neocog"])
    except NeocogError as error:
        if error.message.startswith("has format"):
            raise NeocogError(f"{path} {error.message}", error.hint) from None
        raise undescribed(path, error) from None


def find_card(path: Path) -> ModelCard | None:
    """The card of a Neocog model file; None for any other file. Raises as `card_in` does."""
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata()
    except (OSError, SafetensorError):
        return None
    return card_in(path, metadata) if metadata and "neocog" in metadata else None


def undescribed(path: Path, error: NeocogError) -> NeocogError:
    """The error for a file whose card is wrong, on one line."""
    first = error.message.partition("\n")[0].rstrip(".:")
    return NeocogError(f"{path} does not describe its network: {first}.", _HINT)


def _read_architecture(values: Any) -> Architecture:
    if not isinstance(values, Mapping):
        raise FieldError("architecture", values, "a JSON object")
    try:
        given = read_fields(Architecture, values)
        return Architecture(**given)
    except (KeyError, TypeError):
        wanted = "name, num_classes, in_channels and image_size"
        raise NeocogError(f"`architecture` has {wanted}, not {short(list(values))}") from None


def _read_classes(values: Any) -> tuple[str, ...]:
    classes: tuple[str, ...] = read_value("classes", tuple[str, ...], values)
    for name in classes:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise NeocogError(f"the class {short(name)} is no text") from None
    return classes


# What `train` and `evaluate` rely on in the facts, where they are there; more is welcome.
_FORMS: dict[str, dict[str, type]] = {
    "recipe": {"name": str},
    "data": {"name": str, "fingerprints": dict},
    "selected": {"epoch": int, "by": str},
    "measured": {},
}


def _check_facts(facts: Mapping[str, Any]) -> None:
    """Raise NeocogError where a fact has not the form that Neocog's own have."""
    for name, fact in facts.items():
        if not isinstance(fact, dict):
            raise NeocogError(f"`{name}` must be a JSON object, not {short(fact)}")
        for key, kind in _FORMS.get(name, {}).items():
            if type(fact.get(key)) is not kind:
                raise NeocogError(f"`{name}.{key}` cannot be {short(fact.get(key))}")
    data = facts.get("data")
    if data is None:
        return
    splits = {name: kind for name, kind in data["fingerprints"].items() if isinstance(kind, str)}
    if not {"train", "validation", "test"} <= set(splits):
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
