import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from neocog.metrics.accuracy import wilson_interval
from neocog.metrics.calibration import expected_calibration_error, reliability, uncertainty


def predictions(n=500, seed=0):
    random = np.random.default_rng(seed)
    confidence = random.random(n).astype(np.float32)
    return confidence, random.random(n) < confidence**2


@pytest.mark.parametrize("bins", [1, 5, 10, 15])
def test_bins_are_those_of_scikit_learn(bins):
    confidence, correct = predictions()
    confidence[:4] = 0.0, 1.0, 0.5, 0.2  # on the edges
    diagram = reliability(confidence, correct, bins)
    fraction, mean = calibration_curve(correct, confidence, n_bins=bins)
    np.testing.assert_allclose([b.accuracy for b in diagram], fraction)
    np.testing.assert_allclose([b.probability for b in diagram], mean, rtol=1e-6)
    assert sum(b.n for b in diagram) == len(confidence)


def test_a_bin_has_its_bounds_and_a_wilson_interval():
    diagram = reliability(np.array([0.95, 0.99, 1.0, 0.31]), np.array([True, False, True, True]))
    assert [(round(b.low, 9), round(b.high, 9), b.n) for b in diagram] == [
        (0.3, 0.4, 1),
        (0.9, 1, 3),
    ]
    assert diagram[1].interval == wilson_interval(2, 3)


def test_the_calibration_error_equals_a_mean_over_images():
    confidence, correct = predictions(seed=1)
    bin_of = np.minimum((confidence * 10).astype(int), 9)  # no probability lies on an edge
    gaps = [
        abs(np.mean(correct[bin_of == k]) - np.mean(confidence[bin_of == k], dtype=np.float64))
        for k in bin_of
    ]
    error = expected_calibration_error(reliability(confidence, correct))
    assert error == pytest.approx(np.mean(gaps), abs=1e-6)


def test_calibrated_probabilities_have_no_error():
    confidence = np.repeat([0.25, 0.75], 4)
    correct = np.array([True, False, False, False, True, True, True, False])
    assert expected_calibration_error(reliability(confidence, correct)) == pytest.approx(0)
    assert expected_calibration_error(reliability(confidence, ~correct)) == pytest.approx(0.5)


def test_no_predictions_give_no_bins():
    none = reliability(np.zeros(0), np.zeros(0, dtype=bool))
    assert none == []
    assert expected_calibration_error(none) == 0


def test_uncertainty_distinguishes_probabilities_rounded_to_1():
    rows = np.array([[1.0, 1e-12], [1.0, 1e-30], [0.7, 0.3], [0.2, 0.8]], dtype=np.float32)
    assert np.allclose(uncertainty(rows)[2:], [0.3, 0.2])
    assert uncertainty(rows)[1] < uncertainty(rows)[0] < 1e-9
