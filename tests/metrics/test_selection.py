import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import log_loss

from neocog.metrics.selection import (
    log_losses,
    one_standard_error,
    paired_differences,
    smoothing_for,
)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_log_loss_equals_scikit_learns(classes, smoothing):
    """With smoothing it is the weighted mean over every possible label of each image."""
    random = np.random.default_rng(classes)
    logits, labels = random.normal(0, 4, (40, classes)), random.integers(0, classes, 40)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    weights = np.full((40, classes), smoothing / (classes - 1))
    weights[np.arange(40), labels] = 1 - smoothing
    expected = log_loss(
        np.tile(np.arange(classes), 40),
        np.repeat(probabilities, classes, 0),
        sample_weight=weights.ravel(),
        labels=range(classes),
    )
    assert log_losses(logits, labels, smoothing).mean() == pytest.approx(expected)


def test_large_logits_give_finite_losses():
    losses = log_losses(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]))
    assert losses.tolist() == [0.0, 1e4]


def test_standard_error_of_the_difference_equals_scipys():
    losses = np.random.default_rng(0).gamma(2, size=(4, 30)) + np.array([[3], [1], [0], [2]])
    means, errors = paired_differences(losses)
    assert means.argmin() == 2 and means[2] == errors[2] == 0
    for k in range(4):
        assert means[k] == pytest.approx(losses[k].mean() - losses[2].mean())
        assert errors[k] == pytest.approx(scipy.stats.sem(losses[k] - losses[2]))


def test_the_first_fit_within_one_standard_error_is_selected():
    random = np.random.default_rng(1)
    best = random.gamma(2, size=200)
    noise = random.normal(0, 1, (2, 200))
    worse, equal = best + 0.5 + noise[0], best + noise[1] - noise[1].mean() + 0.05
    assert one_standard_error(np.stack([worse, equal, best])) == 1
    assert one_standard_error(np.stack([best, equal, worse])) == 0
    assert one_standard_error(np.stack([worse, best])) == 1
    assert one_standard_error(np.array([[2.0], [1.0]])) == 1  # one image has no spread


def test_smoothing_penalises_overconfidence_if_all_are_correct():
    """All predictions are correct: plain log loss selects the largest scale, smoothed does not."""
    labels = np.arange(40) % 2
    direction = np.where(np.eye(2)[labels] == 1, 1.0, -1.0)
    scales = (0.5, 1.0, 2.0, 4.0, 8.0)
    plain = [log_losses(s * direction, labels).mean() for s in scales]
    smoothed = [log_losses(s * direction, labels, smoothing_for(40)).mean() for s in scales]
    assert int(np.argmin(plain)) == 4
    assert int(np.argmin(smoothed)) == 2  # a probability of 98.2%: one of 55
    assert 1 - smoothing_for(40) == pytest.approx(40 / 41)
