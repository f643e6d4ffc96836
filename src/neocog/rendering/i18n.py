"""The language of pages and terminals, and phrases by key in that language."""

import locale
import os
from collections.abc import Callable

from neocog.errors import UnknownNameError
from neocog.messages.phrases import LANGUAGES, Phrases, fill


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
        return fill(phrases[key][index], **values)

    return t


__all__ = ["LANGUAGES", "Phrases", "language", "translator"]
