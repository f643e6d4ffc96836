import json

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from neocog.data import Preprocessing
from neocog.errors import NeocogError

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


def test_a_data_sets_own_picture_is_kept_to_the_bit(mnist5k):
    for image in mnist5k.test.images[:300]:
        assert (DIGIT.fit_picture(np.repeat(image, 3, axis=2)) == image).all()


def test_survives_json():
    assert Preprocessing.from_json(json.loads(json.dumps(DIGIT.to_json()))) == DIGIT
    with pytest.raises(NeocogError, match="not a preprocessing"):
        Preprocessing.from_json({"size": 28})


def test_square_pads_with_the_grounds_colour_and_keeps_the_aspect():
    picture = np.full((100, 50, 3), (10, 200, 30), dtype=np.uint8)
    picture[40:60, 20:30] = (255, 0, 0)
    fitted = COLOUR.fit_picture(picture)
    assert fitted.shape == (32, 32, 3)
    assert fitted[0, 0].tolist() == [10, 200, 30]
    red = fitted[:, :, 0] > 128
    rows, columns = np.nonzero(red)
    assert 1.5 < np.ptp(rows) / np.ptp(columns) < 2.6


def test_a_light_ground_is_turned_dark_where_the_rule_says_so():
    rule = Preprocessing((28, 28), 1, "square", (0.3,), (0.3,), dark_background=True)
    white = np.full((280, 280, 3), 250, dtype=np.uint8)
    white[80:200, 80:200] = 40
    fitted = rule.fit_picture(white)[:, :, 0]
    assert fitted[0, 0] < 10
    assert fitted[14, 14] > 200


@pytest.mark.parametrize("wrong", [{"fit": "crop"}, {"mean": (0.5, 0.5)}])
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
