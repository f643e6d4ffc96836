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


@pytest.mark.parametrize("rule", [DIGIT, COLOUR], ids=["grey", "colour"])
def test_normalize_is_torchvisions_to_tensor_and_normalize(rule):
    images = np.random.default_rng(0).integers(
        0, 256, (5, *rule.image_size, rule.channels), dtype=np.uint8
    )
    steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(rule.mean, rule.std)]
    reference = torch.stack([v2.Compose(steps)(image) for image in images])
    ours = rule.normalize(torch.tensor(images))
    assert ours.shape == reference.shape
    assert torch.allclose(ours, reference, atol=1e-5)


def test_normalize_leaves_its_input_alone():
    floats = torch.full((2, 28, 28, 1), 255.0)
    DIGIT.normalize(floats)
    assert (floats == 255).all()


def test_a_data_sets_own_image_is_kept_to_the_bit(mnist5k):
    for image in mnist5k.test.images[:300]:
        assert (DIGIT.fit_image(np.repeat(image, 3, axis=2)) == image).all()


def test_survives_json():
    assert Preprocessing.from_json(json.loads(json.dumps(DIGIT.to_json()))) == DIGIT
    with pytest.raises(NeocogError, match="not a preprocessing"):
        Preprocessing.from_json({"size": 28})


def test_square_pads_with_the_grounds_colour_and_keeps_the_aspect():
    image = np.full((100, 50, 3), (10, 200, 30), dtype=np.uint8)
    image[40:60, 20:30] = (255, 0, 0)
    fitted = COLOUR.fit_image(image)
    assert fitted.shape == (32, 32, 3)
    assert fitted[0, 0].tolist() == [10, 200, 30]
    red = fitted[:, :, 0] > 128
    rows, columns = np.nonzero(red)
    assert 1.5 < np.ptp(rows) / np.ptp(columns) < 2.6


def test_a_light_ground_is_turned_dark_where_the_rule_says_so():
    rule = Preprocessing((28, 28), 1, "square", (0.3,), (0.3,), dark_background=True)
    white = np.full((280, 280, 3), 250, dtype=np.uint8)
    white[80:200, 80:200] = 40
    fitted = rule.fit_image(white)[:, :, 0]
    assert fitted[0, 0] < 10
    assert fitted[14, 14] > 200


@pytest.mark.parametrize("wrong", [{"fit": "stretch"}, {"mean": (0.5, 0.5)}])
def test_wrong_rules_are_refused(wrong):
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


def test_digits_get_a_wider_dark_border_in_a_larger_field(mnist5k):
    """LeNet-5 of 1998 takes the 28 x 28 in the middle of 32 x 32."""
    rule = Preprocessing((32, 32), 1, "digit", (0.1,), (0.8,))
    images = mnist5k.test.images[:20]
    wide = rule.fit_set(images)
    assert wide.shape == (20, 32, 32, 1)
    assert (wide[:, 2:-2, 2:-2] == images).all() and wide.sum() == images.sum()
    for image, expected in zip(images, wide, strict=True):  # the same image, from a file
        assert (rule.fit_image(np.repeat(image, 3, axis=2)) == expected).all()


def test_a_sets_colour_images_are_made_larger_as_new_ones_are():
    rule = Preprocessing((67, 67), 3, "square", (0.5,) * 3, (0.5,) * 3)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    larger = rule.fit_set(images)
    assert larger.shape == (4, 67, 67, 3)
    assert all((rule.fit_image(i) == e).all() for i, e in zip(images, larger, strict=True))
    assert COLOUR.fit_set(images) is images


def test_the_answer_to_a_mirrored_image_is_averaged_where_told():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))
    images = torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8)
    plain = predict_logits(InferenceModule(model, COLOUR), images)
    mirrored = predict_logits(InferenceModule(model, COLOUR), images.flip(2))
    found = predict_logits(InferenceModule(model, replace(COLOUR, mirrored=True)), images)
    assert torch.allclose(found, (plain + mirrored) / 2, atol=1e-5)


def test_crop_is_a_resize_and_the_middle_of_it():
    """Against torchvision's Resize and CenterCrop, in one step instead of two."""
    from torchvision.transforms import v2

    rule = Preprocessing((64, 64), 3, "crop", (0.5,) * 3, (0.5,) * 3, resize=73)
    random = np.random.default_rng(0)
    for height, width in ((300, 200), (150, 400), (73, 73)):
        smooth = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        image = smooth.resize((width, height), Image.Resampling.BICUBIC)
        expected = v2.CenterCrop(64)(v2.Resize(73)(image))
        found = rule.fit_image(np.asarray(image)).astype(int)
        assert np.abs(found - np.asarray(expected)).mean() < 3
    assert rule.fit_image(np.asarray(image)[:, :3]).shape == (64, 64, 3)


def test_what_is_taken_of_a_image_is_told():
    paper = np.full((100, 200, 3), 220, np.uint8)
    paper[20:80, 40:60] = 10
    digit = Preprocessing((28, 28), 1, "digit", (0.5,), (0.5,))
    taken = digit.taken(paper)
    assert taken.inverted and not taken.as_it_is
    assert np.allclose(taken.box, (0.2, 0.2, 0.3, 0.8), atol=0.02)
    assert not digit.taken(255 - paper).inverted
    assert digit.taken(np.repeat(digit.fit_image(paper), 3, 2)).as_it_is
    crop = Preprocessing((224, 224), 3, "crop", (0.5,) * 3, (0.5,) * 3, resize=256)
    assert np.allclose(crop.taken(paper).box, (0.28125, 0.0625, 0.71875, 0.9375))
    square = Preprocessing((32, 32), 1, "square", (0.5,), (0.5,), dark_background=True)
    assert square.taken(paper).inverted and square.taken(paper).box == (0, 0, 1, 1)
