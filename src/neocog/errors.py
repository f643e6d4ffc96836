"""The two errors a user can cause: what happened, what was expected, and what to type next."""

from collections.abc import Iterable
from difflib import get_close_matches

# What people type from other tools' habit.
SHORT = {
    "lr": "learning_rate",
    "lr0": "learning_rate",
    "bs": "batch_size",
    "batch": "batch_size",
    "wd": "weight_decay",
    "opt": "optimizer",
}


class NeocogError(ValueError):
    """Something outside the program is not as it must be: a file, a data set, a run.

    `hint` is what to do or type next; the command line prints it below the message and exits 1.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(NeocogError):
    """A name or a value that was typed is not one that exists; the command line exits 2."""


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a `name` that is not among `known`, with the nearest known one suggested."""
    names = sorted(known)
    near = [SHORT[name]] if SHORT.get(name) in names else []
    near = near or get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return UsageError(f"There is no {what} {name!r}.", f"{hint}Known: {', '.join(names)}.")
