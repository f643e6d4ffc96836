"""Escaping of untrusted text, such as the names of files, classes and runs.

A name can contain terminal control sequences (ESC, OSC), characters that reverse the direction of
text (U+202E) or spreadsheet formulas (`=HYPERLINK(...)`). All code that prints or writes such text
uses this module.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

# Control characters (C0, DEL, C1), line and paragraph separators, direction marks, zero-width marks
# and tags. U+200C and U+200D are allowed, because Persian and emoji need them.
_HIDDEN = (
    "\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f"
)
_UNSAFE = re.compile(f"[{_HIDDEN}]")
_UNSAFE_IN_A_BLOCK = re.compile(f"(?![\n\t])[{_HIDDEN}]")
_UNSAFE_IN_JSON = re.compile(f"(?!\n)[{_HIDDEN}]")
# Text that a spreadsheet evaluates, also after spaces and quotes; the signs can be full-width.
_FORMULA = re.compile("[\\s\x00-\x20\"']*[=+\\-@\uff1d\uff0b\uff0d\uff20].|[\t\r\n]", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def visible(text: str) -> str:
    r"""Return `text` on one line with invisible characters escaped, such as `\x1b` or `\u202e`."""
    return _UNSAFE.sub(_escape, text)


def visible_block(text: str) -> str:
    """Like `visible`, but keep line ends and tabs."""
    return _UNSAFE_IN_A_BLOCK.sub(_escape, text)


def rich_escape(text: str) -> str:
    """`text` in one line, `visible`, for a string with rich's markup."""
    from rich.markup import escape  # this module stays cheap to import

    return escape(visible(text))


def csv_cell(value: object) -> object:
    """Return a CSV cell that a spreadsheet does not evaluate as a formula.

    Numbers, also as text, are returned unchanged. Other text is escaped as by `visible` and gets a
    leading `'` if a spreadsheet would evaluate it.
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return ("'" if _FORMULA.match(value) else "") + visible(value)


def to_json(value: Any, indent: int | None = None) -> str:
    """Return `value` as JSON that is safe to print: only invisible characters are escaped.

    Parsing the JSON gives the original text. NaN and infinity become null.
    """
    text = json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False)
    return _UNSAFE_IN_JSON.sub(lambda match: json.dumps(match[0])[1:-1], text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")
