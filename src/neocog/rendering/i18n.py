"""Translations: phrases by key, in English and Chinese."""

import locale
import os
import string
from collections.abc import Callable
from typing import Any

from neocog.errors import UnknownNameError

LANGUAGES = ("en", "zh")

# From a phrase's key to its text in the order of LANGUAGES, with {placeholders};
# {n:image|images} is a count with its noun.
Phrases = dict[str, tuple[str, str]]


def language(chosen: str | None = None) -> str:
    """`chosen`, or by default the language of the environment: zh or en.

    Raises UsageError for a language without translations.
    """
    if chosen is not None and chosen not in LANGUAGES:
        raise UnknownNameError(
            f"There is no language {chosen!r}.", f"Known: {', '.join(LANGUAGES)}."
        )
    if chosen:
        return chosen
    variables = [os.environ[k] for k in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(k)]
    code = variables[0] if variables else locale.getlocale()[0] or ""
    return "zh" if code.lower().startswith(("zh", "chinese")) else "en"


def translator(phrases: Phrases, lang: str) -> Callable[..., str]:
    """A function that takes a phrase's key and placeholders and returns the phrase in `lang`."""
    index = LANGUAGES.index(lang)

    def t(key: str, **values: object) -> str:
        return _FORMATTER.format(phrases[key][index], **values)

    return t


class _Formatter(string.Formatter):
    """As `str.format`; a count followed by `:one|many` gets the noun that goes with it."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        one, mark, many = format_spec.partition("|")
        if not mark:
            return super().format_field(value, format_spec)
        return f"{value} {one if str(value) == '1' else many}"


_FORMATTER = _Formatter()
