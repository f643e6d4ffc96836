"""One module from uint8 images to probabilities; every use of a trained network runs it."""

import pytest
import torch

from neocog.classifier import load
from neocog.models.inference import InferenceModule, predict_logits


@pytest.fixture(scope="module")
def classifier(quick_run):
    return load(quick_run.path, device="cpu")


def test_it_computes_what_its_parts_compute(classifier, mnist5k):
    images = torch.tensor(mnist5k.test.images[:8])
    inputs = classifier.preprocessing.normalize(images)
    with torch.no_grad():
        expected = classifier.model.eval()(inputs)
        assert torch.equal(classifier.inference(images), expected)
        softened = InferenceModule(classifier.model, classifier.preprocessing, temperature=2.0)
        assert torch.equal(softened(images), expected / 2)
        assert torch.allclose(softened.probabilities(images), torch.softmax(expected / 2, 1))


def test_batches_do_not_change_the_logits_and_the_mode_is_restored(classifier, mnist5k):
    images = torch.tensor(mnist5k.test.images[:700])
    classifier.model.train()
    done = []
    logits = predict_logits(classifier.inference, images, lambda *facts: done.append(facts))
    assert classifier.model.training and done == [("predict", 500, 700), ("predict", 700, 700)]
    classifier.model.eval()
    with torch.no_grad():
        assert torch.allclose(logits[600:], classifier.inference(images[600:]), atol=1e-5)


def test_no_images_give_no_logits(classifier, mnist5k):
    assert predict_logits(classifier.inference, mnist5k.test.images[:0]).shape[0] == 0
