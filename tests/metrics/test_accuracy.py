import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix as reference_matrix
from sklearn.metrics import precision_recall_fscore_support

from neocog.metrics.accuracy import (
    confusion_matrix,
    metrics_by_class,
    wilson_interval,
    worst_confusions,
)

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 7, 500)
PREDICTED = np.where(RANDOM.random(500) < 0.7, LABELS, RANDOM.integers(0, 6, 500))


@pytest.mark.parametrize(
    ("correct", "n"), [(0, 10), (10, 10), (7, 10), (980, 1000), (9945, 10000), (1, 1)]
)
def test_wilson_interval_equals_scipys(correct, n):
    reference = binomtest(correct, n).proportion_ci(method="wilson")
    assert wilson_interval(correct, n) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_the_interval_of_no_images_is_0_to_1():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_confusion_matrix_equals_scikit_learns():
    assert (confusion_matrix(LABELS, PREDICTED, 7) == reference_matrix(LABELS, PREDICTED)).all()


def test_metrics_by_class_equal_scikit_learns():
    precision, recall, f1, n = precision_recall_fscore_support(LABELS, PREDICTED, zero_division=0.0)
    for k, metrics in enumerate(metrics_by_class(confusion_matrix(LABELS, PREDICTED, 7))):
        assert (metrics.precision, metrics.recall, metrics.f1) == pytest.approx(
            (precision[k], recall[k], f1[k])
        )
        assert metrics.n == n[k]


def test_worst_confusions_are_sorted_by_count():
    matrix = np.array([[9, 0, 2], [5, 9, 0], [2, 1, 9]])
    assert worst_confusions(matrix) == [(1, 0, 5), (0, 2, 2), (2, 0, 2), (2, 1, 1)]
    assert worst_confusions(matrix, limit=1) == [(1, 0, 5)]
    assert worst_confusions(np.eye(3, dtype=np.int64)) == []


@pytest.mark.parametrize("n", [1, 10, 12, 17, 153, 1000, 10_000])
def test_a_proportion_lies_in_its_interval(n):
    assert wilson_interval(n, n)[1] == 1.0 and wilson_interval(0, n)[0] == 0.0
