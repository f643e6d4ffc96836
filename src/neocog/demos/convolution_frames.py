"""Images of a convolution, a step each, for a GIF and for slides."""

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
from neocog.report.words import translator

FRAME_SECONDS, MOST_FRAMES = 0.9, 36
INK, QUIET, LINE, CARD, PAPER = "#1d2329", "#667079", "#d3d8de", "#eef0f3", "#ffffff"
POSITIVE, NEGATIVE = (194, 100, 26), (31, 111, 178)
TINT, SHADE = 0.42, 0.92  # of a colour, behind a number and alone
MARGIN, GAP, CAPTION = 26, 40, 20  # in units, as all lengths here
MOST_CELLS = 80  # products that are drawn: of the channels that matter most

Colour = tuple[int, int, int]


def animation(
    convolution: Convolution, steps: Sequence[int], heads: Sequence[str], lang: str
) -> bytes:
    """A GIF of some steps, evenly chosen where they are many, below the lines `heads`.

    Where they are few a step has two frames: what is added up, then the sum in its place.
    """
    taken = min(len(steps), MOST_FRAMES)
    chosen = [steps[k * len(steps) // taken] for k in range(taken)]
    moments = (False, True) if 2 * taken <= MOST_FRAMES else (True,)
    scenes = [_Scene(convolution, step, heads, lang, done) for step in chosen for done in moments]
    sizes = [scene.size() for scene in scenes]
    size = max(width for width, _ in sizes), max(height for _, height in sizes)
    frames = [scene.drawn(1.2, size) for scene in scenes]
    palette = frames[-1].quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    flat = [_on_white(frame, palette) for frame in frames]
    file = io.BytesIO()
    milliseconds = round(1000 * FRAME_SECONDS)
    flat[0].save(file, "GIF", save_all=True, append_images=flat[1:], duration=milliseconds, loop=0)
    return file.getvalue()


def _on_white(frame: Image.Image, palette: Image.Image) -> Image.Image:
    """A frame in the colours of a palette, its ground kept white: Pillow takes a near colour."""
    flat = frame.quantize(palette=palette, dither=Image.Dither.NONE)
    colours = np.array(palette.getpalette(), dtype=np.int64).reshape(-1, 3)
    numbers = np.array(flat)
    numbers[(np.asarray(frame) == 255).all(axis=2)] = colours.sum(axis=1).argmax()
    made = Image.fromarray(numbers, "P")
    made.putpalette(palette.getpalette() or [])
    return made


def image(convolution: Convolution, step: int, heads: Sequence[str], lang: str) -> bytes:
    """A PNG of one step, large enough for a slide."""
    scene = _Scene(convolution, step, heads, lang, done=True)
    file = io.BytesIO()
    scene.drawn(2.4, scene.size()).save(file, "PNG")
    return file.getvalue()


def shown(value: float) -> str:
    """A number as people read it: whole ones as they are, others with two decimals at most."""
    if value == int(value):
        return f"{int(value)}".replace("-", "−")
    size = abs(value)
    text = f"{value:.{2 if size < 99.995 else 1 if size < 999.95 else 0}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def bracketed(value: float) -> str:
    """A number behind a plus."""
    return f"({shown(value)})" if shown(value).startswith("−") else shown(value)


@cache
def _font(lang: str, pixels: int) -> ImageFont.FreeTypeFont:
    chinese = chinese_font() if lang == "zh" else None
    latin = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return ImageFont.truetype(chinese or str(latin), pixels)


class _Board:
    """An image to draw on, in units of `scale` pixels, which knows how far it was drawn on."""

    def __init__(self, lang: str, scale: float, size: tuple[float, float]) -> None:
        self.scale, self.lang = scale, lang
        self.image = Image.new("RGB", (round(size[0] * scale), round(size[1] * scale)), PAPER)
        self.ink = ImageDraw.Draw(self.image)
        self.measures = size == (1, 1)
        self.right = self.bottom = 0.0

    def text(
        self, x: float, y: float, text: str, size: float = 13, colour: str = INK, anchor: str = "la"
    ) -> float:
        """Write, and say where the text ends."""
        if self.measures and anchor == "mm":  # in a cell, which is measured itself
            return x
        font = _font(self.lang, round(size * self.scale))
        self.ink.text((x * self.scale, y * self.scale), text, fill=colour, font=font, anchor=anchor)
        end = x + font.getlength(text) / self.scale * {"l": 1, "m": 0.5}[anchor[0]]
        self._reach(end, y + size)
        return end

    def box(
        self,
        corner: tuple[float, float],
        size: tuple[float, float],
        fill: Colour | str | None,
        outline: str | None = None,
        width: float = 0.8,
    ) -> None:
        (x, y), (wide, high) = corner, size
        edges = [round(n * self.scale) for n in (x, y, x + wide, y + high)]
        self.ink.rectangle(edges, fill, outline, max(1, round(width * self.scale)))
        self._reach(x + wide, y + high)

    def shades(self, corner: tuple[float, float], colours: NDArray[np.uint8], side: float) -> None:
        """Cells without a line between them, H x W x 3."""
        (x, y), (high, wide) = corner, colours.shape[:2]
        left, top, right, bottom = (
            round(n * self.scale) for n in (x, y, x + wide * side, y + high * side)
        )
        cells = Image.fromarray(colours).resize(
            (right - left, bottom - top), Image.Resampling.NEAREST
        )
        self.image.paste(cells, (left, top))

    def _reach(self, x: float, y: float) -> None:
        self.right, self.bottom = max(self.right, x), max(self.bottom, y)


@dataclass(frozen=True)
class _Cells:
    """How a grid is drawn: a cell's side, whether its number stands in it, the largest number."""

    side: float
    numbers: bool
    largest: float

    @staticmethod
    def of(values: Tensor, room: float, shades: float = 0, most: float = 38) -> "_Cells":
        """Cells for grids whose longer side is at most `room` with numbers, else `shades`."""
        many = max(values.shape[-2:])
        largest = float(values.abs().max()) or 1.0
        if many * 22 <= room:  # else there is no room for numbers, however short
            letters = max(len(shown(value)) for value in values.flatten().tolist())
            wanted, least = (31, 22) if letters <= 2 else (33, 26) if letters == 3 else (38, 34)
            side = min(wanted, most, room / many)
            if side >= least:
                return _Cells(side, True, largest)
        return _Cells(max(2.0, min(14.0, (shades or room) / many)), False, largest)

    def fill(self, value: float) -> Colour:
        """Orange above zero, blue below, deeper the larger: behind a number."""
        share = min(1.0, abs(value) / self.largest) * TINT
        colour = NEGATIVE if value < 0 else POSITIVE
        red, green, blue = (round(255 + (part - 255) * share) for part in colour)
        return red, green, blue

    def shades(self, values: Tensor, border: Callable[[int, int], bool]) -> NDArray[np.uint8]:
        """The colour of every cell, H x W x 3."""
        numbers = values.numpy()[:, :, None]
        shares = np.minimum(1, np.abs(numbers) / self.largest) * SHADE
        full = np.where(numbers < 0, np.array(NEGATIVE), np.array(POSITIVE))
        colours = np.rint(255 + (full - 255) * shares).astype(np.uint8)
        outside = [(i, j) for i, j in np.ndindex(*values.shape) if border(i, j)]
        for i, j in outside:
            colours[i, j] = ImageColor.getrgb(CARD)
        return colours


def _always(_i: int, _j: int) -> bool:
    return True


def _never(_i: int, _j: int) -> bool:
    return False


def _sides(shape: tuple[int, int, int]) -> str:
    """C x H x W as people say it: the channels last."""
    channels, height, width = shape
    return f"{height} × {width} × {channels}"


class _Scene:
    """A step of a convolution and where everything stands in its image."""

    def __init__(
        self, convolution: Convolution, step: int, heads: Sequence[str], lang: str, done: bool
    ) -> None:
        c = self.c = convolution
        _, rows, columns = c.output_shape
        self.at = step // (rows * columns), step // columns % rows, step % columns
        self.step, self.heads, self.lang, self.done = step, heads, lang, done
        self.say = translator(CONVOLUTION, lang)
        self.output = output(c)
        self.sum = one_sum(c, *self.at)
        excerpt = c.excerpt
        self.filters = excerpt.filters if excerpt else tuple(range(len(c.weights)))
        self.channels = excerpt.channels if excerpt else tuple(range(len(c.inputs)))
        self.corner = excerpt.corner if excerpt else (0, 0)
        self.board = _Board(lang, 1, (1, 1))

    def size(self) -> tuple[float, float]:
        """The width and height that the image needs."""
        board = self._on(_Board(self.lang, 1, (1, 1)))
        return board.right + MARGIN, board.bottom + MARGIN

    def drawn(self, scale: float, size: tuple[float, float]) -> Image.Image:
        """The image, `scale` pixels a unit."""
        return self._on(_Board(self.lang, scale, size)).image

    def _on(self, board: _Board) -> _Board:
        self.board = board
        y: float = MARGIN - 6
        for n, line in enumerate(self.heads):
            board.text(MARGIN, y, line, 17 if n == 0 else 13, INK if n == 0 else QUIET)
            y += 27 if n == 0 else 21
        top = y + 14
        right = self._inputs(MARGIN, top)
        right = self._filters(right + GAP, top)
        bottom = self._outputs(right + GAP, top)
        self._sums(right + GAP, bottom + 18)
        return board

    def _head(
        self, x: float, y: float, what: str, whole: str, part: str = ""
    ) -> tuple[float, float]:
        """A name with its true shape, and what of it is shown; gives right edge and lower one."""
        end = self.board.text(x, y, what, 14)
        right = self.board.text(end + 8, y + 1, whole, 12.5, QUIET)
        if self.c.excerpt is None:
            return right, y + 25
        if part and part != whole:
            text = self.say("excerpt", what=part)
            right = max(right, self.board.text(x, y + 20, text, 11.5, QUIET))
        return right, y + 43  # as far down in every head

    def _grid(
        self,
        corner: tuple[float, float],
        values: Tensor,
        cells: _Cells,
        caption: str = "",
        there: Callable[[int, int], bool] = _always,
        border: Callable[[int, int], bool] = _never,
    ) -> tuple[float, float]:
        """Draw a grid below its caption; what is not `there` is blank. Gives right and bottom."""
        x, y = corner
        if caption:
            self.board.text(x, y, caption, 11.5, QUIET)
            y += CAPTION - 2
        side = cells.side
        height, width = values.shape
        if not cells.numbers:
            if not self.board.measures:
                self.board.shades((x, y), cells.shades(values, border), side)
            self.board.box((x, y), (width * side, height * side), None, LINE)
            return x + width * side, y + height * side
        letters = max(len(shown(value)) for value in values.flatten().tolist())
        size = side * {1: 0.52, 2: 0.5, 3: 0.42, 4: 0.34, 5: 0.3}.get(letters, 0.26)
        for i, row in enumerate(values.tolist()):
            for j, value in enumerate(row):
                outside = border(i, j)
                empty: Colour | str = CARD if outside else PAPER
                fill = empty if outside or not there(i, j) else cells.fill(value)
                self.board.box((x + j * side, y + i * side), (side, side), fill, LINE)
                if there(i, j):
                    text = shown(value)
                    place = x + (j + 0.5) * side, y + (i + 0.5) * side
                    self.board.text(*place, text, size, QUIET if outside else INK, "mm")
        return x + width * side, y + height * side

    def _frame(
        self, corner: tuple[float, float], cells: tuple[float, float], side: float, width: float
    ) -> None:
        """An outline around so many cells, down and across."""
        self.board.box(corner, (cells[1] * side, cells[0] * side), None, INK, width)

    def _inputs(self, x: float, y: float) -> float:
        """The padded input with the window on it; gives its right edge."""
        c, (filter_, row, column) = self.c, self.at
        count, height, width = c.inputs.shape
        part = _sides((count, height, width))
        whole = _sides(c.excerpt.input) if c.excerpt else part
        right, y = self._head(x, y, self.say("input"), whole, part)
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
            caption = self.say("channel", channel=self.channels[n])
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
        """All filters where there is room, else the one at work; gives the right edge."""
        c = self.c
        count, channels, height, width = c.weights.shape
        one, many = (channels, height, width), count
        if c.excerpt:
            one, many = c.excerpt.kernel, c.excerpt.output[0]
        part = str(count) if many > count else ""
        right, top = self._head(x, y, self.say("filters"), f"{many} × ({_sides(one)})", part)
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
        """One filter's channels and bias; gives its right and lower edge."""
        name = self.say("filter_of", filter=self.filters[f])
        c, at_work = self.c, f == self.at[0]
        colour = INK if at_work else QUIET
        right = self.board.text(x, y, name, 12.5, colour)
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
            caption = self.say("channel", channel=self.channels[n]) if head else ""
            end, bottom = self._grid(corner, c.weights[f, n], cells, caption)
            if at_work:
                self._frame((corner[0], corner[1] + head), (height, width), cells.side, 2)
            right, lower = max(right, end), max(lower, bottom)
        bias = f"{self.say('bias')} {shown(float(c.bias[f]))}"
        end = self.board.text(x, lower + 8, bias, 12.5, colour)
        return max(right, end), lower + 24

    def _outputs(self, x: float, y: float) -> float:
        """The output so far; gives its lower edge."""
        filters, rows, columns = self.c.output_shape
        part = _sides((filters, rows, columns))
        whole = _sides(self.c.excerpt.output) if self.c.excerpt else part
        _, y = self._head(x, y, self.say("output"), whole, part)
        cells = _Cells.of(self.output, 300 if filters <= 2 else 190, 200 if filters <= 2 else 130)
        left, lower, limit = x, y, x + 560
        for f in range(filters):
            first = f * rows * columns

            def there(i: int, j: int, first: int = first) -> bool:
                place = first + i * columns + j
                return not cells.numbers or place < self.step + self.done

            name = self.say("filter_of", filter=self.filters[f])
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
        """Each channel's window, weights, products and sum, and what they come to."""
        found, (filter_, row, column) = self.sum, self.at
        end = self.board.text(x, y, self.say("sum"), 14)
        place = f"o[{self.filters[filter_]}, {row + self.corner[0]}, {column + self.corner[1]}]"
        self.board.text(end + 8, y + 1, place, 12.5, QUIET)
        y += 26
        most = max(1, MOST_CELLS // self.c.weights[0, 0].numel())
        shown_parts = sorted(found.parts, key=lambda p: -abs(p.sum))[:most]
        shown_parts.sort(key=lambda p: p.channel)
        for n, part in enumerate(shown_parts):
            y = self._part(x, y, part, first=n == 0)
        hidden = self.c.excerpt.hidden[filter_] if self.c.excerpt else 0
        hidden += len(found.parts) - len(shown_parts)
        terms = [shown(p.sum) if n == 0 else bracketed(p.sum) for n, p in enumerate(shown_parts)]
        if hidden:
            rest = found.total - found.bias - sum(p.sum for p in shown_parts)
            terms.append(f"{bracketed(rest)} ({self.say('more', count=hidden)})")
        terms.append(f"{bracketed(found.bias)} ({self.say('bias')})")
        y += 17
        end = self.board.text(x, y, " + ".join(terms) + " =", 16, anchor="lm")
        total = shown(found.total) if self.done else "?"
        wide = self.board.text(end + 16, y, total, 16, anchor="lm") - end - 16
        self.board.box((end + 9, y - 14), (wide + 14, 28), None, INK, 1.8)

    def _part(self, x: float, y: float, part: Part, first: bool) -> float:
        """One channel's line; gives where the next begins."""
        grids = [Tensor(kind) for kind in (part.window, part.weights, part.products)]
        width = grids[0].shape[1]
        room = 38 * width if max(grids[0].shape) <= 7 else 210
        longest = max(grids, key=lambda g: max(len(shown(v)) for v in g.flatten().tolist()))
        side = _Cells.of(longest, room)
        name = self.say("channel", channel=self.channels[part.channel])
        for n, (kind, grid) in enumerate(
            zip(("window", "weights", "products"), grids, strict=True)
        ):
            cells = _Cells(side.side, side.numbers, float(grid.abs().max()) or 1.0)
            caption = f"{name}: {self.say(kind)}" if n == 0 else self.say(kind)
            x, bottom = self._grid((x, y), grid, cells, caption if first or n == 0 else " ")
            middle = (y + CAPTION + bottom) / 2
            sign = ("×", "=", "Σ =")[n]
            x = self.board.text(x + 9, middle, sign, 14, QUIET, "lm") + 9
        self.board.text(x - 2, middle, shown(part.sum), 15, INK, "lm")
        return bottom + 8
