"""Self-contained HTML pages: one file that opens from disk and makes no request."""

import base64
import io
from functools import cache
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neocog.escaping import visible_block
from neocog.rendering.fonts import chinese_font
from neocog.rendering.i18n import Phrases, translator

# Characters that Latin fonts lack: Chinese and its punctuation.
_CHINESE = ((0x2E80, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF), (0x20000, 0x323AF))


def render(package: str, template: str, phrases: Phrases, lang: str, **values: Any) -> str:
    """Render a template from the folder `templates` of `package` with `values`.

    In the template, `t(key, ...)` is a phrase in the page's language. Text is escaped unless it is
    `markupsafe.Markup`; hidden characters become visible escapes in either. The glyphs of the
    Chinese characters on the page are embedded in it.
    """
    page = (
        _environment(package)
        .get_template(template)
        .render(**values, lang=lang, t=translator(phrases, lang), font="@@font@@")
    )
    return page.replace("@@font@@", _font_for(page), 1)


@cache
def _environment(package: str) -> Environment:
    # The base page and its style sheet are rendering's own.
    loaders = [PackageLoader(package), PackageLoader("neocog.rendering")]
    return Environment(
        loader=ChoiceLoader(loaders),
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
    """A CSS rule with the glyphs of the Chinese characters on a page; empty without any."""
    characters = {c for c in set(page) if any(low <= ord(c) <= high for low, high in _CHINESE)}
    file = chinese_font()
    if not characters or file is None:
        return ""
    from fontTools import subset  # takes a while to import, and few pages need it

    options = subset.Options(flavor="woff", layout_features=[], notdef_outline=True, hinting=False)
    file_content = io.BytesIO()
    with subset.load_font(file, options) as font:
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=map(ord, characters))
        subsetter.subset(font)
        subset.save_font(font, file_content, options)
    data = base64.b64encode(file_content.getvalue()).decode()
    return f'@font-face{{font-family:"Neocog Han";src:url(data:font/woff;base64,{data})}}'
