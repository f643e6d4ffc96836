import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from neocog.data import Preprocessing
from neocog.errors import NeocogError
from neocog.models.inference import InferenceModule, predict_logits

DIGIT = Preprocessing((28, 28), 1, "digit", (0.1307,), (0.3081,))
COLOUR = Preprocessing((32, 32), 3, "square", (0.48, 0.46, 0.41), (0.27, 0.26, 0.28))


@pytest.mark.parametrize("preprocessing", [DIGIT, COLOUR], ids=["grey", "colour"])
def test_normalize_equals_torchvision(preprocessing):
    images = np.random.default_rng(0).integers(
        0, 256, (5, *preprocessing.image_size, preprocessing.channels), dtype=np.uint8
    )
    steps = [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(preprocessing.mean, preprocessing.std),
    ]
    reference = torch.stack([v2.Compose(steps)(image) for image in images])
    ours = preprocessing.normalize(torch.tensor(images))
    assert ours.shape == reference.shape
    assert torch.allclose(ours, reference, atol=1e-5)


def test_normalize_does_not_change_its_input():
    floats = torch.full((2, 28, 28, 1), 255.0)
    DIGIT.normalize(floats)
    assert (floats == 255).all()


def test_an_image_of_the_dataset_is_unchanged_bit_for_bit(mnist5k):
    for image in mnist5k.test.images[:300]:
        assert (DIGIT.transform_image(np.repeat(image, 3, axis=2)) == image).all()


def test_json_round_trip():
    assert Preprocessing.from_json(json.loads(json.dumps(DIGIT.to_json()))) == DIGIT
    with pytest.raises(NeocogError, match="not a preprocessing"):
        Preprocessing.from_json({"size": 28})


def test_square_pads_with_the_background_colour_and_keeps_the_aspect_ratio():
    image = np.full((100, 50, 3), (10, 200, 30), dtype=np.uint8)
    image[40:60, 20:30] = (255, 0, 0)
    fitted = COLOUR.transform_image(image)
    assert fitted.shape == (32, 32, 3)
    assert fitted[0, 0].tolist() == [10, 200, 30]
    red = fitted[:, :, 0] > 128
    rows, columns = np.nonzero(red)
    assert 1.5 < np.ptp(rows) / np.ptp(columns) < 2.6


def test_a_light_background_is_inverted_with_dark_background():
    preprocessing = Preprocessing((28, 28), 1, "square", (0.3,), (0.3,), dark_background=True)
    white = np.full((280, 280, 3), 250, dtype=np.uint8)
    white[80:200, 80:200] = 40
    fitted = preprocessing.transform_image(white)[:, :, 0]
    assert fitted[0, 0] < 10
    assert fitted[14, 14] > 200


@pytest.mark.parametrize("wrong", [{"fit": "stretch"}, {"mean": (0.5, 0.5)}])
def test_invalid_preprocessing_is_refused(wrong):
    with pytest.raises(NeocogError):
        Preprocessing(
            **{
                "image_size": (28, 28),
                "channels": 1,
                "fit": "digit",
                "mean": (0.5,),
                "std": (0.5,),
                **wrong,
            }
        )


def test_digits_get_a_wider_border_in_a_larger_image(mnist5k):
    """LeNet-5 of 1998 has 28 x 28 digits in the middle of 32 x 32 images."""
    preprocessing = Preprocessing((32, 32), 1, "digit", (0.1,), (0.8,))
    images = mnist5k.test.images[:20]
    wide = preprocessing.transform_images(images)
    assert wide.shape == (20, 32, 32, 1)
    assert (wide[:, 2:-2, 2:-2] == images).all() and wide.sum() == images.sum()
    for image, expected in zip(images, wide, strict=True):  # the same image, from a file
        assert (preprocessing.transform_image(np.repeat(image, 3, axis=2)) == expected).all()


def test_colour_images_of_a_dataset_are_resized_like_new_ones():
    preprocessing = Preprocessing((67, 67), 3, "square", (0.5,) * 3, (0.5,) * 3)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    larger = preprocessing.transform_images(images)
    assert larger.shape == (4, 67, 67, 3)
    assert all(
        (preprocessing.transform_image(i) == e).all() for i, e in zip(images, larger, strict=True)
    )
    assert COLOUR.transform_images(images) is images


def test_mirrored_averages_the_predictions():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))
    images = torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8)
    plain = predict_logits(InferenceModule(model, COLOUR), images)
    mirrored = predict_logits(InferenceModule(model, COLOUR), images.flip(2))
    averaged = predict_logits(InferenceModule(model, replace(COLOUR, mirrored=True)), images)
    assert torch.allclose(averaged, (plain + mirrored) / 2, atol=1e-5)


def test_crop_equals_resize_and_centre_crop():
    """The reference is torchvision's Resize and CenterCrop, here in one step."""
    from torchvision.transforms import v2

    preprocessing = Preprocessing((64, 64), 3, "crop", (0.5,) * 3, (0.5,) * 3, resize=73)
    random = np.random.default_rng(0)
    for height, width in ((300, 200), (150, 400), (73, 73)):
        smooth = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        image = smooth.resize((width, height), Image.Resampling.BICUBIC)
        expected = v2.CenterCrop(64)(v2.Resize(73)(image))
        averaged = preprocessing.transform_image(np.asarray(image)).astype(int)
        assert np.abs(averaged - np.asarray(expected)).mean() < 3
    assert preprocessing.transform_image(np.asarray(image)[:, :3]).shape == (64, 64, 3)


def test_crop_info_describes_the_used_part():
    paper = np.full((100, 200, 3), 220, np.uint8)
    paper[20:80, 40:60] = 10
    digit = Preprocessing((28, 28), 1, "digit", (0.5,), (0.5,))
    crop_info = digit.crop_info(paper)
    assert crop_info.inverted and not crop_info.as_it_is
    assert np.allclose(crop_info.box, (0.2, 0.2, 0.3, 0.8), atol=0.02)
    assert not digit.crop_info(255 - paper).inverted
    assert digit.crop_info(np.repeat(digit.transform_image(paper), 3, 2)).as_it_is
    crop = Preprocessing((224, 224), 3, "crop", (0.5,) * 3, (0.5,) * 3, resize=256)
    assert np.allclose(crop.crop_info(paper).box, (0.28125, 0.0625, 0.71875, 0.9375))
    square = Preprocessing((32, 32), 1, "square", (0.5,), (0.5,), dark_background=True)
    assert square.crop_info(paper).inverted and square.crop_info(paper).box == (0, 0, 1, 1)
