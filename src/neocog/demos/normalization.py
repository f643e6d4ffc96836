"""Standardisation: zero mean and unit standard deviation."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from neocog.errors import UsageError
from neocog.json_fields import JsonRecord


@dataclass(frozen=True)
class Standardized(JsonRecord):
    """The mean and the sample standard deviation of some numbers, and the standardised numbers."""

    mean: float
    std: float
    normalized: list[float]


def standardize(numbers: Sequence[float]) -> Standardized:
    """Subtract the mean and divide by the sample standard deviation.

    Raises UsageError for fewer than two numbers, numbers that are not finite, or equal numbers.
    """
    problem = ""
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)):
        problem = "Normalisation needs two numbers or more, all of them finite."
    elif min(numbers) == max(numbers):
        problem = "The numbers do not differ: their standard deviation is 0."
    if problem:
        raise UsageError(problem, "For example: neocog demo normalization 16 48 27 238 12")
    mean, std = statistics.fmean(numbers), statistics.stdev(numbers)
    return Standardized(mean, std, [(x - mean) / std for x in numbers])
