"""A user's own dataset, in every supported format."""

import csv
import io
import os
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neocog import data
from neocog.data import custom, decode_cache
from neocog.data.images import LazyImages
from neocog.data.sources import csv as csv_file
from neocog.data.sources.index import parse_layout
from neocog.errors import NeocogError, UsageError
from neocog.storage import cache, checksummed

CONFIG = data.DataConfig((0.5,) * 3, (0.5,) * 3, image_size=16)
random = np.random.default_rng(0)


def image(seed, side=24):
    """A unique image: blocks of random colours."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((side, side), Image.Resampling.NEAREST)


def save(path, seed, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image(seed).save(path, **options)
    return path


@pytest.fixture
def photos(tmp_path):
    for n in range(40):
        save(tmp_path / "photos" / ("cat" if n % 2 else "dog") / f"{n}.png", n)
    return tmp_path / "photos"


def places(*names):
    entries, unused = parse_layout(names, Path("root"))
    return [(p.split, p.label) for p in entries], unused


def test_class_split_and_enclosing_folders_are_recognized():
    two = [(None, "a"), (None, "b")]
    assert places("b/1.jpg", "a/x/2.PNG") == (two, [])
    assert places("all/b/1.jpg", "all/a/2.png")[0] == two
    assert places("x/y/a/1.jpg", "x/y/b/2.jpg")[0] == two
    assert places("all/a/1.jpg", "all/b/2.jpg", "all/preview.jpg")[0] == two
    assert places("all/train/a/1.jpg", "all/train/b/2.jpg")[0] == [("train", "a"), ("train", "b")]
    names = ("Train/a/1.jpg", "Train/b/2.jpg", "valid/a/3.jpg", "eval/b/4.jpg")
    splits = [("train", "a"), ("train", "b"), ("test", "b"), ("validation", "a")]
    assert places(*names)[0] == splits
    assert places(*(f"set/{name}" for name in names))[0] == splits
    with pytest.raises(NeocogError, match="test and val, but none for training"):
        places("val/a/1.jpg", "val/b/2.jpg", "test/a/3.jpg", "test/b/4.jpg")


def test_files_that_are_not_labelled_images_are_reported_by_kind():
    litter = ("__MACOSX/a/1.jpg", ".ipynb_checkpoints/1.jpg", "a/Thumbs.db", "a/._1.jpg")
    labelled, unused = places("a/1.jpg", "b/2.jfif", "3.jpg", "a/n.txt", *litter)
    assert labelled == [(None, "a"), (None, "b")]
    assert sorted(unused) == [
        ("no_class", "3.jpg"), ("other_file", "a/n.txt"),
    ]  # fmt: skip
    _, unused = places("train/a/1.jpg", "train/b/2.jpg", "test/3.jpg", "extra/a/4.jpg")
    assert sorted(unused) == [("beside_splits", "extra/a/4.jpg"), ("no_class", "test/3.jpg")]


def test_a_class_called_train_is_a_class_and_images_without_folders_are_refused():
    assert places("train/1.jpg", "bus/2.jpg")[0] == [(None, "bus"), (None, "train")]
    with pytest.raises(NeocogError, match=r"in no class folder.*path,label"):
        places("1.jpg", "2.jpg")
    with pytest.raises(NeocogError, match="contains no images"):
        places("notes.txt")


def packed(folder, kind):
    return Path(shutil.make_archive(str(folder.parent / "set"), kind, folder.parent, folder.name))


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_is_read_like_its_folder(photos, kind):
    from_folder = data.load(str(photos), CONFIG)
    from_archive = data.load(str(packed(photos, kind)), CONFIG)
    for name, part in from_folder.parts.items():
        other = from_archive.parts[name]
        order = [other.paths.index(f"photos/{path}") for path in part.paths]
        assert (other.images[order] == part.images).all()
        assert (other.labels[order] == part.labels).all()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_empty_class_folder_in_an_archive_is_reported(photos, kind):
    for name in ("bird", "cow/brown", "__MACOSX/x"):
        (photos / name).mkdir(parents=True)
    index = data.open_dataset(str(packed(photos, kind)))
    empty = [name for what, name in index.unused if what == "empty_folder"]
    assert sorted(empty) == ["photos/bird", "photos/cow/brown"]
    beside = data.open_dataset(str(photos)).unused
    assert sorted(beside) == [("empty_folder", "bird"), ("empty_folder", "cow/brown")]


def test_a_folder_without_intermediate_entries_is_not_empty(photos, tmp_path):
    content = next(photos.rglob("*.png")).read_bytes()
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.mkdir("photos")
        for name in ("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png"):
            archive.writestr(f"photos/{name}", content)
        archive.mkdir("photos/test/c")
    assert data.open_dataset(str(tmp_path / "set.zip")).unused == [
        ("empty_folder", "photos/test/c")
    ]


def test_a_read_only_cache_is_reported(neocog_command, photos, monkeypatch):
    from neocog.data import decode_cache

    monkeypatch.setenv("NEOCOG_CACHE", str(next(photos.rglob("*.png")) / "below"))
    try:
        _, out, _ = neocog_command("data", photos)
        assert "is not writable, so they are not cached" in out and "NEOCOG_CACHE" in out
    finally:
        decode_cache._temporary_folder.cache_clear()


def test_archive_members_cannot_leave_the_archive(photos, tmp_path):
    content = io.BytesIO()
    image(99).save(content, "PNG")
    with zipfile.ZipFile(packed(photos, "zip"), "a") as archive:
        archive.writestr("../cat/out.png", content.getvalue())
    with tarfile.open(packed(photos, "tar"), "a") as archive:
        link = tarfile.TarInfo("photos/cat/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    for kind, file in (("points_out", "set.zip"), ("link", "set.tar")):
        splits = data.load(str(tmp_path / file), CONFIG)
        assert kind in {finding.kind for finding in splits.findings}
        assert sum(map(len, splits.parts.values())) == 40
    assert not (tmp_path.parent / "cat").exists()


def test_chinese_names_in_a_zip_without_the_flag_are_read(photos, tmp_path):
    class Gbk(zipfile.ZipInfo):
        def _encodeFilenameFlags(self):  # noqa: N802 - as old Windows programs write names
            return self.filename.encode("gbk"), 0

    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for n, file in enumerate(sorted(photos.rglob("*.png"))):
            archive.writestr(Gbk(f"{'猫' if n % 2 else '狗'}/{n}.png"), file.read_bytes())
    assert data.open_dataset(str(tmp_path / "set.zip")).classes == ("狗", "猫")


@pytest.mark.parametrize("name", ["set.zip", "set.tar.gz", "set.tar"])
def test_a_damaged_archive_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK nothing" * 100)
    with pytest.raises(NeocogError, match="damaged or not an archive"):
        data.open_dataset(str(tmp_path / name))


def write_csv(path, rows, encoding="utf-8", delimiter=","):
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return str(path)


def test_a_table_names_images_labels_splits_and_groups(photos, tmp_path):
    rows = [("File", "Class", "Group", "Split")]
    for n in range(40):
        label = "cat" if n % 2 else "dog"
        rows.append((f"photos/{label}/{n}.png", label, f"g{n // 4}", "eval" if n < 8 else ""))
    rows += [("photos/none.png", "cat", "", ""), ("photos/cat/1.png", "", "", "")]
    index = data.open_dataset(write_csv(tmp_path / "list.csv", rows))
    assert index.classes == ("cat", "dog") and index.splits == ["train", "test"]
    assert sorted(kind for kind, _ in index.unused) == ["missing", "no_label"]
    splits = data.load(str(tmp_path / "list.csv"), CONFIG)
    group_of = {image.path: image.group for image in index.samples}
    train, held = ({group_of[p] for p in part.paths} for part in (splits.train, splits.validation))
    assert held and not train & held
    assert {group_of[p] for p in splits.test.paths} == {"g0", "g1"}


def test_tables_written_by_spreadsheets_are_read(photos, tmp_path):
    rows = [("path", "label"), *((f"photos/{p.parent.name}/{p.name}", "猫" if p.parent.name == "cat"
             else "狗") for p in sorted(photos.rglob("*.png")))]  # fmt: skip
    for encoding, delimiter in (("utf-8-sig", ";"), ("gbk", "\t")):
        file = write_csv(tmp_path / "list.csv", rows, encoding, delimiter)
        assert data.open_dataset(file).classes == ("狗", "猫")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"has the columns a, b.*path,label"),
        ("path,label\nno.png,x\n", "names no existing labelled image"),
        ("path,label,split\nphotos/cat/1.png,cat,tomorrow\n", "no split 'tomorrow'"),
        ("", "has the columns"),
    ],
)
def test_wrong_tables_are_refused(photos, tmp_path, text, message):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(NeocogError, match=message):
        data.open_dataset(str(tmp_path / "list.csv"))
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(UsageError, match="is a file, and none of images"):
        data.open_dataset(str(tmp_path / "list.txt"))


def test_adding_images_moves_few_others(photos):
    def where():
        splits = data.load(str(photos), CONFIG)
        return {path: name for name, part in splits.parts.items() for path in part.paths}

    before = where()
    for n in range(100, 108):
        save(photos / ("cat" if n % 2 else "dog") / f"{n}.png", n)
    (photos / "cat" / "1.png").rename(photos / "cat" / "z.png")  # the content determines the split
    after = where()
    assert after.pop("cat/z.png") == before.pop("cat/1.png")
    moved = [path for path, split in before.items() if after[path] != split]
    assert len(moved) <= 6


def test_only_changed_files_are_decoded_again(photos, monkeypatch):
    read = []
    decode = decode_cache.decode_with_metadata
    monkeypatch.setattr(
        decode_cache, "decode_with_metadata", lambda *a: read.append(a) or decode(*a)
    )
    first = data.load(str(photos), CONFIG)
    assert len(read) == 40
    again = data.load(str(photos), CONFIG)
    assert len(read) == 40
    assert first.describe() == again.describe()
    save(photos / "cat" / "1.png", 1000)
    (photos / "dog" / "0.png").rename(photos / "dog" / "renamed.png")
    (photos / "dog" / "2.png").unlink()
    changed = data.load(str(photos), CONFIG)
    assert len(read) == 41
    images = {p: i for part in changed.parts.values() for p, i in zip(part.paths, part.images)}  # noqa: B905
    preprocessing = CONFIG.preprocessing()
    assert len(images) == 39
    for path, seed in (("cat/1.png", 1000), ("dog/renamed.png", 0), ("dog/4.png", 4)):
        assert (images[path] == preprocessing.transform_image(np.asarray(image(seed)))).all()
    assert cache.clear() > 0
    data.load(str(photos), CONFIG)
    assert len(read) == 80


def test_datasets_larger_than_memory_stay_on_disk(photos, monkeypatch):
    inside = data.load(str(photos), CONFIG)
    monkeypatch.setattr(custom, "MAX_IN_MEMORY_BYTES", 0)
    outside = data.load(str(photos), CONFIG)
    assert isinstance(outside.train.images, LazyImages)
    assert outside.describe() == inside.describe()
    assert (np.asarray(outside.train.images) == inside.train.images).all()
    assert (outside.train.images[3:5] == inside.train.images[3:5]).all()


def test_a_read_only_cache_only_costs_time(photos, monkeypatch, tmp_path):
    expected = data.load(str(photos), CONFIG)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "file"))
    assert data.load(str(photos), CONFIG).describe() == expected.describe()


def test_a_wrong_bound_of_the_cache_loses_no_decoded_image(photos, monkeypatch, tmp_path):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NEOCOG_CACHE_SIZE", "much")
    with pytest.raises(UsageError, match="number of gigabytes, not 'much'"):
        data.load(str(photos), CONFIG)
    monkeypatch.delenv("NEOCOG_CACHE_SIZE")
    monkeypatch.setattr(decode_cache, "decode_with_metadata", lambda *_: pytest.fail("again"))
    assert sum(map(len, data.load(str(photos), CONFIG).parts.values())) == 40


def test_decoding_evicts_what_was_used_least_recently(photos, monkeypatch, tmp_path):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NEOCOG_CACHE_SIZE", "0.0001")  # 100 kB: one of the two stores
    data.load(str(photos), CONFIG)
    (old,) = decode_cache.decoded_folder().iterdir()
    os.utime(old, (0, 0))
    kept = data.load(str(photos), replace(CONFIG, image_size=24)).train
    (new,) = decode_cache.decoded_folder().iterdir()
    assert new != old and len(kept)


def test_a_damaged_cache_is_rebuilt(photos):
    expected = data.load(str(photos), CONFIG)
    for file in decode_cache.decoded_folder().rglob("index.json"):
        file.write_text("{")
    assert data.load(str(photos), CONFIG).describe() == expected.describe()
    for file in decode_cache.decoded_folder().rglob("*.pixels"):
        file.write_bytes(b"short")
    assert data.load(str(photos), CONFIG).describe() == expected.describe()


def test_training_images_can_have_their_own_resize(photos):
    form = data.DataConfig((0.5,) * 3, (0.5,) * 3, None, "crop", 16, resize=20, train_resize=17)
    splits = data.load(str(photos), form)
    for part, resize in ((splits.train, 17), (splits.validation, 20), (splits.test, 20)):
        preprocessing = data.DataConfig(
            (0.5,) * 3, (0.5,) * 3, None, "crop", 16, resize=resize
        ).preprocessing()
        seed = int(Path(part.paths[0]).stem)
        assert (part.images[0] == preprocessing.transform_image(np.asarray(image(seed)))).all()
    assert splits.preprocessing.resize == 20


def test_other_dataset_files_are_refused():
    assert custom.exists("no/such") is False
    assert custom.exists("x" * 5000) is False


def test_a_full_disk_is_reported_before_decoding(photos, monkeypatch):
    monkeypatch.setattr(
        decode_cache.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1)
    )
    with pytest.raises(NeocogError, match=r"40 decoded images take .* has room for 0.0 GB"):
        data.load(str(photos), CONFIG)


def test_run_folders_and_contact_sheets_are_not_classes(photos, monkeypatch):
    from neocog.examine import inspect_dataset
    from neocog.report import contact_sheets

    monkeypatch.chdir(photos)
    contact_sheets.draw(inspect_dataset("."), Path("runs", "data", "photos"))
    (photos / "runs" / "one" / "plots").mkdir(parents=True)
    for name in ("recipe.json", "environment.json"):
        (photos / "runs" / "one" / name).write_text("{}")
    save(photos / "runs" / "one" / "plots" / "curves.png", 77)
    assert data.open_dataset(".").classes == ("cat", "dog")


def test_a_file_that_cannot_be_read_does_not_invalidate_the_cache(photos):
    (photos / "cat" / "empty.png").write_bytes(b"")
    (photos / "cat" / "text.png").write_text("hello")
    first = data.load(str(photos), CONFIG)
    before = sorted(decode_cache.decoded_folder().rglob("*.pixels"))
    progress = []
    again = data.load(str(photos), CONFIG, lambda *counts: progress.append(counts))
    assert sorted(decode_cache.decoded_folder().rglob("*.pixels")) == before and not progress
    assert again.findings == first.findings and len(first.findings) == 2


def test_two_processes_can_decode_the_same_dataset(photos):
    """The second starts and finishes while the first is decoding."""
    inner = []

    def meanwhile(*_):
        if not inner:
            inner.append(data.load(str(photos), CONFIG))

    outer = data.load(str(photos), CONFIG, meanwhile)
    assert outer.describe() == inner[0].describe()
    assert data.load(str(photos), CONFIG).describe() == outer.describe()


def test_names_that_are_not_utf_8_are_read(photos):
    import os

    folder = os.fsencode(photos) + b"/" + "狗".encode("gbk")
    os.rename(photos / "cat", folder)  # noqa: PTH104 - bytes are no Path
    splits = data.load(str(photos), CONFIG)
    assert splits.classes == ("dog", "狗")
    assert all(path.encode() for path in splits.train.paths)


def test_circular_links_are_reported_as_links(photos):
    (photos / "cat" / "loop.png").symlink_to("loop.png")
    (photos / "cat" / "nothing.png").symlink_to("none.png")
    index = data.open_dataset(str(photos))
    assert [kind for kind, _ in index.unused] == ["link", "link"]


def test_odd_names_in_zip_files_are_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for n in range(40):
            content = io.BytesIO()
            image(n).save(content, "PNG")
            name = (f"./cat/{n}.png", f"dog//{n}.png", f"cat\\{n}.png")[n % 3]
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            archive.writestr(entry, content.getvalue())
    assert data.open_dataset(str(tmp_path / "set.zip")).classes == ("cat", "dog")
    assert len(data.open_dataset(str(tmp_path / "set.zip")).samples) == 40


def test_a_decompression_bomb_is_refused(photos, monkeypatch):
    from neocog.data.sources import archive

    monkeypatch.setattr(archive, "MIN_UNPACKED_LIMIT_BYTES", 0)
    monkeypatch.setattr(archive, "MAX_COMPRESSION_RATIO", 1)
    with pytest.raises(NeocogError, match="a bomb"):
        data.open_dataset(str(packed(photos, "gztar")))


def test_absurd_table_cells_are_handled(photos, tmp_path):
    good = [(f"photos/{p.parent.name}/{p.name}", p.parent.name) for p in photos.rglob("*.png")]
    rows = [("path", "label"), ("x" * 5000, "cat"), *good]
    index = data.open_dataset(write_csv(tmp_path / "list.csv", rows, "utf-16"))
    assert len(index.samples) == 40 and index.unused[0][0] == "missing"
    (tmp_path / "list.csv").write_text('path,label\n"' + "x" * 200_000 + '",cat\n')
    with pytest.raises(NeocogError, match="line"):
        data.open_dataset(str(tmp_path / "list.csv"))


def test_no_validation_means_none(photos):
    form = data.DataConfig((0.5,) * 3, (0.5,) * 3, validation_size=0, image_size=16)
    assert len(data.load(str(photos), form).validation) == 0


def test_a_class_missing_from_a_split_because_of_groups_is_reported(photos, tmp_path):
    rows = [("path", "label", "group")]
    for path in sorted(photos.rglob("*.png")):
        n, label = int(path.stem), path.parent.name
        rows.append((f"photos/{label}/{n}.png", label, f"{n // 20}" if label == "cat" else ""))
    splits = data.load(write_csv(tmp_path / "list.csv", rows), CONFIG)
    assert "class_missing" in {finding.kind for finding in splits.findings}


def test_an_unknown_zip_compression_is_not_reported_as_a_password(photos, monkeypatch):
    def unknown(*_):
        raise NotImplementedError("That compression method is not supported")

    path = str(packed(photos, "zip"))
    monkeypatch.setattr(zipfile.ZipFile, "open", unknown)
    image = data.open_dataset(path).samples[0]
    with pytest.raises(NeocogError, match="cannot be unpacked"):
        image.source()


def test_a_blank_image_is_reported(photos):
    Image.new("RGBA", (60, 40), (0, 0, 0, 0)).save(photos / "cat" / "nothing.png")
    splits = data.load(str(photos), CONFIG)
    (blank,) = [finding for finding in splits.findings if finding.kind == "blank"]
    assert blank.count == 1 and "cat/nothing.png" in blank.paths


def test_grey_images_for_an_rgb_network_are_reported(tmp_path):
    random = np.random.default_rng(0)
    for n in range(40):
        pixels = random.integers(0, 255, (24, 24), dtype=np.uint8)
        image = Image.fromarray(pixels)
        folder = tmp_path / "ab"[n % 2]
        folder.mkdir(exist_ok=True)
        (image if n < 3 else image.convert("RGB")).save(folder / f"{n}.png")
    rgb = data.DataConfig((0.5,) * 3, (0.5,) * 3)
    findings = [f for f in data.load(str(tmp_path), rgb).findings if f.kind == "grey_to_rgb"]
    assert [(f.severity, f.count) for f in findings] == [("note", 3)]
    assert findings[0].message.text().startswith("3 grey images: the channel")
    assert findings[0].paths == ("a/0.png", "a/2.png", "b/1.png")
    kinds = {f.kind for f in data.load(str(tmp_path), data.DataConfig()).findings}
    assert "grey_to_rgb" not in kinds  # the network takes grey images


def test_a_table_can_name_outside_files_only_with_allow_outside(photos, tmp_path):
    (tmp_path / "tables" / "in").mkdir(parents=True)
    (tmp_path / "tables" / "link.png").symlink_to(photos / "cat" / "3.png")
    save(tmp_path / "tables" / "in" / "own.png", 500)
    outside = ["../photos/dog/0.png", str(photos / "cat" / "1.png"), "link.png"]
    rows = [("path", "label"), *((name, "x") for name in outside)]
    with pytest.raises(NeocogError, match=r"only files outside.*3 of 3 rows.*allow_outside=True"):
        data.open_dataset(write_csv(tmp_path / "tables" / "list.csv", rows))
    rows += [("in/own.png", "y"), ("in/../in/own.png", "y")]
    path = write_csv(tmp_path / "tables" / "list.csv", rows)
    index = data.open_dataset(path)
    assert [p.path for p in index.samples] == ["in/own.png", "in/../in/own.png"]
    assert index.unused == [("outside", name) for name in outside]
    assert len(data.open_dataset(path, allow_outside=True).samples) == 5


def test_allow_outside_is_recorded_and_applies_to_evaluate(photos, tmp_path, neocog_command):
    rows = [("path", "label"), *((str(p), p.parent.name) for p in sorted(photos.rglob("*.png")))]
    (tmp_path / "tables").mkdir()
    path = write_csv(tmp_path / "tables" / "list.csv", rows)
    train = ("train", path, "--recipe", "scratch", "--epochs", 1, "--set", "model=lenet5")
    assert neocog_command(*train)[0] == 1
    code, _, err = neocog_command(*train, "--allow-outside", "--json")
    assert code == 0, err
    assert neocog_command("evaluate", "latest", "--json")[0] == 0
    assert neocog_command("train", "--resume", "latest", "--json")[0] == 0
    code, _, err = neocog_command("evaluate", "latest", path)
    assert code == 0, err  # its own data
    shutil.copy(path, tmp_path / "tables" / "other.csv")
    code, _, err = neocog_command("evaluate", "latest", tmp_path / "tables" / "other.csv")
    assert code == 1 and "--allow-outside" in err
    other = tmp_path / "tables" / "other.csv"
    assert neocog_command("evaluate", "latest", other, "--allow-outside")[0] == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_special_file_in_a_table_is_reported(photos, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    rows = [("path", "label"), ("pipe.png", "cat"), ("photos/cat/1.png", "cat")]
    index = data.open_dataset(write_csv(tmp_path / "list.csv", rows))
    assert index.unused == [("special", "pipe.png")]


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    from neocog.data.sources import archive

    monkeypatch.setattr(archive, "MIN_UNPACKED_LIMIT_BYTES", 10 * 2**20)
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for n in range(40):
            packed.writestr(f"a/{n}.png", bytes(2**20))
    with pytest.raises(NeocogError, match=r"unpacks to more than .*bomb"):
        data.open_dataset(str(tmp_path / "set.zip"))


def test_a_zip_member_with_an_extreme_compression_ratio_is_refused(tmp_path, monkeypatch):
    from neocog.data.sources import archive

    monkeypatch.setattr(archive, "MIN_MEMBER_LIMIT_BYTES", 2**20)
    content = io.BytesIO()
    image(1, 1500).save(content, "BMP")  # 6.8 MB, which compress well
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/zeros.png", bytes(32 * 2**20))
        packed.writestr("b/fine.bmp", content.getvalue()[: 2**20])
    samples = {p.path: p for p in data.open_dataset(str(tmp_path / "set.zip")).samples}
    with pytest.raises(NeocogError, match="more than 100 times its size"):
        samples["a/zeros.png"].source()
    assert len(samples["b/fine.bmp"].source()) == 2**20


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_an_archive_of_too_many_entries_is_refused(photos, monkeypatch, kind):
    from neocog.data.sources import archive

    path = packed(photos, kind)
    monkeypatch.setattr(archive, "MAX_ENTRIES", 30)
    with pytest.raises(NeocogError, match=r"more than 30 files and folders.*use the folder"):
        data.open_dataset(str(path))


def test_a_table_that_is_too_large_is_refused(photos, tmp_path, monkeypatch):
    path = write_csv(tmp_path / "list.csv", [("path", "label"), *[("a", "b")] * 50])
    monkeypatch.setattr(csv_file, "MAX_ROWS", 20)
    with pytest.raises(NeocogError, match="more than 20 rows"):
        data.open_dataset(path)
    monkeypatch.setattr(csv_file, "MAX_TABLE_BYTES", 20)
    with pytest.raises(NeocogError, match="larger than"):
        data.open_dataset(path)


@pytest.mark.parametrize("way", ["above", "absolute", "link"])
def test_a_cache_index_cannot_name_a_file_outside_the_cache(photos, tmp_path, monkeypatch, way):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    expected = data.load(str(photos), CONFIG)
    (index,) = decode_cache.decoded_folder().rglob("index.json")
    values = checksummed.load_json(index)
    outside = tmp_path / "precious"
    (index.parent / values["pixels"]).rename(outside)
    if way == "link":
        (index.parent / values["pixels"]).symlink_to(outside)
    else:
        named = os.path.relpath(outside, index.parent) if way == "above" else str(outside)
        checksummed.save_json(index, {**values, "pixels": named})
    outside.write_bytes(bytes(outside.stat().st_size))  # what would be trained on instead
    save(photos / "cat" / "more.png", 4000)  # rewrites the store
    loaded = data.load(str(photos), CONFIG)
    assert outside.is_file()
    images = dict(zip(loaded.train.paths, loaded.train.images, strict=True))
    for path, image in zip(expected.train.paths, expected.train.images, strict=True):
        assert (images.get(path, image) == image).all()
