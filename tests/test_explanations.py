"""Explanations of a classifier's predictions, before anything is drawn."""

import numpy as np
import pytest
import torch
from PIL import Image

from neocog import explanations
from neocog.classifier import Prediction, load
from neocog.errors import NeocogError, UsageError
from neocog.explanations import ExplainRequest


@pytest.fixture(scope="module")
def classifier(quick_run):
    return load(quick_run.path)


@pytest.fixture
def digit(mnist5k, tmp_path):
    path = tmp_path / "digit.png"
    Image.fromarray(255 - np.asarray(mnist5k.test.images[0])[:, :, 0]).resize((140, 140)).save(path)
    return path


def same(prediction, expected):
    """Whether two predictions agree up to rounding, which differs with the size of the batch."""
    (labels, values), (expected_labels, expected_values) = (
        zip(*p.top, strict=True) for p in (prediction, expected)
    )
    assert values == pytest.approx(expected_values, abs=1e-6)
    return (prediction.path, labels[0]) == (expected.path, expected_labels[0])


def test_an_image_is_explained_by_arrays_and_tensors(classifier, digit):
    request = explanations.resolve(classifier, ExplainRequest())
    assert request == ExplainRequest(layer="c3")
    result = explanations.explain_image(classifier, "a digit", digit, request)
    (expected,) = classifier.predict([("a digit", digit)], explanations.TOP)
    assert same(result.prediction, expected) and result.label == expected.label
    assert result.original.shape == (140, 140, 3) and result.prepared.shape == (28, 28, 1)
    assert result.crop.inverted
    assert result.explanation.gradcam.shape == (28, 28)
    logits = result.explanation.feature_maps["output"]
    assert torch.argmax(logits) == classifier.classes.index(expected.label)


def test_a_requested_class_is_explained_and_the_prediction_stays(classifier, digit):
    request = explanations.resolve(classifier, ExplainRequest(label="3"))
    result = explanations.explain_image(classifier, "digit", digit, request)
    assert result.label == "3" and result.explanation.target == classifier.classes.index("3")
    (expected,) = classifier.predict([("digit", digit)], explanations.TOP)
    assert same(result.prediction, expected)


def test_an_unusable_image_becomes_a_prediction_with_its_error(classifier, digit):
    sources = [("empty", b""), ("digit", digit)]
    calls = []
    results = explanations.explain_images(
        classifier, sources, ExplainRequest(layer="c3"), lambda *args: calls.append(args)
    )
    bad, good = results
    assert isinstance(bad, Prediction) and bad.path == "empty" and bad.error
    assert good.prediction.path == "digit"
    assert calls == [("empty", 0, 2), ("digit", 1, 2)]
    with pytest.raises(NeocogError):
        explanations.explain_image(classifier, "empty", b"", ExplainRequest())


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ExplainRequest(layer="c9"), "no layer 'c9'"),
        (ExplainRequest(layer="f6"), "f6 has no feature maps"),
        (ExplainRequest(label="eleven"), "no class 'eleven'"),
    ],
)
def test_unknown_layers_and_classes_are_refused(classifier, request_, message):
    with pytest.raises(UsageError, match=message):
        explanations.resolve(classifier, request_)
