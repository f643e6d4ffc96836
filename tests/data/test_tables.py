import numpy as np
import pytest
from PIL import Image

from neocog import data
from neocog.data import cache, tables
from neocog.data.preprocess import Preprocessing
from neocog.errors import NeocogError

RULE = Preprocessing((8, 8), 3, "square", (0.5,) * 3, (0.5,) * 3)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")


def pictures(count, seed=0):
    random = np.random.default_rng(seed)
    made = random.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return made, [(Image.fromarray(p), k % 2) for k, p in enumerate(made)]


def test_reads_pictures_labels_and_class_names(tmp_path, parquet):
    made, rows = pictures(6)
    file = parquet(tmp_path / "some.parquet", rows, ["cat", "dog"])
    (table,) = tables.read_parquet(file).values()
    found, skipped = tables.decode(table, RULE)
    assert (found.images == made).all()
    assert found.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert found.classes == ("cat", "dog") and not skipped


def test_pictures_are_decoded_once(tmp_path, parquet, monkeypatch):
    made, rows = pictures(4)
    file = parquet(tmp_path / "some.parquet", rows, ["a", "b"])
    tables.decode(tables.read_parquet(file)["train"], RULE)
    monkeypatch.setattr(tables, "read_pictures", lambda *_: pytest.fail("decoded again"))
    again, _ = tables.decode(tables.read_parquet(file)["train"], RULE)
    assert (again.images == made).all()


def test_a_changed_file_is_decoded_anew(tmp_path, parquet):
    file = tmp_path / "some.parquet"
    for seed in (0, 1):
        made, rows = pictures(4, seed)
        parquet(file, rows, ["a", "b"])
        found, _ = tables.decode(tables.read_parquet(file)["train"], RULE)
        assert (found.images == made).all()


def test_an_unreadable_row_is_told_every_time(tmp_path, parquet):
    _, rows = pictures(4)
    rows[2] = (b"no picture", 0)
    file = parquet(tmp_path / "some.parquet", rows, ["a", "b"])
    for _ in range(2):
        found, skipped = tables.decode(tables.read_parquet(file)["train"], RULE)
        assert len(found) == 3 and found.labels.tolist() == [0, 1, 1]
        assert skipped == ["row 2: the file is not a picture (PNG, JPEG, BMP, GIF, TIFF, WebP)"]


def test_a_folder_of_tables_is_split_by_their_names(tmp_path, parquet):
    for k, (name, count) in enumerate((("train-00000-of-00002", 30), ("train-00001-of-00002", 30),
                                       ("test-00000-of-00001", 20))):  # fmt: skip
        parquet(tmp_path / "set" / f"{name}.parquet", pictures(count, k)[1], ["a", "b"])
    splits = data.load(str(tmp_path / "set"), data.Form((0.5,) * 3, (0.5,) * 3, image_size=8))
    assert {name: len(part) for name, part in splits.parts.items()} == {
        "train": 50, "validation": 10, "test": 20,
    }  # fmt: skip


def test_one_table_is_split_in_three(tmp_path, parquet):
    file = parquet(tmp_path / "all.parquet", pictures(100)[1], ["a", "b"])
    splits = data.load(str(file), data.Form((0.5,) * 3, (0.5,) * 3, image_size=8))
    assert [len(part) for part in splits.parts.values()] == [68, 16, 16]


def test_a_table_without_notes_is_read_by_its_types(tmp_path, parquet):
    file = parquet(tmp_path / "plain.parquet", pictures(4)[1], None)
    (table,) = tables.read_parquet(file).values()
    assert table.classes == ("0", "1")


def test_wrong_tables_are_refused(tmp_path, parquet):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(NeocogError, match=r"damaged or no Parquet file"):
        tables.read_parquet(tmp_path / "broken.parquet")
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "other.parquet")
    with pytest.raises(NeocogError, match=r"no column of pictures.*its columns are x"):
        tables.read_parquet(tmp_path / "other.parquet")
    file = parquet(tmp_path / "label.parquet", [(pictures(1)[1][0][0], 7)], ["a", "b"])
    with pytest.raises(NeocogError, match=r"has a label 7, and there are 2 classes"):
        tables.read_parquet(file)
