import os
import shutil
import socket
import zlib

import numpy as np
import pytest
from PIL import Image

from neocog import data
from neocog.errors import NeocogError, UsageError


def fill(folder, name, count, colour):
    """Save unique images, so that no near-duplicates move between splits."""
    random = np.random.default_rng(zlib.crc32(str(folder / name).encode()))
    (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise = random.integers(0, 60, (20, 30, 3)) + np.array(colour)
        image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
        image.save(folder / name / f"{number} a.png")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "我的 照片"
    fill(folder, "猫", 40, (200, 0, 0))
    fill(folder, "dog house", 60, (0, 200, 0))
    return folder


RGB = data.DataConfig((0.5,) * 3, (0.5,) * 3)


def test_a_folder_is_split_and_classes_are_sorted(photos):
    (photos / ".hidden").mkdir()
    (photos / "__MACOSX").mkdir()
    (photos / "猫" / "._0 a.png").write_bytes(b"litter")
    splits = data.load(str(photos), RGB)
    assert splits.classes == ("dog house", "猫")
    assert [len(part) for part in splits.parts.values()] == [70, 15, 15]
    assert splits.train.images.shape[1:] == (64, 64, 3)
    named = sorted(path for part in splits.parts.values() for path in part.paths)
    assert len(set(named)) == 100
    assert named[0] == "dog house/0 a.png"


def test_a_broken_image_is_skipped_and_reported(photos):
    (photos / "猫" / "broken.jpg").write_bytes(b"not an image")
    splits = data.load(str(photos), RGB)
    assert sum(len(part) for part in splits.parts.values()) == 100
    (finding,) = splits.findings
    assert (finding.kind, finding.paths) == ("not_an_image", ("猫/broken.jpg",))


def test_train_and_val_folders_are_kept_apart(tmp_path):
    for split, count in (("train", 40), ("val", 10)):
        fill(tmp_path / split, "a", count, (200, 0, 0))
        fill(tmp_path / split, "b", count, (0, 200, 0))
    splits = data.load(str(tmp_path), RGB)
    assert splits.classes == ("a", "b")
    assert [len(part) for part in splits.parts.values()] == [66, 14, 20]
    assert "validation held out as test" in splits.note.text()


def test_three_split_folders_are_used_with_common_classes(tmp_path):
    for split, count in (("training", 9), ("valid", 4), ("test", 5)):
        fill(tmp_path / split, "b", count, (0, 200, 0))
    fill(tmp_path / "training", "a", 3, (200, 0, 0))
    splits = data.load(str(tmp_path), RGB)
    assert [len(part) for part in splits.parts.values()] == [12, 4, 5]
    assert set(splits.test.labels) == {1}


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus", "train", "tram"):
        fill(tmp_path, name, 20, (200, 0, 0))
    assert data.load(str(tmp_path), RGB).classes == ("bus", "train", "tram")


def test_too_few_images_are_refused(tmp_path):
    fill(tmp_path, "a", 1, (200, 0, 0))
    fill(tmp_path, "b", 2, (0, 200, 0))
    with pytest.raises(NeocogError, match=r"left for training|too few images"):
        data.load(str(tmp_path), RGB)
    fill(tmp_path, "b", 30, (0, 200, 0))
    (tmp_path / "empty").mkdir()
    splits = data.load(str(tmp_path), RGB)
    assert splits.classes == ("a", "b")
    assert {f.kind for f in splits.findings} >= {"empty_folder", "few_images"}


def test_a_folder_of_digits_is_preprocessed_like_mnist(tmp_path, mnist5k):
    for label in (0, 1):
        (tmp_path / str(label)).mkdir()
        for k in np.nonzero(mnist5k.test.labels == label)[0][:10]:
            large = Image.fromarray(255 - mnist5k.test.images[k, :, :, 0]).resize((140, 140))
            large.save(tmp_path / str(label) / f"{k}.png")
    train = data.load(str(tmp_path), data.DataConfig(fit="digit", image_size=28)).train
    assert train.images.shape[1:] == (28, 28, 1)
    for image in train.images:
        rows, columns, _ = np.nonzero(image > 64)
        assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 22


def test_one_class_is_refused(tmp_path):
    fill(tmp_path, "only", 20, (9, 9, 9))
    with pytest.raises(NeocogError, match="one class, only"):
        data.load(str(tmp_path), RGB)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(NeocogError, match="contains no images"):
        data.load(str(tmp_path), RGB)


def test_a_missing_folder_is_a_usage_error():
    with pytest.raises(UsageError, match="no dataset or folder 'no/such'"):
        data.load("no/such")


def test_links_out_of_the_folder_are_not_followed(photos, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
    (photos / "猫" / "link.png").symlink_to(tmp_path / "outside.png")
    splits = data.load(str(photos), RGB)
    (finding,) = splits.findings
    assert (finding.kind, finding.paths) == ("link", ("猫/link.png",))


def linked(photos, store):
    """The photos moved to a store, and a folder of links to them."""
    shutil.move(photos, store)
    for file in sorted(store.rglob("*.png")):
        link = photos / file.relative_to(store)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)


def test_a_folder_of_links_is_read_with_follow_links(photos, tmp_path, neocog_command):
    expected = data.load(str(photos), RGB).describe()
    linked(photos, tmp_path / "store")
    with pytest.raises(NeocogError, match=r"only links to files outside it.*allow_outside=True"):
        data.load(str(photos), RGB)
    allowed = data.DataConfig(RGB.mean, RGB.std, allow_outside=True)
    assert data.load(str(photos), allowed).describe() == expected
    assert neocog_command("data", photos)[0] == 1
    code, out, _ = neocog_command("data", photos, "--follow-links")
    assert code == 0 and "100 of 100" in out


def test_linked_class_folders_are_followed_once_and_circles_end(photos, tmp_path):
    (tmp_path / "store").mkdir()
    shutil.move(photos / "猫", tmp_path / "store" / "猫")
    (photos / "猫").symlink_to(tmp_path / "store" / "猫")
    (tmp_path / "store" / "猫" / "circle").symlink_to(tmp_path / "store" / "猫")
    (photos / "dog house" / "broken.png").symlink_to(tmp_path / "nothing.png")
    index = data.open_dataset(str(photos), allow_outside=True)
    assert [sum(p.label == c for p in index.samples) for c in index.classes] == [60, 40]
    assert sorted(index.unused) == [("link", "dog house/broken.png"), ("link", "猫/circle")]
    refused = data.open_dataset(str(photos))
    assert refused.classes == ("dog house",) and ("link", "猫") in refused.unused


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_special_files_in_a_folder_are_reported(photos, neocog_command):
    os.mkfifo(photos / "猫" / "pipe.png")
    with socket.socket(socket.AF_UNIX) as plug:
        os.chdir(photos)
        plug.bind("plug.png")
    index = data.open_dataset(str(photos))
    assert sorted(index.unused) == [("special", "plug.png"), ("special", "猫/pipe.png")]
    finding = {f.kind: f for f in data.load(str(photos), RGB).findings}["special"]
    assert finding.message.text().startswith("2 special files (FIFO, socket or device)")
    code, _, err = neocog_command("data", photos / "猫" / "pipe.png")
    assert code == 2 and "is a FIFO, and none of images" in err
