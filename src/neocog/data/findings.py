"""A finding: what the checks of a dataset report."""

from dataclasses import dataclass
from typing import Any

from neocog.messages import Message

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True)
class Finding:
    """A problem or a fact about a dataset that its user should know.

    `severity` is error if it makes an accuracy wrong, warning if it may, and note otherwise.
    `paths` are the first of the `count` images concerned; `same_as` are the images of which they
    are (near-)duplicates.
    """

    kind: str
    severity: str
    count: int
    paths: tuple[str, ...]
    message: Message
    same_as: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values; `message` is the English sentence."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "count": self.count,
            **self.message.to_json(),
            "paths": list(self.paths),
            "same_as": list(self.same_as),
        }
