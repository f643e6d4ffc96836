"""Preparation of the typed arguments for the option parser, and `--set`."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from itertools import pairwise

from neocog.errors import ALIASES, Setting, UsageError

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

# What users of other tools type by habit: commands, and options as `--arch x` or `arch=x`. The
# empty option stands for the value alone.
HABITUAL_COMMANDS = {
    "classify": "predict",
    "eval": "evaluate",
    "finetune": "train",
    "fit": "train",
    "infer": "predict",
    "test": "evaluate",
    "val": "evaluate",
    "validate": "evaluate",
}
HABITUAL_OPTIONS = {
    "arch": "--model",
    "batch": "--batch-size",
    "batch_size": "--batch-size",
    "bs": "--batch-size",
    "data": "",
    "dataset": "",
    "format": "--to",
    "learning_rate": "--lr",
    "lr0": "--lr",
    "source": "",
}


def check_habits(arguments: Sequence[str]) -> Sequence[str]:
    """Return the arguments. Raises UsageError, with the right command, for those of other tools."""
    translated = [HABITUAL_COMMANDS.get(word, word) for word in arguments[:1]]
    wrong = [word for word in arguments[:1] if word in HABITUAL_COMMANDS]
    setting = False
    for before, argument in pairwise(arguments):
        field, equals, value = argument.partition("=")
        setting = field == "--set" or (setting and bool(equals) and not field.startswith("-"))
        words = None
        if field.startswith("--"):
            option = HABITUAL_OPTIONS.get(field[2:].replace("-", "_"), field)
            words = [option, value] if option != field else None
        elif not setting and not before.startswith("-") and not os.path.exists(argument):  # noqa: PTH110
            words = _translated(translated[0], field, value) if equals else None
        wrong += [argument] if words else []
        translated += [word for word in words if word] if words else [argument]
    if wrong:
        raise UsageError(
            f"Neocog has no {wrong[0]!r}.", f"Type: {shlex.join(['neocog', *translated])}"
        )
    return arguments


def _translated(command: str, field: str, value: str) -> list[str] | None:
    """The words for `field=value`; None if it is not known."""
    if field == "model" and command != "train":
        return [value]  # the run
    field = ALIASES.get(field, field)
    option = {**OPTIONS, **HABITUAL_OPTIONS}.get(field)
    if option is None:
        known = command == "train" and re.fullmatch(r"\w+", field)
        return ["--set", f"{field}={value}"] if known else None
    return [option, value]


def spell_out(arguments: Sequence[str]) -> list[str]:
    """Expand shorthand that the option parser lacks: `--set a=1 b=2`, `--csv` without a file.

    `--set` takes every FIELD=VALUE that follows; `--csv` takes the next argument only if it is a
    dash or ends in .csv.
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
                f"--set expects FIELD=VALUE, not {text!r}.", "For example: --set epochs=3"
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
