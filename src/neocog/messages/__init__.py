"""Messages that are recorded for people: an id with parameters, made into a sentence at the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Parameter = str | int | float

# The id of a sentence that an earlier version recorded as text.
AS_RECORDED = "as_recorded"


@dataclass(frozen=True)
class Message:
    """The id of a sentence and the values of its parameters; the sentence itself is not stored."""

    id: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the message as a JSON object, with its English sentence for readers."""
        return {"id": self.id, "parameters": dict(self.parameters), "message": self.text()}

    @classmethod
    def from_json(cls, value: Any) -> "Message":
        """Return a recorded message; a text, as earlier versions recorded, keeps its words."""
        if isinstance(value, str):
            return cls(AS_RECORDED, {"text": value})
        return cls(str(value["id"]), dict(value["parameters"]))

    def text(self, lang: str = "en") -> str:
        """Return the sentence in `lang`, en or zh."""
        raise NotImplementedError
