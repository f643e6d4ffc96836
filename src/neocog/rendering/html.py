"""Self-contained pages: one file that opens from disk and asks for nothing."""

import base64
import io
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neocog.escaping import visible_block
from neocog.rendering.fonts import chinese_font
from neocog.report.words import Phrases, translator

# Letters that a system's Latin fonts may lack: Chinese, and its punctuation.
_CHINESE = ((0x2E80, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF), (0x20000, 0x323AF))


def render(template: str, phrases: Phrases, lang: str, **values: Any) -> str:
    """The page that a template makes of `values`, which it sees by their names.

    In it `say(key, ...)` gives a phrase in the page's language. Text is escaped, hidden characters
    in it, too: none turns the direction of what follows. What is already markup must be
    `markupsafe.Markup`. Chinese letters bring their glyphs with them.
    """
    page = (
        _environment()
        .get_template(template)
        .render(**values, lang=lang, say=translator(phrases, lang), font="@@font@@")
    )
    return page.replace("@@font@@", _font_for(page), 1)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("neocog.report"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _visible(value: Any) -> Any:
    """What a template prints, with hidden characters as escapes."""
    if isinstance(value, Markup):
        return Markup(visible_block(value))
    return visible_block(value) if isinstance(value, str) else value


def _font_for(page: str) -> str:
    """A CSS rule with the glyphs of the page's Chinese letters, empty where there are none."""
    letters = {c for c in set(page) if any(low <= ord(c) <= high for low, high in _CHINESE)}
    file = chinese_font()
    if not letters or file is None:
        return ""
    from fontTools import subset  # takes a while to import, and few pages need it

    options = subset.Options(flavor="woff", layout_features=[], notdef_outline=True, hinting=False)
    packed = io.BytesIO()
    with subset.load_font(file, options) as font:
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=map(ord, letters))
        subsetter.subset(font)
        subset.save_font(font, packed, options)
    data = base64.b64encode(packed.getvalue()).decode()
    return f'@font-face{{font-family:"Neocog Han";src:url(data:font/woff;base64,{data})}}'
