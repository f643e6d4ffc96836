"""What the pages say, in English and Chinese."""

import locale
import os
from collections.abc import Callable

from neocog.errors import UsageError

LANGUAGES = ("en", "zh")

# A phrase's key, and the phrase in the order of LANGUAGES; {names} are filled in.
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


def speaker(phrases: Phrases, lang: str) -> Callable[..., str]:
    """A function from a phrase's key, and what is filled in, to the phrase in `lang`."""
    place = LANGUAGES.index(lang)

    def say(key: str, **filled: object) -> str:
        return phrases[key][place].format(**filled)

    return say
