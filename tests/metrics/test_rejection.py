import numpy as np
import pytest

from neocog.metrics.rejection import rejected, rejection_for_error


def test_the_rule_of_1998_uses_the_largest_output():
    outputs = np.array([[-1.0, -9.0], [-30.0, -31.0], [-6.0, -5.0]])
    assert rejected(outputs, threshold=-5.5).tolist() == [False, True, False]


def test_the_rule_of_1990_also_uses_the_second_largest():
    outputs = np.array([[0.9, -1.0, -1.0], [0.9, 0.5, -1.0], [0.9, 0.1, -1.0], [0.2, -1, -1]])
    mask = rejected(outputs, threshold=0.3, max_second=0.3, min_margin=0.85)
    assert mask.tolist() == [False, True, True, True]


def test_the_smallest_fraction_is_rejected():
    """Ten images in order of confidence; the fifth and the last are wrong."""
    largest = np.arange(10.0, 0.0, -1.0)
    correct = np.array([True] * 4 + [False] + [True] * 4 + [False])
    assert rejection_for_error(largest, correct, 0.2) == (0.0, 1.0)
    assert rejection_for_error(largest, correct, 0.12) == pytest.approx((0.1, 2.0))
    assert rejection_for_error(largest, correct, 0.0) == pytest.approx((0.6, 7.0))
    assert rejection_for_error(largest, ~np.ones(10, dtype=bool), 0.1) is None


def test_images_with_equal_outputs_are_rejected_together():
    largest = np.array([3.0, 2.0, 2.0, 2.0])
    correct = np.array([True, True, True, False])
    assert rejection_for_error(largest, correct, 0.0) == pytest.approx((0.75, 3.0))


def test_equals_a_search_over_all_thresholds():
    random = np.random.default_rng(0)
    largest = random.integers(0, 40, 300) / 7
    correct = random.random(300) < largest / largest.max()
    for error in (0.05, 0.1, 0.3):
        fractions = [
            np.mean(largest < t)
            for t in np.unique(largest)
            if np.mean(~correct[largest >= t]) <= error
        ]
        rejection = rejection_for_error(largest, correct, error)
        assert rejection is None if not fractions else rejection[0] == pytest.approx(min(fractions))
