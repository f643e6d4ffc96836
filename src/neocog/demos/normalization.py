"""The tutorials' example of zero-mean normalisation."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from neocog.errors import UsageError


def standardise(numbers: Sequence[float]) -> dict[str, Any]:
    """The numbers less their mean, divided by their sample standard deviation, and both of these.

    Raises UsageError where there are fewer than two, one is not finite, or all are the same.
    """
    trouble = ""
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)):
        trouble = "Normalisation needs two numbers or more, all of them finite."
    elif min(numbers) == max(numbers):
        trouble = (
            "Numbers that do not differ have a standard deviation of 0: nothing divides by it."
        )
    if trouble:
        raise UsageError(trouble, "For example: neocog demo normalization 16 48 27 238 12")
    mean, std = statistics.fmean(numbers), statistics.stdev(numbers)
    return {"mean": mean, "std": std, "normalized": [(x - mean) / std for x in numbers]}
