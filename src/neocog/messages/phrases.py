"""Phrases with placeholders, in every language, and the one way to fill them in."""

import string
from typing import Any

LANGUAGES = ("en", "zh")

# From a phrase's key to its text in the order of LANGUAGES, with {placeholders}.
Phrases = dict[str, tuple[str, str]]


def fill(text: str, /, **values: object) -> str:
    """Replace the placeholders of a phrase, as `str.format` does, with three additions.

    `{n:image|images}` is a count with its noun, `1 image` or `1,200 images`; `{n:|is|are}` is the
    form alone. A tuple is joined by what follows the colon: `{names:, }`.
    """
    return _FORMATTER.format(text, **values)


class _Formatter(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        if isinstance(value, tuple):
            return format_spec.join(map(str, value))
        if "|" not in format_spec:
            return super().format_field(value, format_spec)
        *form_alone, one, many = format_spec.split("|")
        number = f"{value:,}" if isinstance(value, int) else str(value)
        form = one if number == "1" else many
        return form if form_alone else f"{number} {form}"


_FORMATTER = _Formatter()
