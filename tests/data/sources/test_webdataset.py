"""WebDataset: real photos, packed as its own writer packs them, and files that are wrong."""

import io
import json
import os
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from neocog import data
from neocog.data.sources import archive, webdataset
from neocog.errors import NeocogError, UsageError

FOLDERS = [Path(folder) for folder in os.environ.get("NEOCOG_DATA", "").split(os.pathsep)]
PHOTOS = next((f / "hymenoptera" for f in FOLDERS if (f / "hymenoptera").is_dir()), None)
CONFIG = data.DataConfig((0.5,) * 3, (0.5,) * 3, fit="crop", image_size=32, resize=36)


def write(path, files):
    """Write a tar file, compressed as its name says, of (name, content) pairs; a text is UTF-8."""
    kind = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}.get(path.suffix[1:], "w")
    with tarfile.open(path, kind) as packed:
        for name, content in files:
            content = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return path


def png(seed):
    content = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def pairs(count=4, first=0):
    """The files of samples 0000.png, 0000.cls, ... with classes 0 and 1."""
    for n in range(first, first + count):
        yield from ((f"{n:04}.png", png(n)), (f"{n:04}.cls", str(n % 2)))


def index_of(path):
    return data.open_dataset(str(path))


def labels(index):
    return [(sample.path, sample.label) for sample in index.samples]


def photo_samples(split, count):
    files = sorted(PHOTOS.glob(f"{split}/*/*.jpg"))
    return enumerate(files[:: max(1, len(files) // count)][:count])


@pytest.mark.skipif(PHOTOS is None, reason="needs hymenoptera in a folder named by NEOCOG_DATA")
def test_shards_of_real_photos_give_the_same_splits_as_their_folders(tmp_path):
    for split in ("train", "val"):
        files = []
        for n, file in photo_samples(split, 24):
            target = tmp_path / "folder" / split / file.parent.name / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
            files += [(f"{n:06}.jpg", file.read_bytes()), (f"{n:06}.cls", file.parent.name)]
            files += [(f"{n:06}.txt", "a caption, which is not used")]
        (tmp_path / "shards").mkdir(exist_ok=True)
        write(tmp_path / "shards" / f"{split}-000000.tar", files[:36])
        write(tmp_path / "shards" / f"{split}-000001.tar.gz", files[36:])
    from_folder = data.load(str(tmp_path / "folder"), CONFIG)
    from_shards = data.load(str(tmp_path / "shards"), CONFIG)
    for name, part in from_folder.parts.items():
        other = from_shards.parts[name]
        assert len(part) and len(other) == len(part)
        assert part.classes == other.classes == ("ants", "bees")
        order, other_order = (np.argsort(p.digests) for p in map(_hashed, (part, other)))
        assert (part.images[order] == other.images[other_order]).all()
        assert (part.labels[order] == other.labels[other_order]).all()


class _hashed:  # noqa: N801 - a function that names its result
    def __init__(self, part):
        self.digests = np.array([bytes(np.ascontiguousarray(image)) for image in part.images])


@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "s.tgz", "s.tar.bz2", "s.tar.xz"])
def test_class_names_and_json(tmp_path, name):
    files = [
        ("a/x.jpg", png(0)), ("a/x.cls", "cat\n"),
        ("b/x.JPEG", png(1)), ("b/x.json", "{}"), ("b/x.cls", "狗"),
        ("c.png", png(2)), ("c.json", json.dumps({"label": 7, "cls": "dog"})),
        ("d.webp", png(3)), ("d.json", json.dumps({"caption": "x", "label": 7})),
    ]  # fmt: skip
    index = index_of(write(tmp_path / name, files))
    expected = [("a/x.jpg", "cat"), ("b/x.JPEG", "狗"), ("c.png", "dog"), ("d.webp", "7")]
    assert labels(index) == expected
    assert index.classes == ("7", "cat", "dog", "狗") and not index.unused
    assert [sample.source() for sample in index.samples] == [png(n) for n in range(4)]
    assert {sample.split for sample in index.samples} == {None}


def test_numbers_are_sorted_as_numbers(tmp_path):
    files = [f for n in (10, 9, 0) for f in ((f"{n}.png", png(n)), (f"{n}.cls", str(n)))]
    assert index_of(write(tmp_path / "s.tar", files)).classes == ("0", "9", "10")


def test_a_pattern_and_a_folder_name_several_files(tmp_path):
    for n in range(12):
        write(tmp_path / f"x-{n:03}.tar", pairs(2, 2 * n))
    (tmp_path / "README.md").write_text("about")
    folder, pattern = index_of(tmp_path), index_of(tmp_path / "x-{000..011}.tar")
    assert labels(folder) == labels(pattern) and len(folder.samples) == 24
    assert folder.samples[2].path == "x-001.tar/0002.png"
    assert folder.unused == [("other_file", "README.md")] and not pattern.unused
    some = index_of(tmp_path / "x-{00..00}{0..1}.tar")
    assert labels(some) == labels(folder)[:4]
    assert data.exists(str(tmp_path / "x-{000..011}.tar")) and not data.exists("x-{0..1}.zip")
    with pytest.raises(NeocogError, match=r"x-012\.tar, which is missing"):
        index_of(tmp_path / "x-{009..012}.tar")
    with pytest.raises(NeocogError, match="names no files"):
        index_of(tmp_path / "x-{011..000}.tar")
    with pytest.raises(NeocogError, match="more than 100,000"):
        index_of(tmp_path / "{0..999999999}{0..999999999}.tar")


def test_many_compressed_files_are_refused(tmp_path, monkeypatch):
    for n in range(3):
        write(tmp_path / f"{n}.tgz", pairs(2, 2 * n))
    monkeypatch.setattr(webdataset, "MAX_COMPRESSED_SHARDS", 2)
    with pytest.raises(NeocogError, match="more than 2 compressed"):
        index_of(tmp_path)


def test_class_folders_stay_class_folders(tmp_path):
    """Also with a `.json` file beside each image, and beside a tar file of samples."""
    files = [(f"{'ab'[n % 2]}/{n}.png", png(n)) for n in range(4)]
    files += [(f"{'ab'[n % 2]}/{n}.json", '{"label": 3}') for n in range(4)]
    index = index_of(write(tmp_path / "set.tar", sorted(files)))
    assert index.classes == ("a", "b") and len(index.samples) == 4
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "b").mkdir(parents=True)
    (tmp_path / "in" / "a" / "0.png").write_bytes(png(0))
    (tmp_path / "in" / "b" / "1.png").write_bytes(png(1))
    write(tmp_path / "in" / "old.tar", pairs())
    index = index_of(tmp_path / "in")
    assert index.classes == ("a", "b") and ("other_file", "old.tar") in index.unused
    with pytest.raises(NeocogError, match="in no class folder"):
        index_of(write(tmp_path / "loose.tar", [("1.png", png(1)), ("2.png", png(2))]))


@pytest.mark.parametrize(
    ("extension", "content"),
    [
        ("cls", ""), ("cls", " \n"), ("cls", b"\xff\xfe\x00"), ("cls", "a\nb"), ("cls", "x" * 5000),
        ("json", "{"), ("json", "[1]"), ("json", '{"cls": [1]}'), ("json", '{"label": true}'),
        ("json", '{"label": NaN}'), ("json", "[" * 10_000), ("json", '{"cls": null, "label": 1}'),
        ("json", '{"label": "' + "x" * 2**20 + '"}'), ("seg.png", png(9)),
    ],
)  # fmt: skip
def test_an_image_without_a_class_is_reported(tmp_path, extension, content):
    files = [*pairs(), ("x.png", png(8)), (f"x.{extension}", content), ("y.mp3", b"")]
    index = index_of(write(tmp_path / "s.tar", files))
    assert len(index.samples) == 4 and ("no_cls", "x.png") in index.unused
    assert ("other_file", "y.mp3") in index.unused
    assert (("other_file", "x.seg.png") in index.unused) == (extension == "seg.png")


def test_no_class_at_all_is_refused(tmp_path):
    with pytest.raises(NeocogError, match=r"no image with a class .*KEY\.cls"):
        index_of(write(tmp_path / "s.tar", [("x.png", png(0)), ("x.cls", "")]))


def test_of_images_with_the_same_key_the_first_is_used(tmp_path):
    again = [("0000.png", png(50)), ("0000.cls", "1"), ("0001.jpg", png(51))]
    index = index_of(write(tmp_path / "s.tar", [*pairs(), *again]))
    assert labels(index)[0] == ("0000.png", "0") and index.samples[0].source() == png(0)
    assert index.unused == [("repeated_key", "0000.png"), ("repeated_key", "0001.jpg")]


def test_links_and_names_that_point_out_are_not_used(tmp_path):
    path = write(tmp_path / "s.tar", [*pairs(), ("../out.png", png(7)), ("../out.cls", "1")])
    with tarfile.open(path, "a") as packed:
        for name, target in (("link.png", "/etc/passwd"), ("0003.cls", "0001.cls")):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            packed.addfile(entry)
    index = index_of(path)
    assert len(index.samples) == 4
    assert sorted({kind for kind, _ in index.unused}) == ["link", "points_out"]


@pytest.mark.parametrize("name", ["s.tar", "s.tar.gz", "s.tar.bz2"])
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, name):
    path = write(tmp_path / name, pairs(8))
    content = path.read_bytes()
    for length in range(0, len(content) - 600, len(content) // 40):
        path.write_bytes(content[:length])
        with suppress(NeocogError, UsageError):
            index = index_of(path)  # it ended between two files
            assert name == "s.tar" and all(len(s.source()) == s.stamp[0] for s in index.samples)


def test_the_limits_of_archives_hold(tmp_path, monkeypatch):
    path = write(tmp_path / "s.tar.gz", pairs(20))
    monkeypatch.setattr(archive, "MAX_ENTRIES", 30)
    with pytest.raises(NeocogError, match="more than 30 files"):
        index_of(path)
    monkeypatch.setattr(archive, "MAX_ENTRIES", 100)
    monkeypatch.setattr(archive, "MIN_UNPACKED_LIMIT_BYTES", 0)
    monkeypatch.setattr(archive, "MAX_COMPRESSION_RATIO", 1)
    with pytest.raises(NeocogError, match="a bomb"):
        index_of(path)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    names=st.lists(st.text("ab./\\ :猫", min_size=1, max_size=8), min_size=1, max_size=5),
    content=st.binary(max_size=40),
)
def test_any_names_and_any_bytes_are_read_or_refused(tmp_path, names, content):
    files = [(name + end, content) for name in names for end in (".png", ".cls", ".json")]
    path = write(tmp_path / "s.tar", [*pairs(), *files])
    index = index_of(path)
    assert [label for _, label in labels(index)[:4]] == ["0", "1", "0", "1"]
    assert len({sample.path for sample in index.samples}) == len(index.samples)
    for sample in index.samples:
        assert ".." not in Path(sample.path.replace("\\", "/")).parts
        sample.source()


def test_the_command_reads_shards(tmp_path, neocog_command):
    write(tmp_path / "s-0.tar", pairs(30))
    write(tmp_path / "s-1.tar", [*pairs(30, 30), ("x.png", png(99))])
    code, out, _ = neocog_command("data", tmp_path / "s-{0..1}.tar", "--json")
    result = json.loads(out)
    assert code == 0 and result["n"] == 60 and result["classes"] == ["0", "1"]
    found = {finding["kind"]: finding["paths"] for finding in result["findings"]}
    assert found["no_cls"] == ["s-1.tar/x.png"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_listed_is_not_its_matter(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    assert not webdataset.can_read(tmp_path / "closed")
