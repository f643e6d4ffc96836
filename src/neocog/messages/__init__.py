"""Recorded messages: an id with parameters, rendered as a sentence at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neocog.messages.dataset import DATASET
from neocog.messages.evaluation import EVALUATION
from neocog.messages.phrases import LANGUAGES, Phrases, fill

Parameter = str | int | float | tuple[str, ...]

AS_RECORDED = "as_recorded"
CATALOGUE: Phrases = {
    # Earlier versions recorded the sentence itself, in English: it keeps its words in any language.
    AS_RECORDED: ("{text}", "{text}"),
    **DATASET,
    **EVALUATION,
}


@dataclass(frozen=True)
class Message:
    """The id of a sentence in CATALOGUE and its parameters; the sentence itself is not stored."""

    id: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the message as a JSON object, with its English sentence for readers."""
        parameters = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.parameters.items()
        }
        return {"id": self.id, "parameters": parameters, "message": self.text()}

    @classmethod
    def from_json(cls, value: Any) -> "Message":
        """Return a recorded message.

        A text, as earlier versions recorded, keeps its words, and so does the English sentence of
        an object whose id or parameters this version does not know. Raises TypeError for any other
        value.
        """
        if isinstance(value, str):
            return cls(AS_RECORDED, {"text": value})
        if not isinstance(value, Mapping):
            raise TypeError
        try:
            parameters = {
                str(name): tuple(map(str, item)) if isinstance(item, list) else item
                for name, item in value["parameters"].items()
            }
            message = cls(value["id"], parameters)
            for lang in LANGUAGES:
                message.text(lang)
        except (KeyError, TypeError, ValueError, AttributeError):
            return cls(AS_RECORDED, {"text": str(value.get("message", ""))})
        return message

    def text(self, lang: str = "en") -> str:
        """Return the sentence in `lang`, en or zh."""
        return fill(CATALOGUE[self.id][LANGUAGES.index(lang)], **self.parameters)


__all__ = ["AS_RECORDED", "CATALOGUE", "Message", "Parameter"]
