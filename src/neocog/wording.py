"""Numbers in sentences: counts with their nouns, and percentages not rounded to 0% or 100%."""

IRREGULAR_PLURALS = {"class": "classes", "copy": "copies"}
TOLERANCE = 1e-9  # fractions closer to 0 or 1 count as equal to it


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, such as `1 image`, `2 images` or `1,000 test images`."""
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Return the plural of a noun phrase, such as `test images`."""
    words, _, last = noun.rpartition(" ")
    return f"{words} {IRREGULAR_PLURALS.get(last, last + 's')}".strip()


def percent(fraction: float, decimals: int = 1) -> str:
    """Format a fraction, 0..1, as a percentage.

    A fraction that would be rounded to 0% or 100% becomes `< 0.1%` or `> 99.9%`.
    """
    text = f"{fraction:.{decimals}%}"
    step = 10.0**-decimals
    if text == f"{1:.{decimals}%}" and fraction < 1 - TOLERANCE:
        return f"> {100 - step:.{decimals}f}%"
    if text == f"{0:.{decimals}%}" and fraction > TOLERANCE:
        return f"< {step:.{decimals}f}%"
    return text
