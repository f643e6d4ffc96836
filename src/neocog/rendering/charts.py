"""Charts as inline SVG: line charts and a reliability diagram, with values on hover.

The page's style sheet sets the colours, light and dark, by CSS class; its script reads `data-read`
to show the values nearest to the pointer. Without the script each dot has a title.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from neocog.metrics.calibration import Bin
from neocog.rendering.numbers import short_percent

WIDTH, HEIGHT = 400, 250  # of the view box: CSS pixels on a phone, more elsewhere
LEFT, RIGHT, TOP, BOTTOM = 50, 17, 22, 42  # margins around the plot area
MAX_DOTS = 40  # points of a line that are drawn as dots
TICKS = 5  # on an axis, about


@dataclass(frozen=True)
class Axis:
    """An axis: its `label`, a function that formats values, and limits (None: from the data)."""

    label: str
    text: Callable[[float], str]
    low: float | None = None
    high: float | None = None
    whole: bool = False  # ticks at integers only
    logarithmic: bool = False


@dataclass(frozen=True)
class Series:
    """A line: `color` is its CSS class, a, b or c; points are (x, y) with increasing x."""

    name: str
    color: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Scale:
    """The map from values to view box units along one axis, and the ticks."""

    axis: Axis
    low: float
    high: float
    begin: float
    end: float
    ticks: list[float]

    def __call__(self, value: float) -> float:
        low, high, value = (self._transform(v) for v in (self.low, self.high, value))
        return self.begin + (self.end - self.begin) * (value - low) / (high - low)

    def _transform(self, value: float) -> float:
        return math.log10(value) if self.axis.logarithmic else value


def lines(
    series: Sequence[Series], x: Axis, y: Axis, mark: tuple[float, str] | None = None
) -> Markup:
    """A line chart; `mark` is an x and its label, drawn as a dotted vertical line.

    Points that are not finite are left out. Empty if no point is left.
    """
    finite = [
        Series(s.name, s.color, [p for p in s.points if all(map(math.isfinite, p))]) for s in series
    ]
    finite = [s for s in finite if s.points]
    if not finite:
        return Markup("")
    across = _scale(x, [p[0] for s in finite for p in s.points], LEFT, WIDTH - RIGHT)
    up = _scale(y, [p[1] for s in finite for p in s.points], HEIGHT - BOTTOM, TOP)
    parts = [_frame(across, up)]
    if mark and across.low <= mark[0] <= across.high:
        parts.append(_mark(across(mark[0]), mark[1]))
    parts += [_line(s, across, up) for s in finite]
    legend = [(s.color, s.name) for s in finite] if len(finite) > 1 else []
    return _figure(parts, _hover_data(finite, across, up), legend, y.label)


def reliability(bins: Sequence[Bin], labels: tuple[str, str], texts: Sequence[str]) -> Markup:
    """A reliability diagram: mean probability against accuracy, with 95% confidence intervals.

    Grey bars show the number of images in each bin. `labels` are those of the x and y axis, `texts`
    the hover text of each bin.
    """
    across = _scale(Axis(labels[0], short_percent, 0, 1), [0.0, 1.0], LEFT, WIDTH - RIGHT)
    up = _scale(Axis(labels[1], short_percent, 0, 1), [0.0, 1.0], HEIGHT - BOTTOM, TOP)
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
    for b, text in zip(bins, texts, strict=True):
        at, middle = across(b.probability), up(b.accuracy)
        low, high = up(b.interval[0]), up(b.interval[1])
        parts.append(f'<path class="reach" d="M{at:.1f} {low:.1f}V{high:.1f}"/>')
        parts.append(_dot(at, middle, "a", text, 4))
        spots.append({"x": round(at, 1), "text": text, "dots": [["a", round(middle, 1)]]})
    return _figure(parts, spots, [], labels[1])


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """About five ticks between `low` and `high`, at multiples of 1, 2 or 5 times a power of ten."""
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
        return _Scale(axis, low / 1.2, high * 1.2, begin, end, [10.0**k for k in powers])
    if high <= low:
        margin = 0.5 if axis.whole else abs(low) * 0.1 or 1.0
        low, high = (low, low + margin) if axis.low is not None else (low - margin, low + margin)
    elif not axis.whole:  # some room at the ends that are set by the data
        room = 0.06 * (high - low)
        low, high = low - room * (axis.low is None), high + room * (axis.high is None)
    return _Scale(axis, low, high, begin, end, ticks(low, high, axis.whole))


def _frame(across: _Scale, up: _Scale) -> str:
    """Ticks with their values, grid lines, and the labels of both axes."""
    bottom = HEIGHT - BOTTOM
    parts = []
    for value in up.ticks:
        at = up(value)
        if TOP - 1 <= at <= bottom + 1:
            parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
            label = escape(up.axis.text(value))
            parts.append(f'<text class="end" x="{LEFT - 6}" y="{at + 4:.1f}">{label}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {bottom}H{WIDTH - RIGHT}"/>')
    for value in across.ticks:
        at = across(value)
        if LEFT - 1 <= at <= WIDTH - RIGHT + 1:
            parts.append(f'<path class="axis" d="M{at:.1f} {bottom}v4"/>')
            label = escape(across.axis.text(value))
            parts.append(f'<text class="middle" x="{at:.1f}" y="{bottom + 17}">{label}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="middle" x="{middle}" y="{HEIGHT - 7}">{escape(across.axis.label)}</text>'
    )
    return "".join(parts)


def _line(series: Series, across: _Scale, up: _Scale) -> str:
    places = [(across(x), up(y)) for x, y in series.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    parts = [f'<path class="line {series.color}" d="M{path}"/>']
    if len(places) <= MAX_DOTS:
        for (x, y), (at, high) in zip(series.points, places, strict=True):
            text = f"{across.axis.text(x)}: {series.name} {up.axis.text(y)}"
            parts.append(_dot(at, high, series.color, text, 2.6))
    return "".join(parts)


def _dot(x: float, y: float, color: str, title: str, radius: float) -> str:
    return (
        f'<circle class="dot {color}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _mark(at: float, label: str) -> str:
    """A dotted vertical line with its label above the plot area."""
    where = "end" if at > WIDTH - 3 * RIGHT else "middle"
    right = at if where == "middle" else WIDTH - 1
    text = f'<text class="{where}" x="{right:.1f}" y="{TOP - 8}">{escape(label)}</text>'
    return f'<path class="mark" d="M{at:.1f} {TOP}V{HEIGHT - BOTTOM}"/>{text}'


def _hover_data(series: Sequence[Series], across: _Scale, up: _Scale) -> list[dict[str, object]]:
    """For every x its hover text, and the (colour, y) of the dots there."""
    spots = []
    for x in sorted({p[0] for s in series for p in s.points}):
        there = [(s, y) for s in series for at, y in s.points if at == x]
        values = ", ".join(f"{s.name} {up.axis.text(y)}".strip() for s, y in there)
        spots.append(
            {
                "x": round(across(x), 1),
                "text": f"{across.axis.label} {across.axis.text(x)}: {values}",
                "dots": [[s.color, round(up(y), 1)] for s, y in there],
            }
        )
    return spots


def _figure(
    parts: Sequence[str],
    spots: Sequence[dict[str, object]],
    legend: Sequence[tuple[str, str]],
    name: str,
) -> Markup:
    """The SVG with its title and legend above, and an output for the hover text below."""
    keys = "".join(
        f'<span class="key"><i class="{color}"></i>{escape(text)}</span>' for color, text in legend
    )
    hover = escape(json.dumps(spots, ensure_ascii=False, separators=(",", ":")))
    return Markup(
        f'<figure class="chart"><figcaption><b>{escape(name)}</b>{keys}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name)}" '
        f'data-top="{TOP}" data-bottom="{HEIGHT - BOTTOM}" data-read="{hover}">{"".join(parts)}'
        '</svg><output class="read small quiet"></output></figure>'
    )
