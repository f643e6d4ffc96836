import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from neocog import data
from neocog.data.preprocess import Preprocessing
from neocog.data.sources import parquet as parquet_file
from neocog.errors import NeocogError

from ...memory import megabytes_of_refusals

PREPROCESSING = Preprocessing((8, 8), 3, "square", (0.5,) * 3, (0.5,) * 3)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))


def images(count, seed=0):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return pixels, [(Image.fromarray(p), k % 2) for k, p in enumerate(pixels)]


def test_reads_images_labels_and_class_names(tmp_path, parquet):
    pixels, rows = images(6)
    file = parquet(tmp_path / "some.parquet", rows, ["cat", "dog"])
    (table,) = parquet_file.read_parquet(file).values()
    decoded, skipped = parquet_file.decode_table(table, PREPROCESSING)
    assert (decoded.images == pixels).all()
    assert decoded.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert decoded.classes == ("cat", "dog") and not skipped


def test_images_are_decoded_once(tmp_path, parquet, monkeypatch):
    pixels, rows = images(4)
    file = parquet(tmp_path / "some.parquet", rows, ["a", "b"])
    parquet_file.decode_table(parquet_file.read_parquet(file)["train"], PREPROCESSING)
    monkeypatch.setattr(parquet_file, "read_images", lambda *_: pytest.fail("decoded again"))
    again, _ = parquet_file.decode_table(parquet_file.read_parquet(file)["train"], PREPROCESSING)
    assert (again.images == pixels).all()


def test_a_changed_file_is_decoded_again(tmp_path, parquet):
    file = tmp_path / "some.parquet"
    for seed in (0, 1):
        pixels, rows = images(4, seed)
        parquet(file, rows, ["a", "b"])
        decoded, _ = parquet_file.decode_table(
            parquet_file.read_parquet(file)["train"], PREPROCESSING
        )
        assert (decoded.images == pixels).all()


def test_an_unreadable_row_is_reported_every_time(tmp_path, parquet):
    _, rows = images(4)
    rows[2] = (b"no image", 0)
    file = parquet(tmp_path / "some.parquet", rows, ["a", "b"])
    for _ in range(2):
        decoded, skipped = parquet_file.decode_table(
            parquet_file.read_parquet(file)["train"], PREPROCESSING
        )
        assert len(decoded) == 3 and decoded.labels.tolist() == [0, 1, 1]
        assert skipped == [
            "row 2: the file is not an image (PNG, JPEG, BMP, GIF, TIFF, WebP, AVIF, HEIC)"
        ]


def test_a_folder_of_tables_is_split_by_file_name(tmp_path, parquet):
    for k, (name, count) in enumerate((("train-00000-of-00002", 30), ("train-00001-of-00002", 30),
                                       ("test-00000-of-00001", 20))):  # fmt: skip
        parquet(tmp_path / "set" / f"{name}.parquet", images(count, k)[1], ["a", "b"])
    splits = data.load(str(tmp_path / "set"), data.DataConfig((0.5,) * 3, (0.5,) * 3, image_size=8))
    assert {name: len(part) for name, part in splits.parts.items()} == {
        "train": 50, "validation": 10, "test": 20,
    }  # fmt: skip


def test_one_table_is_split_in_three(tmp_path, parquet):
    file = parquet(tmp_path / "all.parquet", images(100)[1], ["a", "b"])
    splits = data.load(str(file), data.DataConfig((0.5,) * 3, (0.5,) * 3, image_size=8))
    assert [len(part) for part in splits.parts.values()] == [68, 16, 16]


def test_a_table_without_metadata_is_read_by_its_types(tmp_path, parquet):
    file = parquet(tmp_path / "plain.parquet", images(4)[1], None)
    (table,) = parquet_file.read_parquet(file).values()
    assert table.classes == ("0", "1")


def test_wrong_tables_are_refused(tmp_path, parquet):
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(NeocogError, match=r"damaged or not a Parquet file"):
        parquet_file.read_parquet(tmp_path / "broken.parquet")
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "other.parquet")
    with pytest.raises(NeocogError, match=r"no column of images.*its columns are x"):
        parquet_file.read_parquet(tmp_path / "other.parquet")
    file = parquet(tmp_path / "label.parquet", [(images(1)[1][0][0], 7)], ["a", "b"])
    with pytest.raises(NeocogError, match=r"has a label 7, and there are 2 classes"):
        parquet_file.read_parquet(file)


def with_metadata(table, names, kind="ClassLabel"):
    """Add Hugging Face metadata about the column `label` to a table."""
    features = {"img": {"_type": "Image"}, "label": {"names": names, "_type": kind}}
    notes = json.dumps({"info": {"features": features}})
    return table.replace_schema_metadata({"huggingface": notes})


def raw(labels, content=b"x", kind=None):
    images = [{"bytes": content, "path": "a.png"}] * len(labels)
    return pa.table({"img": images, "label": pa.array(labels, kind)})


HUGE = {
    "label of 10^9": (lambda: raw([0, 1, 10**9]), "has a label 1,000,000,000 and 3 rows"),
    "label of 10^18": (lambda: raw([0, 10**18]), "has a label 1,000,000,000,000,000,000"),
    "as many as rows": (lambda: raw([0, 3, 1]), "has a label 3 and 3 rows"),
    "negative": (lambda: raw([0, -1]), "has a label -1"),
    "no label": (lambda: raw([0, None]), "rows without a label"),
    "a text as a label": (lambda: raw(["a", "b"]), "no column of integer labels"),
    "uint64": (
        lambda: raw([0, 2**64 - 1], kind=pa.uint64()),
        "has a label 18,446,744,073,709,551,615",
    ),
    "names that are a text": (lambda: with_metadata(raw([0, 1]), "ab"), "not by 'ab'"),
    "names that are a dict": (
        lambda: with_metadata(raw([0, 1]), {"a": 0, "b": 1}),
        "not by {'a': 0, 'b': 1}",
    ),
    "names twice": (lambda: with_metadata(raw([0, 1]), ["a", "a"]), r"not by ['a', 'a']"),
    "a million names": (
        lambda: with_metadata(raw([0]), [str(k) for k in range(10**6)]),
        "list of 1,000,000",
    ),
    "a million rows": (lambda: raw([0] * 10**6), "promises 1,000,000 rows"),
    "large images": (lambda: raw([0] * 300, b"\0" * 10**6), "bytes"),
}


@pytest.mark.parametrize("name", HUGE)
def test_sizes_in_headers_are_not_trusted(name, tmp_path):
    make, says = HUGE[name]
    pq.write_table(make(), tmp_path / "t.parquet", compression="zstd")
    with pytest.raises(NeocogError) as caught:
        parquet_file.read_parquet(tmp_path / "t.parquet")
    assert says in caught.value.message and "\n" not in caught.value.message


def test_a_small_table_takes_little_memory(tmp_path):
    for place, (make, _) in enumerate(HUGE.values()):
        pq.write_table(make(), tmp_path / f"{place}.parquet", compression="zstd")
    megabytes, printed = megabytes_of_refusals(
        tmp_path,
        "*.parquet",
        "import pyarrow.parquet\nfrom neocog.data.sources import parquet as parquet_file",
        "parquet_file.read_parquet",
    )
    assert len(megabytes) == len(HUGE), printed
    assert max(megabytes) < 100, printed


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """A Parquet file with two images, and its content."""
    path = tmp_path_factory.mktemp("parquet") / "small.parquet"
    rows = [{"bytes": Image.new("RGB", (8, 8), c).tobytes(), "path": "a"} for c in ("red", "blue")]
    pq.write_table(with_metadata(pa.table({"img": rows, "label": [0, 1]}), ["red", "blue"]), path)
    return path, path.read_bytes()


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_table_is_read_or_refused(small_file, data):
    path, content = small_file
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))])
    try:
        decoded = parquet_file.read_parquet(path)
    except NeocogError as error:
        assert "\n" not in error.message  # noqa: PT017
        return
    for table in decoded.values():
        assert table.labels.max(initial=0) < len(table.classes)


CELLS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 4)
NAMES = st.recursive(st.none() | st.text(max_size=3) | st.integers(), st.lists, max_leaves=4)


@settings(deadline=None, max_examples=200)
@given(st.lists(CELLS, max_size=6), NAMES, st.sampled_from(["ClassLabel", "Value", 3, None]))
def test_any_labels_and_metadata_are_read_or_refused(tmp_path_factory, labels, names, kind):
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    pq.write_table(with_metadata(raw(labels, kind=pa.int64()), names, kind), path)
    try:
        (table,) = parquet_file.read_parquet(path).values()
    except NeocogError as error:
        assert "\n" not in error.message  # noqa: PT017
        return
    assert table.labels.tolist() == labels and max(labels) < len(table.classes) <= 10**5
