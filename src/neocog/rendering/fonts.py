"""A font with Chinese characters, installed with pip."""

import importlib.util
from functools import cache
from pathlib import Path

from PIL import ImageFont


@cache
def chinese_font() -> str | None:
    """The path of Noto Sans SC (OFL) in the `zhplot` package; None if it is not installed.

    `zhplot` itself is not imported, because importing it changes matplotlib's settings.
    """
    spec = importlib.util.find_spec("zhplot")
    if spec is None or spec.origin is None:
        return None
    return str(Path(spec.origin).parent / "fonts" / "NotoSansSC-Regular.ttf")


@cache
def pillow_font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Noto Sans SC for Pillow, or Pillow's own font, without Chinese, if it is not installed."""
    file = chinese_font()
    return ImageFont.truetype(file, pixels) if file else ImageFont.load_default(pixels)
