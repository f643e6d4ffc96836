"""The errors that users can cause, with a message and a hint on what to do next."""

from collections.abc import Iterable
from difflib import get_close_matches

# Names that users of other tools type by habit.
ALIASES = {
    "lr": "learning_rate",
    "lr0": "learning_rate",
    "bs": "batch_size",
    "batch": "batch_size",
    "wd": "weight_decay",
    "opt": "optimizer",
}


class NeocogError(ValueError):
    """A file, dataset or run is missing, damaged or unsuitable.

    `hint` says what to do next. The command line prints it below the message and exits with 1.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(NeocogError):
    """A name or value given by the user is invalid. The command line exits with 2."""


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a `name` that is not in `known`; the hint suggests the closest match."""
    names = sorted(known)
    matches = [ALIASES[name]] if ALIASES.get(name) in names else []
    matches = matches or get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"Did you mean {matches[0]!r}? " if matches else ""
    return UsageError(f"There is no {what} {name!r}.", f"{hint}Known: {', '.join(names)}.")
