"""The checks find the defects planted in a valid dataset, and nothing else."""

import io
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neocog import data
from neocog.data import duplicates
from neocog.data.duplicates import components, near_duplicates
from neocog.examine import inspect_dataset
from neocog.messages import Message

from .test_custom import image, save


@pytest.fixture
def photos(tmp_path):
    """30 + 30 valid images, of which every fifth is in `val`."""
    for n in range(60):
        split = "val" if n % 5 == 0 else "train"
        save(tmp_path / split / ("cat" if n % 2 else "dog") / f"{n}.png", n)
    return tmp_path


def kinds(folder):
    inspection = inspect_dataset(str(folder))
    return inspection.is_valid, {
        f["kind"]: (f["severity"], f["paths"]) for f in inspection.to_json()["findings"]
    }


def test_a_valid_dataset_has_no_findings(photos):
    assert kinds(photos) == (True, {})
    values = inspect_dataset(str(photos)).to_json()
    assert (values["n"], values["used"], values["classes"]) == (60, 60, ["cat", "dog"])
    assert values["splits"] == {
        "train": {"cat": 24, "dog": 24},
        "validation": {"cat": 6, "dog": 6},
    }


def test_duplicates_across_splits_or_labels_are_errors(photos):
    save(photos / "train" / "cat" / "leak.png", 5)  # 5 is a cat in val
    save(photos / "train" / "cat" / "nearly.jpg", 15, quality=70)
    save(photos / "train" / "dog" / "conflict.png", 7)  # 7 is a cat in train
    is_valid, findings = kinds(photos)
    assert not is_valid
    assert findings["duplicates_across_splits"] == ("error", ["train/cat/leak.png"])
    assert findings["near_duplicates_across_splits"] == ("error", ["train/cat/nearly.jpg"])
    assert findings["conflicting_labels"][0] == "error"
    # A pair counts as one copy; `same_as` is the other image.
    values = {f["kind"]: f for f in inspect_dataset(str(photos)).to_json()["findings"]}
    conflict = values["conflicting_labels"]
    assert (conflict["count"], conflict["paths"]) == (1, ["train/dog/conflict.png"])
    assert conflict["same_as"] == ["train/cat/7.png"]
    nearly = values["near_duplicates_across_splits"]
    assert (nearly["count"], nearly["same_as"]) == (1, ["val/cat/15.png"])
    splits = data.load(str(photos), data.DataConfig((0.5,) * 3, (0.5,) * 3, image_size=16))
    used = {path for part in splits.parts.values() for path in part.paths}
    assert len(used) == 59 and "val/cat/5.png" in used
    assert not used & {"train/cat/leak.png", "train/cat/nearly.jpg", "train/cat/7.png"}


def test_duplicates_within_a_split_are_used_once_and_near_duplicates_stay_together(tmp_path):
    for n in range(60):
        save(tmp_path / ("cat" if n % 2 else "dog") / f"{n}.png", n)
    for n in range(0, 20, 2):
        save(tmp_path / "dog" / f"{n} again.png", n)
        save(tmp_path / "dog" / f"{n} nearly.jpg", n, quality=60)
    is_valid, findings = kinds(tmp_path)
    assert is_valid
    assert findings["duplicates"][0] == findings["near_duplicates"][0] == "warning"
    values = inspect_dataset(str(tmp_path)).to_json()["findings"]
    (copies,) = [f for f in values if f["kind"] == "duplicates"]
    (nearly,) = [f for f in values if f["kind"] == "near_duplicates"]
    assert copies["count"] == nearly["count"] == 10  # 10 copies, not 20 images
    assert nearly["message"].startswith("10 near-duplicate images")
    assert copies["paths"][0] == "dog/0 again.png" and copies["same_as"][0] == "dog/0.png"
    splits = data.load(str(tmp_path), data.DataConfig((0.5,) * 3, (0.5,) * 3, image_size=16))
    assert sum(map(len, splits.parts.values())) == 70
    where = {path: name for name, part in splits.parts.items() for path in part.paths}
    for n in range(0, 20, 2):
        first = where.get(f"dog/{n}.png") or where[f"dog/{n} again.png"]
        assert where[f"dog/{n} nearly.jpg"] == first


def test_misleading_files_are_reported(photos):
    folder = photos / "train" / "cat"
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("hello")
    whole = io.BytesIO()
    image(500, 200).save(whole, "JPEG")
    (folder / "half.jpg").write_bytes(whole.getvalue()[:800])
    save(folder / "really a jpeg.png", 501, format="JPEG", quality=95)
    image(502).convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    turned, stale = Image.Exif(), Image.Exif()
    turned[0x0112] = stale[0x0112] = 6
    wide = image(503, 48).resize((48, 24))
    wide.save(folder / "turned.jpg", exif=turned)
    stale.get_ifd(0x8769).update({0xA002: 60, 0xA003: 30})
    image(504, 60).resize((30, 60)).save(folder / "stale.jpg", exif=stale)
    (folder / "notes.txt").write_text("cats")
    (folder / "phone.HEIC").write_bytes(bytes(4) + b"ftypheic" + bytes(100))
    save(folder / "jpeg.heic", 505, format="JPEG", exif=turned)
    image(506, 90).resize((90, 30)).save(folder / "long.png")
    is_valid, findings = kinds(photos)
    assert is_valid
    paths = {kind: [p.rpartition("/")[2] for p in findings[kind][1]] for kind in findings}
    assert paths["empty"] == ["empty.jpg"]
    assert paths["not_an_image"] == ["text.jpg"]
    assert paths["corrupt"] == ["half.jpg", "phone.HEIC"]  # a HEIC header without content
    assert paths["wrong_suffix"] == ["jpeg.heic", "really a jpeg.png"]
    assert paths["modes"] == ["cmyk.jpg"]
    assert paths["turned"] == ["jpeg.heic", "turned.jpg"]
    assert paths["exif_stale"] == ["stale.jpg"]
    assert paths["exif_missing"] == ["cmyk.jpg", "really a jpeg.png"]
    assert paths["elongated"] == ["long.png"]
    assert paths["other_file"] == ["notes.txt"]


def test_missing_small_and_unbalanced_classes_are_reported(photos):
    save(photos / "val" / "bird" / "1.png", 900)
    for n in range(1000, 1100):
        save(photos / "train" / "cat" / f"{n}.png", n)
    is_valid, findings = kinds(photos)
    assert not is_valid  # birds are evaluated but never trained on
    assert findings["class_missing"] == ("error", ["bird"])
    assert findings["few_images"] == ("warning", ["bird"])
    assert findings["imbalance"][0] == "warning"


def test_edited_photos_are_near_duplicates_and_different_ones_are_not():
    random = np.random.default_rng(0)
    names = np.arange(300)
    coarse = random.integers(0, 256, (300, 4, 4), dtype=np.uint8)
    thumbnails = np.stack(
        [np.asarray(Image.fromarray(c).resize((32, 32), Image.Resampling.BICUBIC)) for c in coarse]
    )
    assert near_duplicates(thumbnails, names) == []
    darker = (thumbnails[:5] * 0.7 + 20).astype(np.uint8)
    noisy = (thumbnails[5:9] + random.normal(0, 3, (4, 32, 32))).clip(0, 255).astype(np.uint8)
    groups = near_duplicates(np.concatenate([thumbnails, darker, noisy]), np.arange(309))
    assert sorted(map(tuple, groups)) == [(n, 300 + n) for n in range(9)]
    flat = np.full((4, 32, 32), 200, dtype=np.uint8)  # white paper resembles white paper
    assert near_duplicates(flat, np.arange(4)) == []


def test_groups_across_splits_are_errors(photos, tmp_path):
    import csv

    with (photos / "list.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "split", "group"])
        for path in sorted(photos.rglob("*.png")):
            row = path.relative_to(photos)
            table.writerow([row, row.parts[1], row.parts[0], int(path.stem) // 3])
    is_valid, findings = kinds(photos / "list.csv")
    assert not is_valid and findings["group_across_splits"][0] == "error"
    splits = data.load(
        str(photos / "list.csv"), data.DataConfig((0.5,) * 3, (0.5,) * 3, image_size=16)
    )
    groups = [{int(p.rpartition("/")[2][:-4]) // 3 for p in part.paths} for part in
              (splits.train, splits.test)]  # fmt: skip
    assert groups[0] and not groups[0] & groups[1]


@pytest.mark.parametrize("orientation", [99, 0])
def test_invalid_exif_is_ignored(photos, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image(700).save(photos / "train" / "cat" / "odd.jpg", exif=exif)
    assert "turned" not in kinds(photos)[1] and "corrupt" not in kinds(photos)[1]


def test_a_class_without_training_images_is_reported_and_removed(photos):
    save(photos / "val" / "bird" / "1.png", 900)
    save(photos / "val" / "bird" / "2.png", 901)
    is_valid, findings = kinds(photos)
    assert not is_valid and findings["class_missing"] == ("error", ["bird"])
    splits = data.load(str(photos), data.DataConfig((0.5,) * 3, (0.5,) * 3, image_size=16))
    assert splits.classes == ("cat", "dog") == splits.test.classes
    assert len(splits.test) == 12 and not any("bird" in path for path in splits.test.paths)
    messages = [f.message.text() for f in splits.findings]
    assert "1 class without an image in train, left out: bird" in messages


def test_class_names_that_differ_by_case_or_spaces_are_reported(tmp_path):
    for n, name in enumerate(("dog", "Dog", "hot dog", "hotdog ", "cat") * 12):
        save(tmp_path / name / f"{n}.png", n)
    _, findings = kinds(tmp_path)
    values = [
        f["message"]
        for f in inspect_dataset(str(tmp_path)).to_json()["findings"]
        if f["kind"] == "similar_classes"
    ]
    assert findings["similar_classes"][0] == "warning"
    assert values == [
        '2 classes whose names differ only in case or spaces: "Dog", "dog". '
        "Are they the same class?",
        '2 classes whose names differ only in case or spaces: "hot dog", "hotdog ". '
        "Are they the same class?",
    ]


def test_groups_in_a_table_are_reported(tmp_path):
    rows = ["path,label,group"]
    for n in range(40):
        save(tmp_path / f"{n}.png", n)
        rows.append(f"{n}.png,{'ab'[n % 2]},g{n // 4}")
    (tmp_path / "list.csv").write_text("\n".join(rows))
    is_valid, findings = kinds(tmp_path / "list.csv")
    assert is_valid and list(findings) == ["groups"] and findings["groups"][0] == "note"
    (finding,) = inspect_dataset(str(tmp_path / "list.csv")).to_json()["findings"]
    assert finding["message"].startswith("10 groups of images: the images of a group stay")
    assert (finding["id"], finding["parameters"]) == ("groups", {"n": 10})
    assert Message.from_json(finding).text("zh").startswith("数据集定义了 10 组图像")


def test_findings_about_files_list_their_names(photos, neocog_command):
    exif = Image.Exif()
    exif[0x0112] = 6
    image(700).save(photos / "train" / "cat" / "phone.jpg", exif=exif)
    _, out, _ = neocog_command("data", photos)
    assert "note 1 image rotated upright according to EXIF\n    train/cat/phone.jpg\n" in out


def photo(seed, side=160):
    """A synthetic photo: colours that vary at every scale."""
    random = np.random.default_rng(seed)
    canvas = np.zeros((side, side, 3))
    for cells in (3, 6, 12, 24, 48):
        layer = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        canvas += np.asarray(layer.resize((side, side), Image.Resampling.BICUBIC)) / cells
    canvas -= canvas.min()
    return Image.fromarray((canvas * (255 / canvas.max())).astype(np.uint8))


def test_mirrored_and_cropped_copies_across_splits_are_found(tmp_path):
    for n in range(60):
        split = "val" if n % 5 == 0 else "train"
        path = tmp_path / split / ("cat" if n % 2 else "dog") / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo(n).save(path)
    assert kinds(tmp_path) == (True, {})
    mirror = Image.Transpose.FLIP_LEFT_RIGHT
    cat = tmp_path / "train" / "cat"
    photo(5).transpose(mirror).save(cat / "mirrored.jpg", quality=70)
    photo(15).crop((10, 4, 154, 148)).save(cat / "cropped.jpg", quality=70)
    photo(25).crop((31, 20, 159, 148)).transpose(mirror).save(cat / "both.png")
    values = {f["kind"]: f for f in inspect_dataset(str(tmp_path)).to_json()["findings"]}
    near = values.pop("near_duplicates_across_splits")
    pairs = dict(zip(near["paths"], near["same_as"], strict=True))
    assert pairs == {
        "train/cat/mirrored.jpg": "val/cat/5.png",
        "train/cat/cropped.jpg": "val/cat/15.png",
        "train/cat/both.png": "val/cat/25.png",
    }
    assert near["severity"] == "error" and set(values) <= {"exif_missing"}


def test_similar_digits_are_not_reported_as_crops(mnist5k):
    """Only the upright strokes remain that are near-duplicates without crops."""
    digits = [Image.fromarray(image[:, :, 0]) for image in mnist5k.train.images[:600]]
    for side, count in ((32, 600), (96, 600), (32, 100), (200, 100)):
        large = [digit.resize((side, side)).resize((32, 32)) for digit in digits[:count]]
        thumbnails = np.stack([np.asarray(image) for image in large])
        groups = near_duplicates(thumbnails, np.arange(count))
        assert (
            groups == components(duplicates._similar_pairs(thumbnails, thumbnails))
            and len(groups) <= 3
        )


@pytest.mark.parametrize("kind", ["heic", "truncated", "locked"])
@pytest.mark.parametrize("command", ["data", "train"])
def test_a_dataset_without_usable_images_gets_one_clear_message(
    tmp_path, neocog_command, monkeypatch, kind, command
):
    folder = tmp_path / "photos"
    for n in range(4):
        path = folder / ("cat" if n % 2 else "dog") / f"{n}.{'heic' if kind == 'heic' else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "heic":
            path.write_bytes(bytes(4) + b"ftypheic" + bytes(100))
        else:
            save(path, n)
            path.write_bytes(path.read_bytes()[:60])
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    if kind == "locked":
        folder = Path(shutil.make_archive(str(tmp_path / "set"), "zip", folder))
        content = bytearray(folder.read_bytes())  # the flag for a password
        for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            begin = content.find(mark)
            while begin >= 0:
                content[begin + place] |= 1
                begin = content.find(mark, begin + 4)
        folder.write_bytes(content)
    code, out, err = neocog_command(command, folder)
    message = {
        "heic": "pip install 'neocog[heic]'", "truncated": "damaged", "locked": "password"
    }[kind]  # fmt: skip
    assert message in out + err and "reshape" not in out + err
    if command == "train":
        assert code == 1 and "None of the 4 images" in err
    else:
        assert code == 3 and "0 of 4 images are usable" in out
