"""The doctor finds what was done to a sound data set, and nothing else."""

import io

import numpy as np
import pytest
from PIL import Image

from neocog import data
from neocog.data.doctor import near_duplicates
from neocog.examine import examine

from .test_own import picture, save


@pytest.fixture
def photos(tmp_path):
    """30 + 30 sound pictures, of which every fifth is held out."""
    for n in range(60):
        split = "val" if n % 5 == 0 else "train"
        save(tmp_path / split / ("cat" if n % 2 else "dog") / f"{n}.png", n)
    return tmp_path


def kinds(folder):
    found = examine(str(folder))
    return found.sound, {
        f["kind"]: (f["severity"], f["paths"]) for f in found.to_json()["findings"]
    }


def test_a_sound_set_has_no_findings(photos):
    assert kinds(photos) == (True, {})
    values = examine(str(photos)).to_json()
    assert (values["n"], values["used"], values["classes"]) == (60, 60, ["cat", "dog"])
    assert values["splits"] == {
        "train": {"cat": 24, "dog": 24},
        "validation": {"cat": 6, "dog": 6},
    }


def test_copies_across_splits_and_with_other_labels_are_errors(photos):
    save(photos / "train" / "cat" / "leak.png", 5)  # 5 is a cat in val
    save(photos / "train" / "cat" / "nearly.jpg", 15, quality=70)
    save(photos / "train" / "dog" / "conflict.png", 7)  # 7 is a cat in train
    sound, found = kinds(photos)
    assert not sound
    assert found["duplicates_across_splits"] == ("error", ["train/cat/leak.png"])
    assert found["near_duplicates_across_splits"] == ("error", ["train/cat/nearly.jpg"])
    assert found["conflicting_labels"][0] == "error"
    assert set(found["conflicting_labels"][1]) == {"train/cat/7.png", "train/dog/conflict.png"}
    splits = data.load(str(photos), data.Form((0.5,) * 3, (0.5,) * 3, image_size=16))
    used = {path for part in splits.parts.values() for path in part.paths}
    assert len(used) == 59 and "val/cat/5.png" in used
    assert not used & {"train/cat/leak.png", "train/cat/nearly.jpg", "train/cat/7.png"}


def test_copies_inside_a_split_are_used_once_and_near_ones_stay_together(tmp_path):
    for n in range(60):
        save(tmp_path / ("cat" if n % 2 else "dog") / f"{n}.png", n)
    for n in range(0, 20, 2):
        save(tmp_path / "dog" / f"{n} again.png", n)
        save(tmp_path / "dog" / f"{n} nearly.jpg", n, quality=60)
    sound, found = kinds(tmp_path)
    assert sound
    assert found["duplicates"][0] == found["near_duplicates"][0] == "warning"
    values = examine(str(tmp_path)).to_json()["findings"]
    (copies,) = [f for f in values if f["kind"] == "duplicates"]
    assert copies["paths"][0] == "dog/0 again.png" and copies["same_as"][0] == "dog/0.png"
    splits = data.load(str(tmp_path), data.Form((0.5,) * 3, (0.5,) * 3, image_size=16))
    assert sum(map(len, splits.parts.values())) == 70
    where = {path: name for name, part in splits.parts.items() for path in part.paths}
    for n in range(0, 20, 2):
        first = where.get(f"dog/{n}.png") or where[f"dog/{n} again.png"]
        assert where[f"dog/{n} nearly.jpg"] == first


def test_files_that_are_not_as_they_seem(photos):
    folder = photos / "train" / "cat"
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("hello")
    whole = io.BytesIO()
    picture(500, 200).save(whole, "JPEG")
    (folder / "half.jpg").write_bytes(whole.getvalue()[:800])
    save(folder / "really a jpeg.png", 501, format="JPEG", quality=95)
    picture(502).convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    turned, stale = Image.Exif(), Image.Exif()
    turned[0x0112] = stale[0x0112] = 6
    wide = picture(503, 48).resize((48, 24))
    wide.save(folder / "turned.jpg", exif=turned)
    stale.get_ifd(0x8769).update({0xA002: 60, 0xA003: 30})
    picture(504, 60).resize((30, 60)).save(folder / "stale.jpg", exif=stale)
    (folder / "notes.txt").write_text("cats")
    (folder / "phone.HEIC").write_bytes(bytes(4) + b"ftypheic" + bytes(100))
    save(folder / "jpeg.heic", 505, format="JPEG", exif=turned)
    picture(506, 90).resize((90, 30)).save(folder / "long.png")
    sound, found = kinds(photos)
    assert sound
    paths = {kind: [p.rpartition("/")[2] for p in found[kind][1]] for kind in found}
    assert paths["empty"] == ["empty.jpg"]
    assert paths["not_a_picture"] == ["text.jpg"]
    assert paths["corrupt"] == ["half.jpg", "phone.HEIC"]  # it begins as HEIC, and holds nothing
    assert paths["wrong_suffix"] == ["jpeg.heic", "really a jpeg.png"]
    assert paths["modes"] == ["cmyk.jpg"]
    assert paths["turned"] == ["jpeg.heic", "turned.jpg"]
    assert paths["exif_stale"] == ["stale.jpg"]
    assert paths["exif_missing"] == ["cmyk.jpg", "really a jpeg.png"]
    assert paths["elongated"] == ["long.png"]
    assert paths["other_file"] == ["notes.txt"]


def test_classes_that_are_missing_small_or_unequal(photos):
    save(photos / "val" / "bird" / "1.png", 900)
    for n in range(1000, 1100):
        save(photos / "train" / "cat" / f"{n}.png", n)
    sound, found = kinds(photos)
    assert not sound  # birds are asked for and were never shown
    assert found["class_missing"] == ("error", ["bird"])
    assert found["few_pictures"] == ("warning", ["bird"])
    assert found["imbalance"][0] == "warning"


def test_different_photos_are_not_alike_and_changed_ones_are():
    random = np.random.default_rng(0)
    names = np.arange(300)
    coarse = random.integers(0, 256, (300, 4, 4), dtype=np.uint8)
    thumbs = np.stack(
        [np.asarray(Image.fromarray(c).resize((32, 32), Image.Resampling.BICUBIC)) for c in coarse]
    )
    assert near_duplicates(thumbs, names) == []
    darker = (thumbs[:5] * 0.7 + 20).astype(np.uint8)
    noisy = (thumbs[5:9] + random.normal(0, 3, (4, 32, 32))).clip(0, 255).astype(np.uint8)
    found = near_duplicates(np.concatenate([thumbs, darker, noisy]), np.arange(309))
    assert sorted(map(tuple, found)) == [(n, 300 + n) for n in range(9)]
    flat = np.full((4, 32, 32), 200, dtype=np.uint8)  # white paper is like white paper
    assert near_duplicates(flat, np.arange(4)) == []


def test_groups_across_given_splits_are_errors(photos, tmp_path):
    import csv

    with (photos / "list.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "split", "group"])
        for path in sorted(photos.rglob("*.png")):
            row = path.relative_to(photos)
            table.writerow([row, row.parts[1], row.parts[0], int(path.stem) // 3])
    sound, found = kinds(photos / "list.csv")
    assert not sound and found["group_across_splits"][0] == "error"
    splits = data.load(str(photos / "list.csv"), data.Form((0.5,) * 3, (0.5,) * 3, image_size=16))
    groups = [{int(p.rpartition("/")[2][:-4]) // 3 for p in part.paths} for part in
              (splits.train, splits.test)]  # fmt: skip
    assert groups[0] and not groups[0] & groups[1]


@pytest.mark.parametrize("orientation", [99, 0])
def test_exif_that_makes_no_sense_turns_nothing(photos, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture(700).save(photos / "train" / "cat" / "odd.jpg", exif=exif)
    assert "turned" not in kinds(photos)[1] and "corrupt" not in kinds(photos)[1]
