"""The model card: the JSON in a model file's metadata, as a validated value.

The card determines the network that is built and its size, so every value is checked before any
other use.
"""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from neocog.data.preprocess import Preprocessing
from neocog.errors import DamagedFileError, NeocogError, NotFoundError
from neocog.json_fields import (
    FieldError,
    JsonRecord,
    check_finite,
    parse,
    read_fields,
    read_value,
    short,
)
from neocog.records import ModelFacts
from neocog.storage.atomic import write_atomic

FORMAT_VERSION = 1
MAX_CHARACTERS = 8 * 2**20  # of the JSON: 100,000 class names of 40 characters, twice
MAX_CLASSES = 100_000  # ImageNet-21k has 21,841
TEMPERATURE_RANGE = (1e-3, 1e3)
REQUIRED = ("architecture", "preprocessing", "classes", "temperature", "threshold")
_HINT = "Give a run folder or a model.safetensors that `neocog train` wrote."
FACTS = tuple(f.name for f in dataclasses.fields(ModelFacts))  # by `train` and `evaluate`


class NewerFormatError(NeocogError):
    """A card was written by a later version; the message is a sentence without its subject."""


@dataclass(frozen=True)
class Architecture(JsonRecord):
    """The arguments of `models.build`. `image_size` is (height, width)."""

    name: str
    num_classes: int
    in_channels: int
    image_size: tuple[int, int]


@dataclass(frozen=True)
class ModelCard:
    """The content of a model file except its weights.

    `temperature` divides the logits. Predictions with a probability below `threshold`, 0..1, are
    rejected. `facts` say what it was trained and evaluated on, if that is known. Raises
    NeocogError if a value is out of range or two values contradict each other.
    """

    architecture: Architecture
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    temperature: float = 1.0
    threshold: float = 0.0
    facts: ModelFacts = field(default_factory=ModelFacts)

    def __post_init__(self) -> None:
        """Check ranges and consistency."""
        network, rule = self.architecture, self.preprocessing
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise NeocogError(
                f"a classifier has 1 to {MAX_CLASSES:,} classes, not {len(self.classes):,}"
            )
        if len(set(self.classes)) < len(self.classes):
            duplicate, _ = Counter(self.classes).most_common(1)[0]
            raise NeocogError(f"the class {short(duplicate)} occurs twice")
        if network.num_classes != len(self.classes):
            raise NeocogError(
                f"its network has {network.num_classes} classes, but there are "
                f"{len(self.classes)} class names"
            )
        if (network.image_size, network.in_channels) != (rule.image_size, rule.channels):
            raise NeocogError(
                f"its network takes images of {network.image_size} with {network.in_channels} "
                f"channels, but its preprocessing gives {rule.image_size} with {rule.channels}"
            )
        low, high = TEMPERATURE_RANGE
        if not low <= self.temperature <= high:
            raise NeocogError(
                f"`temperature` lies between {low} and {high}, not {self.temperature}"
            )
        if not 0 <= self.threshold <= 1:
            raise NeocogError(f"`threshold` lies between 0 and 1, not {self.threshold}")
        if self.facts.data and "\0" in self.facts.data.name:
            raise NeocogError(f"`data.name` cannot be {short(self.facts.data.name)}")

    def to_json(self) -> str:
        """Return the card as JSON for `read_card`. Raises NeocogError if it is too long."""
        card = {
            "format_version": FORMAT_VERSION,
            "architecture": self.architecture.to_json(),
            "preprocessing": self.preprocessing.to_json(),
            "classes": list(self.classes),
            "temperature": self.temperature,
            "threshold": self.threshold,
            **self.facts.to_json(),
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
        raise NewerFormatError(
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
            _read_facts({name: card[name] for name in card if name in FACTS}),
        )
    except FieldError as error:
        raise NeocogError(str(error)) from None


def card_in(path: Path, metadata: Mapping[str, str] | None) -> ModelCard:
    """Read the card in a model file's metadata. Raises NeocogError, which names the file."""
    if not metadata or "neocog" not in metadata:
        raise DamagedFileError(
            f"{path} is not a Neocog model: it does not say what network it holds.", _HINT
        )
    try:
        return read_card(metadata["neocog"])
    except NewerFormatError as error:
        raise NeocogError(f"{path} {error.message}", error.hint) from None
    except NeocogError as error:
        raise undescribed(path, error) from None


def read_card_of(path: Path) -> ModelCard:
    """Read the card of a model file. Raises as `card_in`, and NeocogError for any other file."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata()
    except FileNotFoundError:
        raise NotFoundError(f"There is no model file {path}.", "Train one: neocog train") from None
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from None
    return card_in(path, metadata)


def write_model(path: Path, card: ModelCard, weights: Mapping[str, NDArray[Any]]) -> None:
    """Write a model file, whole or not at all, of weights as arrays by their names."""
    write_atomic(path, save(dict(weights), metadata={"neocog": card.to_json()}))


def replace_card(path: Path, card: ModelCard) -> None:
    """Write another card into a model file, whole or not at all; its weights stay as they are."""
    header, weights = _split(path)
    header["__metadata__"] = {"neocog": card.to_json()}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the weights begin at a multiple of 8 bytes
    write_atomic(path, len(text).to_bytes(8, "little") + text + weights)


def network_digest(path: Path, card: ModelCard) -> str:
    """A digest of all that the logits of a model file depend on, in hexadecimal."""
    header, weights = _split(path)
    header.pop("__metadata__", None)
    rule = card.preprocessing.to_json()
    facts = [header, card.architecture.to_json(), rule, card.temperature]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    digest.update(weights)
    return digest.hexdigest()


def _split(path: Path) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file that could be opened, and the bytes of its weights."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8:end])
    return header, content[end:]


def damaged(path: Path, error: Exception) -> NeocogError:
    """Return the one-line error for a file that is not a model file."""
    reason = str(error).strip().partition("\n")[0]
    return DamagedFileError(f"{path} is damaged or not a model file ({reason}).")


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
    return DamagedFileError(f"{path} does not describe its network: {reason}.", _HINT)


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
            raise NeocogError(f"the class {short(name)} is not text") from None
    return classes


# The keys of each fact that `train` and `evaluate` rely on; additional keys are allowed.
_FACT_TYPES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "recipe": {"name": str},
    "data": {"name": str, "fingerprints": dict},
    "selected": {"epoch": int, "by": (str, dict)},  # a metric or a Message
    "measured": {},
    "export": {},
}


def _read_facts(facts: Mapping[str, Any]) -> ModelFacts:
    """Read the facts. Raises NeocogError for one that is no object, has no key or a wrong value."""
    for name, fact in facts.items():
        if not isinstance(fact, dict):
            raise NeocogError(f"`{name}` must be a JSON object, not {short(fact)}")
        for key, expected in _FACT_TYPES.get(name, {}).items():
            types = expected if isinstance(expected, tuple) else (expected,)
            if type(fact.get(key)) not in types:
                raise NeocogError(f"`{name}.{key}` cannot be {short(fact.get(key))}")
    fingerprints = facts["data"]["fingerprints"] if "data" in facts else None
    if fingerprints is not None:
        splits = {name for name, value in fingerprints.items() if isinstance(value, str)}
        if not {"train", "validation", "test"} <= splits:
            raise NeocogError(f"`data.fingerprints` cannot be {short(fingerprints)}")
    return ModelFacts.from_json(facts)


__all__ = [
    "FORMAT_VERSION",
    "Architecture",
    "ModelCard",
    "card_in",
    "damaged",
    "find_card",
    "network_digest",
    "read_card",
    "read_card_of",
    "replace_card",
    "undescribed",
    "write_model",
]
