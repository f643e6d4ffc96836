"""The tutorials' example of zero-mean normalisation."""

import statistics
from collections.abc import Sequence
from typing import Any

from neocog.errors import UsageError


def standardise(numbers: Sequence[float]) -> dict[str, Any]:
    """The numbers less their mean, divided by their sample standard deviation, and both of these.

    Raises UsageError where there are fewer than two, or all are the same.
    """
    if len(numbers) < 2 or min(numbers) == max(numbers):
        raise UsageError(
            "Numbers that do not differ have a standard deviation of 0, and nothing to divide by.",
            "For example: neocog demo normalization 16 48 27 238 12",
        )
    mean, std = statistics.fmean(numbers), statistics.stdev(numbers)
    return {"mean": mean, "std": std, "normalized": [(x - mean) / std for x in numbers]}
