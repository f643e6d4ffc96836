"""A convolution step by step as a GIF or a PNG, drawn with Pillow.

A screenshot of the page would show the same, but would need a browser.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor

from neocog.demos.convolution import Convolution, Part, one_sum, output
from neocog.demos.phrases import CONVOLUTION
from neocog.rendering.fonts import chinese_font
from neocog.rendering.i18n import translator

FRAME_SECONDS, MAX_FRAMES = 0.9, 36
INK, QUIET, LINE, CARD, PAPER = "#1d2329", "#667079", "#d3d8de", "#eef0f3", "#ffffff"
POSITIVE, NEGATIVE = (194, 100, 26), (31, 111, 178)
TINT, SHADE = 0.42, 0.92  # opacity of a cell's color with and without a number
MARGIN, GAP, CAPTION = 26, 40, 20  # in units of the drawing, as all lengths here
MAX_CELLS = 80  # products that are drawn: those of the largest contributions

Color = tuple[int, int, int]


def animation(
    convolution: Convolution, steps: Sequence[int], heads: Sequence[str], lang: str
) -> bytes:
    """A GIF of at most MAX_FRAMES evenly spaced steps, with the heading lines `heads`.

    If there is room, a step has two frames: the terms, then their sum as well.
    """
    count = min(len(steps), MAX_FRAMES)
    selected = [steps[k * len(steps) // count] for k in range(count)]
    moments = (False, True) if 2 * count <= MAX_FRAMES else (True,)
    scenes = [_Scene(convolution, step, heads, lang, done) for step in selected for done in moments]
    sizes = [scene.size() for scene in scenes]
    size = max(width for width, _ in sizes), max(height for _, height in sizes)
    frames = [scene.draw(1.2, size) for scene in scenes]
    palette = frames[-1].quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    reduced = [_quantize(frame, palette) for frame in frames]
    file = io.BytesIO()
    milliseconds = round(1000 * FRAME_SECONDS)
    reduced[0].save(
        file, "GIF", save_all=True, append_images=reduced[1:], duration=milliseconds, loop=0
    )
    return file.getvalue()


def _quantize(frame: Image.Image, palette: Image.Image) -> Image.Image:
    """A frame in the colors of a palette. White stays white; Pillow would take a similar color."""
    quantized = frame.quantize(palette=palette, dither=Image.Dither.NONE)
    colors = np.array(palette.getpalette(), dtype=np.int64).reshape(-1, 3)
    indices = np.array(quantized)
    indices[(np.asarray(frame) == 255).all(axis=2)] = colors.sum(axis=1).argmax()
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.getpalette() or [])
    return image


def image(convolution: Convolution, step: int, heads: Sequence[str], lang: str) -> bytes:
    """A PNG of one step, large enough for a slide."""
    scene = _Scene(convolution, step, heads, lang, done=True)
    file = io.BytesIO()
    scene.draw(2.4, scene.size()).save(file, "PNG")
    return file.getvalue()


def shown(value: float) -> str:
    """A number as text: integers as they are, others with at most two decimals."""
    if value == int(value):
        return f"{int(value)}".replace("-", "−")
    size = abs(value)
    text = f"{value:.{2 if size < 99.995 else 1 if size < 999.95 else 0}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def bracketed(value: float) -> str:
    """A number after a plus sign, in brackets if negative."""
    return f"({shown(value)})" if shown(value).startswith("−") else shown(value)


@cache
def _font(lang: str, pixels: int) -> ImageFont.FreeTypeFont:
    chinese = chinese_font() if lang == "zh" else None
    latin = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(chinese or str(latin), pixels)


class _Canvas:
    """An image to draw on, in units of `scale` pixels, that records the extent of the drawing.

    With a size of (1, 1) it only measures.
    """

    def __init__(self, lang: str, scale: float, size: tuple[float, float]) -> None:
        self.scale, self.lang = scale, lang
        self.image = Image.new("RGB", (round(size[0] * scale), round(size[1] * scale)), PAPER)
        self.ink = ImageDraw.Draw(self.image)
        self.measures = size == (1, 1)
        self.right = self.bottom = 0.0

    def text(
        self, x: float, y: float, text: str, size: float = 13, color: str = INK, anchor: str = "la"
    ) -> float:
        """Draw text and return the x at which it ends."""
        if self.measures and anchor == "mm":  # the cell is measured instead
            return x
        font = _font(self.lang, round(size * self.scale))
        self.ink.text((x * self.scale, y * self.scale), text, fill=color, font=font, anchor=anchor)
        end = x + font.getlength(text) / self.scale * {"l": 1, "m": 0.5}[anchor[0]]
        self._reach(end, y + size)
        return end

    def box(
        self,
        corner: tuple[float, float],
        size: tuple[float, float],
        fill: Color | str | None,
        outline: str | None = None,
        width: float = 0.8,
    ) -> None:
        (x, y), (wide, high) = corner, size
        edges = [round(n * self.scale) for n in (x, y, x + wide, y + high)]
        self.ink.rectangle(edges, fill, outline, max(1, round(width * self.scale)))
        self._reach(x + wide, y + high)

    def shades(self, corner: tuple[float, float], colors: NDArray[np.uint8], side: float) -> None:
        """Draw cells of these colors, (H, W, 3), without lines between them."""
        (x, y), (high, wide) = corner, colors.shape[:2]
        left, top, right, bottom = (
            round(n * self.scale) for n in (x, y, x + wide * side, y + high * side)
        )
        cells = Image.fromarray(colors).resize(
            (right - left, bottom - top), Image.Resampling.NEAREST
        )
        self.image.paste(cells, (left, top))

    def _reach(self, x: float, y: float) -> None:
        self.right, self.bottom = max(self.right, x), max(self.bottom, y)


@dataclass(frozen=True)
class _Cells:
    """How a grid is drawn: side of a cell, whether it shows its number, largest magnitude."""

    side: float
    numbers: bool
    largest: float

    @staticmethod
    def of(values: Tensor, room: float, shades: float = 0, most: float = 38) -> "_Cells":
        """Cells for a grid of at most `room` units with numbers, else of `shades` units."""
        many = max(values.shape[-2:])
        largest = float(values.abs().max()) or 1.0
        if many * 22 <= room:  # the shortest numbers need 22 units
            letters = max(len(shown(value)) for value in values.flatten().tolist())
            wanted, least = (31, 22) if letters <= 2 else (33, 26) if letters == 3 else (38, 34)
            side = min(wanted, most, room / many)
            if side >= least:
                return _Cells(side, True, largest)
        return _Cells(max(2.0, min(14.0, (shades or room) / many)), False, largest)

    def fill(self, value: float) -> Color:
        """Background of a number: orange if positive, blue if negative, darker for larger ones."""
        share = min(1.0, abs(value) / self.largest) * TINT
        color = NEGATIVE if value < 0 else POSITIVE
        red, green, blue = (round(255 + (part - 255) * share) for part in color)
        return red, green, blue

    def shades(self, values: Tensor, border: Callable[[int, int], bool]) -> NDArray[np.uint8]:
        """The color of every cell, (H, W, 3)."""
        numbers = values.numpy()[:, :, None]
        shares = np.minimum(1, np.abs(numbers) / self.largest) * SHADE
        full = np.where(numbers < 0, np.array(NEGATIVE), np.array(POSITIVE))
        colors = np.rint(255 + (full - 255) * shares).astype(np.uint8)
        outside = [(i, j) for i, j in np.ndindex(*values.shape) if border(i, j)]
        for i, j in outside:
            colors[i, j] = ImageColor.getrgb(CARD)
        return colors


def _always(_i: int, _j: int) -> bool:
    return True


def _never(_i: int, _j: int) -> bool:
    return False


def _sides(shape: tuple[int, int, int]) -> str:
    """(C, H, W) as text with the channels last: 28 × 28 × 6."""
    channels, height, width = shape
    return f"{height} × {width} × {channels}"


class _Scene:
    """The layout of one step."""

    def __init__(
        self, convolution: Convolution, step: int, heads: Sequence[str], lang: str, done: bool
    ) -> None:
        c = self.c = convolution
        _, rows, columns = c.output_shape
        self.at = step // (rows * columns), step // columns % rows, step % columns
        self.step, self.heads, self.lang, self.done = step, heads, lang, done
        self.t = translator(CONVOLUTION, lang)
        self.output = output(c)
        self.sum = one_sum(c, *self.at)
        excerpt = c.excerpt
        self.filters = excerpt.filters if excerpt else tuple(range(len(c.weights)))
        self.channels = excerpt.channels if excerpt else tuple(range(len(c.inputs)))
        self.corner = excerpt.corner if excerpt else (0, 0)
        self.canvas = _Canvas(lang, 1, (1, 1))

    def size(self) -> tuple[float, float]:
        """(width, height) that the drawing needs."""
        canvas = self._on(_Canvas(self.lang, 1, (1, 1)))
        return canvas.right + MARGIN, canvas.bottom + MARGIN

    def draw(self, scale: float, size: tuple[float, float]) -> Image.Image:
        """The image, with `scale` pixels per unit."""
        return self._on(_Canvas(self.lang, scale, size)).image

    def _on(self, canvas: _Canvas) -> _Canvas:
        self.canvas = canvas
        y: float = MARGIN - 6
        for n, line in enumerate(self.heads):
            canvas.text(MARGIN, y, line, 17 if n == 0 else 13, INK if n == 0 else QUIET)
            y += 27 if n == 0 else 21
        top = y + 14
        right = self._inputs(MARGIN, top)
        right = self._filters(right + GAP, top)
        bottom = self._outputs(right + GAP, top)
        self._sums(right + GAP, bottom + 18)
        return canvas

    def _head(
        self, x: float, y: float, what: str, whole: str, part: str = ""
    ) -> tuple[float, float]:
        """Draw a heading with a shape and the shown part; returns its right and lower edge."""
        end = self.canvas.text(x, y, what, 14)
        right = self.canvas.text(end + 8, y + 1, whole, 12.5, QUIET)
        if self.c.excerpt is None:
            return right, y + 25
        if part and part != whole:
            text = self.t("excerpt", what=part)
            right = max(right, self.canvas.text(x, y + 20, text, 11.5, QUIET))
        return right, y + 43  # the same height for every heading

    def _grid(
        self,
        corner: tuple[float, float],
        values: Tensor,
        cells: _Cells,
        caption: str = "",
        there: Callable[[int, int], bool] = _always,
        border: Callable[[int, int], bool] = _never,
    ) -> tuple[float, float]:
        """Draw a grid and its caption, blank where not `there`; returns right and lower edge."""
        x, y = corner
        if caption:
            self.canvas.text(x, y, caption, 11.5, QUIET)
            y += CAPTION - 2
        side = cells.side
        height, width = values.shape
        if not cells.numbers:
            if not self.canvas.measures:
                self.canvas.shades((x, y), cells.shades(values, border), side)
            self.canvas.box((x, y), (width * side, height * side), None, LINE)
            return x + width * side, y + height * side
        letters = max(len(shown(value)) for value in values.flatten().tolist())
        size = side * {1: 0.52, 2: 0.5, 3: 0.42, 4: 0.34, 5: 0.3}.get(letters, 0.26)
        for i, row in enumerate(values.tolist()):
            for j, value in enumerate(row):
                outside = border(i, j)
                empty: Color | str = CARD if outside else PAPER
                fill = empty if outside or not there(i, j) else cells.fill(value)
                self.canvas.box((x + j * side, y + i * side), (side, side), fill, LINE)
                if there(i, j):
                    text = shown(value)
                    place = x + (j + 0.5) * side, y + (i + 0.5) * side
                    self.canvas.text(*place, text, size, QUIET if outside else INK, "mm")
        return x + width * side, y + height * side

    def _frame(
        self, corner: tuple[float, float], cells: tuple[float, float], side: float, width: float
    ) -> None:
        """Draw an outline around (rows, columns) of cells."""
        self.canvas.box(corner, (cells[1] * side, cells[0] * side), None, INK, width)

    def _inputs(self, x: float, y: float) -> float:
        """Draw the padded input with the window; returns its right edge."""
        c, (filter_, row, column) = self.c, self.at
        count, height, width = c.inputs.shape
        part = _sides((count, height, width))
        whole = _sides(c.excerpt.input) if c.excerpt else part
        right, y = self._head(x, y, self.t("input"), whole, part)
        top, _, left, _ = c.padding
        padded = c.padded
        room, shades = (380, 220) if count <= 3 else (290, 130)
        cells = _Cells.of(padded, room, shades, most=38 if count == 1 or padded.max() > 99 else 25)
        side = cells.side
        across = 1 if count <= 3 else 2

        def border(i: int, j: int) -> bool:
            return not (top <= i < top + height and left <= j < left + width)

        span = [d * (k - 1) + 1 for d, k in zip(c.dilation, c.weights.shape[2:], strict=True)]
        step = padded.shape[2] * side + 16, padded.shape[1] * side + CAPTION + 12
        for n in range(count):
            corner = x + n % across * step[0], y + n // across * step[1]
            caption = self.t("channel", channel=self.channels[n])
            end, _ = self._grid(corner, padded[n], cells, caption, border=border)
            right = max(right, end)
            if not c.sees[filter_, n]:
                continue
            place = (
                corner[0] + column * c.stride[1] * side,
                corner[1] + CAPTION - 2 + row * c.stride[0] * side,
            )
            self._frame(place, (span[0], span[1]), side, 2.6)
            if max(c.dilation) > 1:
                for i in range(0, span[0], c.dilation[0]):
                    for j in range(0, span[1], c.dilation[1]):
                        self._frame((place[0] + j * side, place[1] + i * side), (1, 1), side, 1.6)
        return right

    def _filters(self, x: float, y: float) -> float:
        """Draw all filters if they fit, else the current one; returns the right edge."""
        c = self.c
        count, channels, height, width = c.weights.shape
        one, many = (channels, height, width), count
        if c.excerpt:
            one, many = c.excerpt.kernel, c.excerpt.output[0]
        part = str(count) if many > count else ""
        right, top = self._head(x, y, self.t("filters"), f"{many} × ({_sides(one)})", part)
        few = count * channels <= 9 and channels <= 3
        cells = _Cells.of(c.weights, 130 if height <= 3 else 0.0, 70)
        left, lower = x, y
        for n, f in enumerate(range(count) if few else (self.at[0],)):
            if n and n % 3 == 0:
                x, top = left, lower + 14
            x, lower = self._filter(x, top, f, cells)
            right, x = max(right, x), x + 20
        return right

    def _filter(self, x: float, y: float, f: int, cells: _Cells) -> tuple[float, float]:
        """Draw the channels and the bias of a filter; returns its right and lower edge."""
        name = self.t("filter_of", filter=self.filters[f])
        c, is_current = self.c, f == self.at[0]
        color = INK if is_current else QUIET
        right = self.canvas.text(x, y, name, 12.5, color)
        y = lower = y + 20
        seen = [n for n in range(len(c.inputs)) if c.sees[f, n]]
        across = 1 if len(seen) <= 4 else 2
        height, width = c.weights.shape[2:]
        head = CAPTION - 2 if len(c.inputs) > 1 else 0
        for place, n in enumerate(seen):
            corner = (
                x + place % across * (max(width * cells.side, 62) + 12),
                y + place // across * (height * cells.side + head + 10),
            )
            caption = self.t("channel", channel=self.channels[n]) if head else ""
            end, bottom = self._grid(corner, c.weights[f, n], cells, caption)
            if is_current:
                self._frame((corner[0], corner[1] + head), (height, width), cells.side, 2)
            right, lower = max(right, end), max(lower, bottom)
        bias = f"{self.t('bias')} {shown(float(c.bias[f]))}"
        end = self.canvas.text(x, lower + 8, bias, 12.5, color)
        return max(right, end), lower + 24

    def _outputs(self, x: float, y: float) -> float:
        """Draw the output up to this step; returns its lower edge."""
        filters, rows, columns = self.c.output_shape
        part = _sides((filters, rows, columns))
        whole = _sides(self.c.excerpt.output) if self.c.excerpt else part
        _, y = self._head(x, y, self.t("output"), whole, part)
        cells = _Cells.of(self.output, 300 if filters <= 2 else 190, 200 if filters <= 2 else 130)
        left, lower, limit = x, y, x + 560
        for f in range(filters):
            first = f * rows * columns

            def there(i: int, j: int, first: int = first) -> bool:
                place = first + i * columns + j
                return not cells.numbers or place < self.step + self.done

            name = self.t("filter_of", filter=self.filters[f])
            if x > left and x + columns * cells.side > limit:
                x, y = left, lower + 12
            right, bottom = self._grid((x, y), self.output[f], cells, name, there)
            if f == self.at[0]:
                _, i, j = self.at
                side = cells.side
                self._frame((x + j * side, y + CAPTION - 2 + i * side), (1, 1), side, 2.6)
            x, lower = max(right, x + 60) + 18, max(lower, bottom)
        return lower

    def _sums(self, x: float, y: float) -> None:
        """Draw window, weights, products and sum of each channel, and the total."""
        result, (filter_, row, column) = self.sum, self.at
        end = self.canvas.text(x, y, self.t("sum"), 14)
        index = f"o[{self.filters[filter_]}, {row + self.corner[0]}, {column + self.corner[1]}]"
        self.canvas.text(end + 8, y + 1, index, 12.5, QUIET)
        y += 26
        most = max(1, MAX_CELLS // self.c.weights[0, 0].numel())
        shown_parts = sorted(result.parts, key=lambda p: -abs(p.sum))[:most]
        shown_parts.sort(key=lambda p: p.channel)
        for n, part in enumerate(shown_parts):
            y = self._part(x, y, part, first=n == 0)
        hidden = self.c.excerpt.hidden[filter_] if self.c.excerpt else 0
        hidden += len(result.parts) - len(shown_parts)
        terms = [shown(p.sum) if n == 0 else bracketed(p.sum) for n, p in enumerate(shown_parts)]
        if hidden:
            rest = result.total - result.bias - sum(p.sum for p in shown_parts)
            terms.append(f"{bracketed(rest)} ({self.t('more', count=hidden)})")
        terms.append(f"{bracketed(result.bias)} ({self.t('bias')})")
        y += 17
        end = self.canvas.text(x, y, " + ".join(terms) + " =", 16, anchor="lm")
        total = shown(result.total) if self.done else "?"
        wide = self.canvas.text(end + 16, y, total, 16, anchor="lm") - end - 16
        self.canvas.box((end + 9, y - 14), (wide + 14, 28), None, INK, 1.8)

    def _part(self, x: float, y: float, part: Part, first: bool) -> float:
        """Draw the row of one channel; returns the y of the next one."""
        grids = [Tensor(kind) for kind in (part.window, part.weights, part.products)]
        width = grids[0].shape[1]
        room = 38 * width if max(grids[0].shape) <= 7 else 210
        longest = max(grids, key=lambda g: max(len(shown(v)) for v in g.flatten().tolist()))
        side = _Cells.of(longest, room)
        name = self.t("channel", channel=self.channels[part.channel])
        for n, (kind, grid) in enumerate(
            zip(("window", "weights", "products"), grids, strict=True)
        ):
            cells = _Cells(side.side, side.numbers, float(grid.abs().max()) or 1.0)
            caption = f"{name}: {self.t(kind)}" if n == 0 else self.t(kind)
            x, bottom = self._grid((x, y), grid, cells, caption if first or n == 0 else " ")
            middle = (y + CAPTION + bottom) / 2
            sign = ("×", "=", "Σ =")[n]
            x = self.canvas.text(x + 9, middle, sign, 14, QUIET, "lm") + 9
        self.canvas.text(x - 2, middle, shown(part.sum), 15, INK, "lm")
        return bottom + 8
