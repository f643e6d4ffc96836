"""The command `neocog data`."""

import json

import numpy as np
import pytest
from PIL import Image

from neocog.data import decode_cache
from neocog.errors import UsageError
from neocog.examine import inspect_dataset
from neocog.recipes import resolve

from .data.test_custom import save


@pytest.fixture
def photos(tmp_path):
    for n in range(40):
        save(tmp_path / "photos" / ("猫" if n % 2 else "dog") / f"{n}.png", n)
    return tmp_path / "photos"


def test_a_valid_dataset_as_json(neocog_command, photos, tmp_path):
    code, out, err = neocog_command("data", photos, "--json", "--sheets", tmp_path / "sheets")
    assert code == 0
    values = json.loads(out)
    assert {"data", "n", "classes", "splits", "findings"} <= set(values)
    assert values["splits"] == {"all": {"dog": 20, "猫": 20}}
    assert values["sheets"] == [str(tmp_path / "sheets" / f"{c}.png") for c in ("dog", "猫")]
    assert "40 of 40 images are usable" in err
    assert values["plan"] == "15% validation and 15% test, split by image content"


@pytest.mark.parametrize(
    ("names", "plan"),
    [
        (("train", "val"), "validation as test, and a part of train as validation"),
        (("training", "eval"), "test as provided, and a part of train as validation"),
        (("train", "valid", "test"), "train, validation and test as provided"),
    ],
)
def test_the_plan_names_the_evaluation_splits(photos, tmp_path, names, plan):
    for n, name in enumerate(names):
        for k in range(4):
            save(tmp_path / "split" / name / "ab"[k % 2] / f"{k}.png", 100 + 10 * n + k)
    assert inspect_dataset(str(tmp_path / "split")).plan == plan


def test_a_table_without_training_images_is_reported(photos, tmp_path):
    rows = [f"{p},{p.parent.name},test" for p in sorted(photos.rglob("*.png"))]
    (tmp_path / "set.csv").write_text("\n".join(["path,label,split", *rows]), "utf-8")
    assert inspect_dataset(str(tmp_path / "set.csv")).plan.startswith("none, because there is test")


def test_errors_exit_with_3(neocog_command, photos, tmp_path):
    save(photos / "猫" / "too.png", 0)
    code, out, _ = neocog_command("data", photos, "--runs", tmp_path / "runs")
    assert code == 3
    assert "error 1 duplicate of an image with another label" in out
    assert "dog/0.png" in out and "猫/too.png" in out
    assert (tmp_path / "runs" / "data" / "photos" / "dog.png").is_file()


def test_the_cache_can_be_cleared(neocog_command, photos):
    inspect_dataset(str(photos))
    assert any(decode_cache.decoded_folder().iterdir())
    code, out, _ = neocog_command("data", "--clear-cache")
    assert code == 0 and "MB of decoded images and features." in out
    assert not any(decode_cache.decoded_folder().rglob("*.pixels"))


def test_published_and_missing_datasets_are_refused(neocog_command, tmp_path):
    assert neocog_command("data")[0] == 2
    with pytest.raises(UsageError, match="published dataset"):
        inspect_dataset("mnist")
    code, _, err = neocog_command("data", tmp_path / "none")
    assert code == 2 and "There is no file or folder" in err


def test_the_demo_of_normalisation(neocog_command):
    code, out, _ = neocog_command("demo", "normalization", 16, 48, 27, 238, 12)
    assert code == 0
    assert out.splitlines()[0] == "-0.5441 -0.2105 -0.4294 1.7698 -0.5858"
    code, out, _ = neocog_command("demo", "normalization", -1, 1, "--json")
    assert json.loads(out)["mean"] == 0
    assert neocog_command("demo", "normalization", 5)[0] == 2


def test_many_small_images_are_trained_from_scratch(neocog_command, photos, monkeypatch):
    monkeypatch.setattr(resolve, "MANY_IMAGES", 30)
    code, out, _ = neocog_command("train", photos, "--epochs", 1, "--set", "model=lenet5")
    assert code == 0
    assert "40 images of about 24 pixels: many and small" in out
    assert (resolve.scratch_overrides(40, 24) or {})["image_size_pixels"] == 24


def test_many_small_images_keep_their_size(photos, monkeypatch):
    assert inspect_dataset(str(photos)).decoded.images.shape[1:3] == (224, 224)
    monkeypatch.setattr(resolve, "MANY_IMAGES", 10)
    side = min(inspect_dataset(str(photos)).decoded.images.shape[1:3])
    assert 16 <= side <= 64


def test_a_class_without_training_images_is_not_counted_as_used(tmp_path):
    random = np.random.default_rng(0)
    for split, names in (("train", ("cat", "dog")), ("val", ("cat", "dog", "fox"))):
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            for n in range(12):
                pixels = random.integers(0, 255, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{n}.png")
    inspection = inspect_dataset(str(tmp_path)).to_json()
    assert (inspection["n"], inspection["used"]) == (60, 48)
