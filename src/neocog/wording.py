"""Numbers in sentences: counts with their nouns, and shares that are not rounded to certainty."""

SPELLED = {"class": "classes", "copy": "copies"}  # plurals that do not only add an s
EXACT = 1e-9  # a share this near to 0 or 1 is that


def counted(count: int, noun: str) -> str:
    """A count and its noun: `1 image`, `2 images`, `1,000 test images`."""
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a noun, of whose words the last is changed."""
    words, _, last = noun.rpartition(" ")
    return f"{words} {SPELLED.get(last, last + 's')}".strip()


def percent(share: float, decimals: int = 1) -> str:
    """A share, 0..1, as a percentage: 0% and 100% only where it is exactly that.

    What would be rounded to them is said to be near: `> 99.9%`, `< 0.1%`.
    """
    text = f"{share:.{decimals}%}"
    step = 10.0**-decimals
    if text == f"{1:.{decimals}%}" and share < 1 - EXACT:
        return f"> {100 - step:.{decimals}f}%"
    if text == f"{0:.{decimals}%}" and share > EXACT:
        return f"< {step:.{decimals}f}%"
    return text
