"""The arguments as typed: what the option parser needs spelled out, and `--set`."""

import shlex
import sys
from collections.abc import Sequence

from neocog.errors import Setting, UsageError

# Fields of a recipe and arguments of functions that have an option; `--set` takes the other fields.
OPTIONS = {
    "allow_outside": "--allow-outside",
    "batch_size": "--batch-size",
    "device": "--device",
    "engine": "--engine",
    "epochs": "--epochs",
    "fine_tune": "--fine-tune",
    "folds": "--folds",
    "input": "--input",
    "int8": "--int8",
    "layer": "--layer",
    "learning_rate": "--lr",
    "model": "--model",
    "name": "--name",
    "out": "--out",
    "output": "--output",
    "recipe": "--recipe",
    "runs_dir": "--runs",
    "seed": "--seed",
    "to": "--to",
    "weights": "--weights",
}


def spell_out(arguments: Sequence[str]) -> list[str]:
    """Spell out what the option parser does not know: `--set a=1 b=2`, `--csv` without a file.

    `--set` takes every FIELD=VALUE that follows; `--csv` takes what follows only if it is a dash
    or ends in .csv.
    """
    result: list[str] = []
    setting = False
    for place, argument in enumerate(arguments):
        if setting and "=" in argument and not argument.startswith("-"):
            if result[-1] != "--set":  # the first follows it already
                result.append("--set")
        else:
            setting = argument.startswith("--set")
        result.append(argument)
        following = arguments[place + 1 : place + 2]
        named = bool(following) and (following[0] == "-" or following[0].lower().endswith(".csv"))
        if argument == "--csv" and not named:
            result.append("-")
    return result


def parse_settings(texts: Sequence[str]) -> dict[str, str]:
    """Return `field=value` texts as a dictionary. Raises UsageError for any other text."""
    for text in texts:
        if "=" not in text:
            raise UsageError(
                f"--set wants FIELD=VALUE, not {text!r}.", "For example: --set epochs=3"
            )
    return dict(text.split("=", 1) for text in texts)


def typed_command() -> str:
    """Return the command line as it can be typed again."""
    return shlex.join(["neocog", *sys.argv[1:]])


def spell_settings(settings: Sequence[Setting]) -> str:
    """Return the settings of a hint as they are typed: `--model lenet5 --set fit=square`."""
    words: list[str] = []
    after_set = False
    for field, value in settings:
        option = OPTIONS.get(field)
        if option:
            words += [option] if value is None or value is True else [option, _typed(value)]
        else:
            words += [*([] if after_set else ["--set"]), f"{field}={_typed(value)}"]
        after_set = option is None
    return " ".join(words)


def _typed(value: object) -> str:
    if value is ...:
        return "..."
    if isinstance(value, tuple):
        return ",".join(map(_typed, value))
    return shlex.quote(str(value).lower() if isinstance(value, bool) else str(value))
