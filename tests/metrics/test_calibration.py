import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from neocog.metrics.accuracy import wilson_interval
from neocog.metrics.calibration import expected_calibration_error, reliability, uncertainty


def answers(n=500, seed=0):
    random = np.random.default_rng(seed)
    claimed = random.random(n).astype(np.float32)
    return claimed, random.random(n) < claimed**2


@pytest.mark.parametrize("bins", [1, 5, 10, 15])
def test_bins_are_those_of_scikit_learn(bins):
    claimed, correct = answers()
    claimed[:4] = 0.0, 1.0, 0.5, 0.2  # on the edges
    found = reliability(claimed, correct, bins)
    share, mean = calibration_curve(correct, claimed, n_bins=bins)
    np.testing.assert_allclose([b.accuracy for b in found], share)
    np.testing.assert_allclose([b.probability for b in found], mean, rtol=1e-6)
    assert sum(b.n for b in found) == len(claimed)


def test_a_bin_says_where_it_lies_and_how_sure_it_is():
    found = reliability(np.array([0.95, 0.99, 1.0, 0.31]), np.array([True, False, True, True]))
    assert [(round(b.low, 9), round(b.high, 9), b.n) for b in found] == [(0.3, 0.4, 1), (0.9, 1, 3)]
    assert found[1].interval == wilson_interval(2, 3)


def test_the_mean_gap_against_a_sum_over_images():
    claimed, correct = answers(seed=1)
    place = np.minimum((claimed * 10).astype(int), 9)  # no probability lies on an edge
    gaps = [
        abs(np.mean(correct[place == k]) - np.mean(claimed[place == k], dtype=np.float64))
        for k in place
    ]
    error = expected_calibration_error(reliability(claimed, correct))
    assert error == pytest.approx(np.mean(gaps), abs=1e-6)


def test_who_claims_what_is_true_has_no_gap():
    claimed = np.repeat([0.25, 0.75], 4)
    correct = np.array([True, False, False, False, True, True, True, False])
    assert expected_calibration_error(reliability(claimed, correct)) == pytest.approx(0)
    assert expected_calibration_error(reliability(claimed, ~correct)) == pytest.approx(0.5)


def test_no_answers_no_bins():
    none = reliability(np.zeros(0), np.zeros(0, dtype=bool))
    assert none == []
    assert expected_calibration_error(none) == 0


def test_doubt_tells_certain_answers_apart():
    rows = np.array([[1.0, 1e-12], [1.0, 1e-30], [0.7, 0.3], [0.2, 0.8]], dtype=np.float32)
    assert np.allclose(uncertainty(rows)[2:], [0.3, 0.2])
    assert uncertainty(rows)[1] < uncertainty(rows)[0] < 1e-9
