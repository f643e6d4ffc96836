import numpy as np
import pytest

from neocog.metrics.rejection import rejected, rejection_for_error


def test_the_rule_of_1998_looks_at_the_largest_output():
    outputs = np.array([[-1.0, -9.0], [-30.0, -31.0], [-6.0, -5.0]])
    assert rejected(outputs, least=-5.5).tolist() == [False, True, False]


def test_the_rule_of_1990_looks_at_the_second_too():
    outputs = np.array([[0.9, -1.0, -1.0], [0.9, 0.5, -1.0], [0.9, 0.1, -1.0], [0.2, -1, -1]])
    found = rejected(outputs, least=0.3, most_second=0.3, apart=0.85)
    assert found.tolist() == [False, True, True, True]


def test_the_least_share_is_refused():
    """Ten images, sure in falling order; the fifth and the last are wrong."""
    largest = np.arange(10.0, 0.0, -1.0)
    correct = np.array([True] * 4 + [False] + [True] * 4 + [False])
    assert rejection_for_error(largest, correct, 0.2) == (0.0, 1.0)
    assert rejection_for_error(largest, correct, 0.12) == pytest.approx((0.1, 2.0))
    assert rejection_for_error(largest, correct, 0.0) == pytest.approx((0.6, 7.0))
    assert rejection_for_error(largest, ~np.ones(10, dtype=bool), 0.1) is None


def test_images_of_the_same_output_are_refused_together():
    largest = np.array([3.0, 2.0, 2.0, 2.0])
    correct = np.array([True, True, True, False])
    assert rejection_for_error(largest, correct, 0.0) == pytest.approx((0.75, 3.0))


def test_against_trying_every_threshold():
    random = np.random.default_rng(0)
    largest = random.integers(0, 40, 300) / 7
    correct = random.random(300) < largest / largest.max()
    for error in (0.05, 0.1, 0.3):
        shares = [
            np.mean(largest < t)
            for t in np.unique(largest)
            if np.mean(~correct[largest >= t]) <= error
        ]
        found = rejection_for_error(largest, correct, error)
        assert found is None if not shares else found[0] == pytest.approx(min(shares))
