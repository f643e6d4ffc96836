"""Text that came from outside - names of files, classes and runs - made safe to show and to keep.

A name may hold what a terminal obeys (ESC, OSC), what turns the order of letters around (U+202E)
or what a spreadsheet computes (`=HYPERLINK(...)`). Everything that prints such text goes through
this module.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

# Controls (C0, DEL, C1), line and paragraph separators, marks that turn the direction of text,
# marks that take no room, and tags. U+200C and U+200D stay: Persian and emoji need them.
_HIDDEN = (
    "\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f"
)
_UNSAFE = re.compile(f"[{_HIDDEN}]")
_UNSAFE_IN_A_BLOCK = re.compile(f"(?![\n\t])[{_HIDDEN}]")
_UNSAFE_IN_JSON = re.compile(f"(?!\n)[{_HIDDEN}]")
# What a spreadsheet takes for a formula, whatever stands before it; full-width letters, too.
_FORMULA = re.compile("[\\s\x00-\x20\"']*[=+\\-@\uff1d\uff0b\uff0d\uff20].|[\t\r\n]", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def visible(text: str) -> str:
    r"""`text` in one line, with characters that cannot be seen as escapes: `\x1b`, `\u202e`."""
    return _UNSAFE.sub(_escape, text)


def visible_block(text: str) -> str:
    """As `visible`, for text of several lines: line ends and tabs stay."""
    return _UNSAFE_IN_A_BLOCK.sub(_escape, text)


def rich_escape(text: str) -> str:
    """`text` in one line, `visible`, for a string with rich's markup."""
    from rich.markup import escape  # this module stays cheap to import

    return escape(visible(text))


def csv_cell(value: object) -> object:
    """A cell of a table that may be opened in a spreadsheet, where it is never a formula.

    Numbers, also as text, stay as they are; other text is made `visible`, and gets a leading `'`
    where a spreadsheet would compute it.
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return ("'" if _FORMULA.match(value) else "") + visible(value)


def to_json(value: Any, indent: int | None = None) -> str:
    """`value` as JSON that a terminal can show: letters as they are, hidden characters escaped.

    What a reader of the JSON gets is the text itself. NaN and infinity, which JSON does not have,
    become null.
    """
    text = json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False)
    return _UNSAFE_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
