"""What the pages say, in English and Chinese."""

import locale
import os
import string
from collections.abc import Callable
from typing import Any

from neocog.errors import UsageError

LANGUAGES = ("en", "zh")

# A phrase's key, and the phrase in the order of LANGUAGES; {names} are filled in, and {n:image|images}
# is a count with its noun.
Phrases = dict[str, tuple[str, str]]


def language(chosen: str | None = None) -> str:
    """`chosen`, else the environment's: zh where it speaks Chinese, en otherwise.

    Raises UsageError for a language that there are no phrases in.
    """
    if chosen is not None and chosen not in LANGUAGES:
        raise UsageError(f"There is no language {chosen!r}.", f"Known: {', '.join(LANGUAGES)}.")
    if chosen:
        return chosen
    named = [os.environ[k] for k in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(k)]
    spoken = named[0] if named else locale.getlocale()[0] or ""
    return "zh" if spoken.lower().startswith(("zh", "chinese")) else "en"


def translator(phrases: Phrases, lang: str) -> Callable[..., str]:
    """A function from a phrase's key, and what is filled in, to the phrase in `lang`."""
    place = LANGUAGES.index(lang)

    def say(key: str, **filled: object) -> str:
        return _FORMATTER.format(phrases[key][place], **filled)

    return say


class _Formatter(string.Formatter):
    """As `str.format`; a count that is followed by `:one|many` gets the noun that goes with it."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        one, mark, many = format_spec.partition("|")
        if not mark:
            return super().format_field(value, format_spec)
        return f"{value} {one if str(value) == '1' else many}"


_FORMATTER = _Formatter()
