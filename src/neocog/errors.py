"""The errors that users can cause, with a message and a hint on what to do next."""

import errno
import json
import re
from collections.abc import Callable, Iterable, Sequence
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


# A recipe field, or an argument of the function that was called, and the value that helps: `...`
# where the user has to choose one, None where the sentence names the field alone.
Setting = tuple[str, object]
SpellSettings = Callable[[Sequence[Setting]], str]


class NeocogError(ValueError):
    """A file, dataset or run is missing, damaged or unsuitable.

    `code` names the kind of error and stays the same from version to version. `hint` says what to
    do next. In it, `{field}` and `{settings}` stand for one and for all of the `settings` that
    help; each front end spells them in its own way. The command line prints the hint below the
    message and exits with 1.
    """

    code = "failed"

    def __init__(self, message: str, hint: str = "", settings: Iterable[Setting] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.settings = tuple(settings)
        self._hint = hint

    @property
    def hint(self) -> str:
        """What to do next, with settings as Python arguments: `fit="square"`."""
        return self.spell_hint(spell_in_python)

    def spell_hint(self, spell: SpellSettings) -> str:
        """Return the hint with its settings as `spell` writes them."""
        if not self.settings:
            return self._hint
        hint = self._hint.replace("{settings}", spell(self.settings))
        for setting in self.settings:
            hint = hint.replace(f"{{{setting[0]}}}", spell([setting]))
        return hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(NeocogError):
    """A name or value given by the user is invalid. The command line exits with 2."""

    code = "usage"


class UnknownNameError(UsageError):
    """There is no recipe, network, field, class, layer, device or run of this name."""

    code = "unknown_name"


class NotFoundError(NeocogError):
    """A file, or the data that a run needs, is missing."""

    code = "not_found"


class DamagedFileError(NeocogError):
    """A model file, a checkpoint or a record of a run is damaged, or is not one."""

    code = "damaged_file"


class WeightsError(NeocogError):
    """The weights in a file do not fit the network."""

    code = "weights"


class DataError(NeocogError):
    """A dataset cannot be used as asked, or has changed since it was trained on."""

    code = "data"


class DownloadError(NeocogError):
    """A file could not be downloaded."""

    code = "download"


class WriteError(NeocogError):
    """A file or folder cannot be written."""

    code = "write"


class BusyError(NeocogError):
    """Another process is training the run."""

    code = "busy"


class DivergedError(NeocogError):
    """Training has diverged: a loss or a weight is not finite."""

    code = "diverged"


class MemoryShortageError(NeocogError):
    """The memory of the machine or of its GPU is full."""

    code = "memory"

    @classmethod
    def caused_by(cls, error: BaseException) -> "MemoryShortageError | None":
        """Return the error to show if `error`, of any library, means that the memory is full."""
        text = str(error)
        full = (
            isinstance(error, MemoryError)
            or type(error).__name__ == "OutOfMemoryError"  # torch's
            or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
            or (isinstance(error, RuntimeError) and any(w in text.lower() for w in _MEMORY_WORDS))
        )
        if not full:
            return None
        in_bytes, with_unit = _BYTES.search(text), _SIZE.search(text)
        needed = ""
        if in_bytes:
            needed = f": {_format_bytes(int(in_bytes[1]))} more were needed"
        elif with_unit:
            needed = f": {with_unit[1]} more were needed"
        return cls(
            f"There is not enough memory{needed}.",
            "Close other programs, or ask for less: fewer images, smaller images "
            "({image_size_pixels}), smaller batches ({batch_size}), a smaller network.",
            [("image_size_pixels", 64), ("batch_size", 16)],
        )


_MEMORY_WORDS = ("not enough memory", "out of memory", "can't allocate memory", "bad_alloc")
_BYTES = re.compile(r"tried to allocate (\d+) bytes", re.IGNORECASE)  # torch, on the CPU
# torch on a GPU, and NumPy
_SIZE = re.compile(r"(?:tried to|unable to) allocate ([\d.]+ [KMGTPE]i?B)", re.IGNORECASE)


def _format_bytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def spell_in_python(settings: Sequence[Setting]) -> str:
    """Return settings as Python arguments: `fit="square", mean=(0.5, 0.5, 0.5)`."""
    return ", ".join(map(_spell_argument, settings))


def _spell_argument(setting: Setting) -> str:
    field, value = setting
    if value is None:
        return field
    if value is ...:
        return f"{field}=..."
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    return f"{field}={text}"


def unknown(what: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for a `name` that is not in `known`; the hint suggests the closest match."""
    names = sorted(known)
    matches = [ALIASES[name]] if ALIASES.get(name) in names else []
    matches = matches or get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"Did you mean {matches[0]!r}? " if matches else ""
    return UnknownNameError(f"There is no {what} {name!r}.", f"{hint}Known: {', '.join(names)}.")
