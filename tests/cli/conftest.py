import numpy as np
import pytest
from PIL import Image

from neocog import data


@pytest.fixture
def neocog(neocog_command):
    return neocog_command


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Clean digits as files, one of them large and dark on light."""
    folder = tmp_path_factory.mktemp("我的 images")
    test = data.load("mnist5k").test
    for label in (0, 1, 7):
        image = test.images[np.nonzero(test.labels == label)[0][3], :, :, 0]
        Image.fromarray(image).save(folder / f"{label}.png")
    large = Image.fromarray(255 - image).resize((280, 280))
    large.save(folder / "7 large.jpg")
    return folder
