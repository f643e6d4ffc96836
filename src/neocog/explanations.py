"""Explanations of a classifier's predictions: image files in, arrays and tensors out.

`explain` takes any network and knows no classifier, and nothing here draws, so that a page, a web
server or a notebook can show the same explanation in its own way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from neocog.classifier import Classifier, Prediction
from neocog.data.decode import ignore_pillow_warnings, read_image
from neocog.data.preprocess import CropInfo
from neocog.errors import NeocogError, unknown
from neocog.explain import explanation
from neocog.explain.explanation import Explanation
from neocog.explain.gradcam import default_layer, grad_cam
from neocog.progress import Progress, no_progress

TOP = 5  # classes that are reported

Source = tuple[str, Path | bytes]  # the name to report; a file, or the content of a file


@dataclass(frozen=True)
class ExplainRequest:
    """The layer for Grad-CAM and the class to explain; None is the default of each.

    The default layer is that of `gradcam.default_layer`, the default class the predicted one.
    """

    layer: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class ImageExplanation:
    """The explanation of one image.

    Attributes:
        prediction: With the `TOP` classes.
        label: The explained class.
        original: The decoded image, uint8, (H, W, C).
        crop: Which part of the original the network's input shows.
        prepared: The network's input before normalisation, uint8, (h, w, C).
        explanation: For the class `label`.
    """

    prediction: Prediction
    label: str
    original: NDArray[np.uint8]
    crop: CropInfo
    prepared: NDArray[np.uint8]
    explanation: Explanation


def resolve(classifier: Classifier, request: ExplainRequest) -> ExplainRequest:
    """The request with the default layer filled in, which is None without feature maps.

    Raises UsageError for an unknown class, an unknown layer or one without feature maps.
    """
    if request.label is not None and request.label not in classifier.classes:
        raise unknown("class", request.label, classifier.classes)
    baseline = classifier.inputs(empty_image(classifier)[None])
    if request.layer is None:
        return ExplainRequest(default_layer(classifier.model, baseline), request.label)
    # The check is a pass with an empty image, so that no work is lost on a wrong layer.
    grad_cam(classifier.model, baseline, torch.zeros(1, dtype=torch.long), request.layer)
    return request


def explain_images(
    classifier: Classifier,
    sources: Sequence[Source],
    request: ExplainRequest,
    progress: Progress = no_progress,
) -> Iterator[ImageExplanation | Prediction]:
    """Explain each image in turn; an image that cannot be used becomes a Prediction with its error.

    `request` is one that `resolve` returned. It is a generator, since the feature maps of one photo
    can take 100 MB. `progress` is called before each image; its stage is the name of the image.
    """
    for index, (name, source) in enumerate(sources):
        progress(name, index, len(sources))
        try:
            yield explain_image(classifier, name, source, request)
        except NeocogError as error:
            yield Prediction(name, error=error.message)


def explain_image(
    classifier: Classifier, name: str, source: Path | bytes, request: ExplainRequest
) -> ImageExplanation:
    """Explain the prediction of one image, called `name` in the result.

    Raises NeocogError for an image that cannot be decoded or prepared.
    """
    preprocessing = classifier.preprocessing
    with ignore_pillow_warnings():
        original = read_image(source, preprocessing.shrink_to)
        prepared = preprocessing.transform_image(original)
        crop = preprocessing.crop_info(original)
    probabilities = classifier.probabilities(prepared[None])[0]
    prediction = classifier.describe(name, probabilities, TOP)
    label = request.label or prediction.label
    assert label is not None, "a prediction without an error has a label"
    image, baseline = classifier.inputs(np.stack([prepared, empty_image(classifier)]))
    target = classifier.classes.index(label)
    result = explanation.explain_image(classifier.model, image, baseline, target, request.layer)
    return ImageExplanation(prediction, label, original, crop, prepared, result)


def empty_image(classifier: Classifier) -> NDArray[np.uint8]:
    """An image (h, w, C) without content: black for light on dark images, else the mean colour."""
    preprocessing = classifier.preprocessing
    is_black = preprocessing.fit == "digit" or preprocessing.dark_background
    color = [0 if is_black else round(255 * mean) for mean in preprocessing.mean]
    shape = (*preprocessing.image_size, preprocessing.channels)
    return np.broadcast_to(np.array(color, np.uint8), shape).copy()
