"""The font with Chinese letters that came with pip."""

import importlib.util
from functools import cache
from pathlib import Path

from PIL import ImageFont


@cache
def chinese_font() -> str | None:
    """The file of Noto Sans SC (OFL) that came with `zhplot`, None where that is missing.

    The file is read in place; `zhplot` itself, which changes matplotlib's settings, is not
    imported.
    """
    spec = importlib.util.find_spec("zhplot")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "fonts" / "NotoSansSC-Regular.ttf")


@cache
def drawn_font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """That font for Pillow to draw with; its own, without Chinese letters, where it is missing."""
    file = chinese_font()
    return ImageFont.truetype(file, pixels) if file else ImageFont.load_default(pixels)
