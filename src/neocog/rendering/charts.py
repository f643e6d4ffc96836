"""Charts as SVG that a page holds: lines by epoch, a reliability diagram; values on hover.

The page's style sheet colours them, light and dark, by their classes; its script reads `data-read`
to show the values nearest to the pointer. Without a script every point that is drawn has a title.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from neocog import wording
from neocog.metrics.calibration import Bin

WIDTH, HEIGHT = 400, 250  # of the image, in its own units: pixels on a phone, larger elsewhere
LEFT, RIGHT, TOP, BOTTOM = 50, 17, 22, 42  # margins around the plane
FEW_POINTS = 40  # up to here each point has a dot
TICKS = 5  # about so many on an axis


@dataclass(frozen=True)
class Axis:
    """What an axis shows: `label`, how a value is written, and ends that the data do not decide."""

    label: str
    text: Callable[[float], str]
    low: float | None = None
    high: float | None = None
    whole: bool = False  # ticks at whole numbers only
    logarithmic: bool = False


@dataclass(frozen=True)
class Series:
    """A line: `colour` is its class in the style sheet, a, b or c; points are (x, y), x rising."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Scale:
    """From values to the image's units along one axis, and where its ticks are."""

    axis: Axis
    low: float
    high: float
    begin: float
    end: float
    ticks: list[float]

    def __call__(self, value: float) -> float:
        low, high, value = (self._bent(v) for v in (self.low, self.high, value))
        return self.begin + (self.end - self.begin) * (value - low) / (high - low)

    def _bent(self, value: float) -> float:
        return math.log10(value) if self.axis.logarithmic else value


def lines(
    series: Sequence[Series], x: Axis, y: Axis, mark: tuple[float, str] | None = None
) -> Markup:
    """Lines over one x; `mark` is an x with a word for it, drawn as a dotted line.

    Values that are not finite are left out.
    """
    kept = [
        Series(s.name, s.colour, [p for p in s.points if all(map(math.isfinite, p))])
        for s in series
    ]
    kept = [s for s in kept if s.points]
    if not kept:
        return Markup("")
    across = _scale(x, [p[0] for s in kept for p in s.points], LEFT, WIDTH - RIGHT)
    up = _scale(y, [p[1] for s in kept for p in s.points], HEIGHT - BOTTOM, TOP)
    parts = [_frame(across, up)]
    if mark and across.low <= mark[0] <= across.high:
        parts.append(_mark(across(mark[0]), mark[1]))
    parts += [_line(s, across, up) for s in kept]
    legend = [(s.colour, s.name) for s in kept] if len(kept) > 1 else []
    return _figure(parts, _reading(kept, across, up), legend, y.label)


def reliability(bins: Sequence[Bin], words: tuple[str, str], reads: Sequence[str]) -> Markup:
    """What answers claim against how many are right, with 95% intervals; bars say how many.

    `words` are the axes' labels, `reads` what is read of each bin.
    """
    across = _scale(Axis(words[0], percent, 0, 1), [0.0, 1.0], LEFT, WIDTH - RIGHT)
    up = _scale(Axis(words[1], percent, 0, 1), [0.0, 1.0], HEIGHT - BOTTOM, TOP)
    most = max(b.n for b in bins)
    parts = []
    for b in bins:
        left, right = across(b.low) + 1, across(b.high) - 1
        tall = max(1.0, (HEIGHT - TOP - BOTTOM) * 0.3 * b.n / most)
        parts.append(
            f'<rect class="many" x="{left:.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" '
            f'width="{right - left:.1f}" height="{tall:.1f}"/>'
        )
    parts.append(_frame(across, up))
    ends = (across(0), up(0), across(1), up(1))
    parts.append('<path class="ideal" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>'.format(*ends))
    spots = []
    for b, read in zip(bins, reads, strict=True):
        at, middle = across(b.probability), up(b.accuracy)
        low, high = up(b.interval[0]), up(b.interval[1])
        parts.append(f'<path class="reach" d="M{at:.1f} {low:.1f}V{high:.1f}"/>')
        parts.append(_dot(at, middle, "a", read, 4))
        spots.append({"x": round(at, 1), "text": read, "dots": [["a", round(middle, 1)]]})
    return _figure(parts, spots, [], words[1])


def percent(value: float) -> str:
    """A share as a percentage with the digits that it needs: 5%, 99.5%."""
    nearly = 0 < value < 1e-4 or 1 - 1e-4 < value < 1
    return wording.percent(value, 2) if nearly else f"{100 * value:.4g}%"


def plain(value: float) -> str:
    """A number with the digits that it needs."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """About five round numbers, 1, 2 or 5 apart times a power of ten, from `low` to `high`."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough * 0.999)
    if whole:
        step = max(1.0, step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.10g}") for k in range(first, last + 1)]


def _scale(axis: Axis, values: Sequence[float], begin: float, end: float) -> _Scale:
    low = min(values) if axis.low is None else axis.low
    high = max(values) if axis.high is None else axis.high
    if axis.logarithmic:
        powers = range(math.floor(math.log10(low) - 1e-9), math.ceil(math.log10(high) + 1e-9) + 1)
        found = [10.0**k for k in powers]
        return _Scale(axis, low / 1.2, high * 1.2, begin, end, found)
    if high <= low:
        margin = 0.5 if axis.whole else abs(low) * 0.1 or 1.0
        low, high = (low, low + margin) if axis.low is not None else (low - margin, low + margin)
    elif not axis.whole:  # room above and below, where the data decide the end
        room = 0.06 * (high - low)
        low, high = low - room * (axis.low is None), high + room * (axis.high is None)
    return _Scale(axis, low, high, begin, end, ticks(low, high, axis.whole))


def _frame(across: _Scale, up: _Scale) -> str:
    """Ticks with their numbers, thin lines at those of y, and both axes' labels."""
    bottom = HEIGHT - BOTTOM
    parts = []
    for value in up.ticks:
        at = up(value)
        if TOP - 1 <= at <= bottom + 1:
            parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
            words = escape(up.axis.text(value))
            parts.append(f'<text class="end" x="{LEFT - 6}" y="{at + 4:.1f}">{words}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>')
    for value in across.ticks:
        at = across(value)
        if LEFT - 1 <= at <= WIDTH - RIGHT + 1:
            parts.append(f'<path class="axis" d="M{at:.1f} {bottom}v4"/>')
            words = escape(across.axis.text(value))
            parts.append(f'<text class="middle" x="{at:.1f}" y="{bottom + 17}">{words}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="middle" x="{middle}" y="{HEIGHT - 7}">{escape(across.axis.label)}</text>'
    )
    return "".join(parts)


def _line(series: Series, across: _Scale, up: _Scale) -> str:
    places = [(across(x), up(y)) for x, y in series.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    parts = [f'<path class="line {series.colour}" d="M{path}"/>']
    if len(places) <= FEW_POINTS:
        for (x, y), (at, high) in zip(series.points, places, strict=True):
            read = f"{across.axis.text(x)}: {series.name} {up.axis.text(y)}"
            parts.append(_dot(at, high, series.colour, read, 2.6))
    return "".join(parts)


def _dot(x: float, y: float, colour: str, title: str, radius: float) -> str:
    return (
        f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _mark(at: float, word: str) -> str:
    """A dotted line down the plane, its word above, where no line of the data is."""
    where = "end" if at > WIDTH - 3 * RIGHT else "middle"
    right = at if where == "middle" else WIDTH - 1
    text = f'<text class="{where}" x="{right:.1f}" y="{TOP - 8}">{escape(word)}</text>'
    return f'<path class="mark" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>{text}'


def _reading(series: Sequence[Series], across: _Scale, up: _Scale) -> list[dict[str, object]]:
    """For every x what is read there, and where the dots of it are."""
    spots = []
    for x in sorted({p[0] for s in series for p in s.points}):
        there = [(s, y) for s in series for at, y in s.points if at == x]
        values = ", ".join(f"{s.name} {up.axis.text(y)}".strip() for s, y in there)
        spots.append(
            {
                "x": round(across(x), 1),
                "text": f"{across.axis.label} {across.axis.text(x)}: {values}",
                "dots": [[s.colour, round(up(y), 1)] for s, y in there],
            }
        )
    return spots


def _figure(
    parts: Sequence[str],
    spots: Sequence[dict[str, object]],
    legend: Sequence[tuple[str, str]],
    name: str,
) -> Markup:
    """The image with its title and legend above, and room for what is read below."""
    keys = "".join(
        f'<span class="key"><i class="{colour}"></i>{escape(text)}</span>'
        for colour, text in legend
    )
    reads = escape(json.dumps(spots, ensure_ascii=False, separators=(",", ":")))
    return Markup(
        f'<figure class="chart"><figcaption><b>{escape(name)}</b>{keys}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}" '
        f'data-top="{TOP}" data-bottom="{HEIGHT - BOTTOM}" data-read="{reads}">{"".join(parts)}'
        '</svg><output class="read small quiet"></output></figure>'
    )
