"""Numbers as text: probabilities, percentages, counts, durations."""

from neocog import wording
from neocog.rendering.i18n import LANGUAGES

NEAREST = 1e-6  # to 0 and 1: float32 rounds probabilities
_UNITS = {"seconds": ("s", "秒"), "minutes": ("min", "分钟"), "hours": ("h", "小时")}


def format_probability(value: float) -> str:
    """A probability that a network gives, 0..1, as a percentage: "> 99.9%", never 100% or 0%.

    float32 rounds such probabilities, so that 0 and 1 only mean near to them.
    """
    return wording.percent(min(max(value, NEAREST), 1 - NEAREST))


def short_percent(value: float) -> str:
    """A fraction, 0..1, as a percentage with up to four digits: "5%", "99.5%", "> 99.99%"."""
    nearly = 0 < value < 1e-4 or 1 - 1e-4 < value < 1
    return wording.percent(value, 2) if nearly else f"{100 * value:.4g}%"


def plain(value: float) -> str:
    """A number with three significant digits, or with thousands separators: "0.0123", "8,192"."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def format_count(value: float) -> str:
    """A count with three significant digits and a unit: "832", "57.5K", "3.63G", "1.3T"."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")):
        if value >= 0.9995 * size:  # 999,950 is 1M, not 1e+03K
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def format_duration(seconds: float, lang: str = "en", decimals: int = 1) -> str:
    """A duration in seconds, minutes or hours: "1.2 s", "14.0 min", "2.3 h".

    Without decimals the largest unit is the minute: whole hours would be too coarse.
    """
    if seconds < 120:
        value, unit = seconds, "seconds"
    elif seconds < 7200 or not decimals:
        value, unit = seconds / 60, "minutes"
    else:
        value, unit = seconds / 3600, "hours"
    return f"{value:.{decimals}f} {_UNITS[unit][LANGUAGES.index(lang)]}"
