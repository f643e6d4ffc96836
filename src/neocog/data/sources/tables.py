"""Tables of images: CSV with their paths, Parquet (the Hugging Face layout) with their bytes."""

import csv
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.cache import remembered
from neocog.data.decode import read_images, special_kind
from neocog.data.images import ImageSet
from neocog.data.preprocess import Preprocessing
from neocog.data.sources.folder import is_inside
from neocog.data.sources.index import SPLIT_NAMES, SPLIT_OF, DatasetIndex, Sample
from neocog.errors import NeocogError
from neocog.json_fields import parse, short

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


# What the columns of a CSV file may be called, in lower case.
COLUMNS = {
    "path": ("path", "file", "filename", "image", "image"),
    "label": ("label", "class", "category", "target"),
    "split": ("split", "set", "subset"),
    "group": ("group",),
}
ROWS_AT_ONCE = 64  # of a Parquet file
# A Parquet file may unpack to so many times its size, or to so many bytes, whichever is more.
MOST_RATIO, LEAST_LIMIT = 100, 256 * 2**20
MOST_CLASSES = 100_000
MAX_TABLE_BYTES, MAX_ROWS = 256 * 2**20, 2_000_000  # of a CSV file
DECODING = 1  # counted up where the same files and rule give other pixels: what was kept is stale


@dataclass(frozen=True)
class Table:
    """The rows of one split: encoded images (PNG, JPEG, ...), labels, classes in their order.

    `classes` are the same for all splits of a data set.
    """

    files: tuple[Path, ...]
    samples: list[bytes]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def list_parquet(path: Path) -> DatasetIndex:
    """The images of a Parquet file or folder. Raises as `read_parquet` does."""
    tables = read_parquet(path)
    if "train" not in tables and len(tables) > 1:
        raise NeocogError(
            f"{path} has tables of {' and '.join(tables)}, and none to train on.",
            f"Expected {path / 'train-00000-of-00001.parquet'}",
        )
    several = len(tables) > 1
    samples = [
        Sample(
            path=f"{split} row {row}" if several else f"row {row}",
            label=table.classes[label],
            source=content,
            stamp=(len(content), zlib.crc32(content)),
            split=split if several else None,
        )
        for split, table in tables.items()
        for row, (content, label) in enumerate(zip(table.samples, table.labels, strict=True))
    ]
    return DatasetIndex(path, samples, next(iter(tables.values())).classes)


def list_csv(path: Path, allow_outside: bool = False) -> DatasetIndex:
    """The images that a CSV file names: columns path and label, and split and group if it likes.

    Paths are relative to the file's folder; a file outside it is left out, unless `allow_outside`
    is set. Commas, semicolons or tabs part the columns. Raises NeocogError for a file without such
    columns or without an image that is there.
    """
    samples: list[Sample] = []
    left_out = []
    root, rows = path.parent.resolve(), 0
    for number, row in _csv_rows(path):
        rows += 1
        name, label = row.get("path", ""), row.get("label", "")
        file = path.parent / name
        if not name or not label:
            left_out.append(("no_label", name or f"line {number}"))
        elif not os.path.isfile(file):  # noqa: PTH113 - a cell may be too long for a name
            left_out.append(("special" if _is_special(file) else "missing", name))
        elif not allow_outside and not is_inside(file, root):
            left_out.append(("outside", name))
        else:
            facts = file.stat()
            split = row.get("split", "").lower()
            if split and split not in SPLIT_OF:
                raise NeocogError(
                    f"{path}, line {number}: there is no split {split!r}.",
                    f"Known: {', '.join(SPLIT_OF)}.",
                )
            stamp = (facts.st_size, facts.st_mtime_ns)
            group = row.get("group") or None
            samples.append(Sample(name, label, file, stamp, SPLIT_OF.get(split), group))
    if not samples:
        outside = sum(kind == "outside" for kind, _ in left_out)
        if outside:
            raise NeocogError(
                f"{path} names only files outside its folder ({outside:,} of {rows:,} rows).",
                "If you trust the file, add: --allow-outside",
            )
        raise NeocogError(
            f"{path} names no labelled image that is there ({rows:,} rows).",
            f"Paths are relative to {path.parent.resolve()}.",
        )
    if any(sample.split for sample in samples):  # what is not said to be held out is not
        samples = [replace(p, split=p.split or "train") for p in samples]
    return DatasetIndex(path, samples, tuple(sorted({p.label for p in samples})), left_out)


def _is_special(file: Path) -> bool:
    with suppress(OSError, ValueError):
        return bool(special_kind(file))
    return False


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, what it says by our names of the columns) of every row that is not empty."""
    with path.open("rb") as file:
        raw = file.read(MAX_TABLE_BYTES + 1)
    if len(raw) > MAX_TABLE_BYTES:
        raise NeocogError(f"{path} is larger than {MAX_TABLE_BYTES // 2**20} MB.")
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", errors="replace")  # as Chinese spreadsheets save it
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = [name.strip().lower() for name in next(table, [])]
        found = _columns(path, names)
        for number, row in enumerate(table):
            if number >= MAX_ROWS:
                raise NeocogError(f"{path} has more than {MAX_ROWS:,} rows.")
            if any(row):
                places = found.items()
                yield table.line_num, {k: row[n].strip() for k, n in places if n < len(row)}
    except csv.Error as error:
        raise NeocogError(f"{path}, line {table.line_num}: {error}.") from None


def _columns(path: Path, names: list[str]) -> dict[str, int]:
    """Where our columns are among the `names` of a table's. Raises NeocogError for others."""
    found = {
        ours: place
        for ours, theirs in COLUMNS.items()
        for place in [next((names.index(name) for name in theirs if name in names), None)]
        if place is not None
    }
    if not {"path", "label"} <= set(found):
        raise NeocogError(
            f"{path} has the columns {', '.join(names) or '(none)'}.",
            "Expected a first line path,label and, if you like, split and group (or file, image; "
            "class, category, target).",
        )
    return found


def is_parquet(path: Path) -> bool:
    """Whether `path` is a Parquet file or a folder that holds some."""
    if path.is_dir():
        return bool(_parquet_files(path))
    return path.suffix == ".parquet" and path.is_file()


def _parquet_files(folder: Path) -> list[Path]:
    """Those in the folder, or else in its folder `data`, where the Hugging Face hub has them."""
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))


def read_parquet(path: Path) -> dict[str, Table]:
    """The tables of a Parquet file, or of a folder of them, by split.

    A folder's files tell their split by the beginning of their names (`train-00000-of-00001`); one
    that tells none is `train`. The image column is a struct of `bytes` and `path`; class names
    come from the `huggingface` metadata of the schema, else they are the labels' numbers. Raises
    NeocogError for a file that is damaged or has no such columns.
    """
    files: dict[str, list[Path]] = {}
    for file in _parquet_files(path) if path.is_dir() else [path]:
        files.setdefault(_split_of(file), []).append(file)
    tables = {split: _read(tuple(found)) for split, found in files.items()}
    named = {table.classes for table in tables.values() if table.classes}
    if len(named) > 1:
        raise NeocogError(f"{path}: its tables do not name the same classes.")
    most = max(int(table.labels.max(initial=0)) for table in tables.values())
    rows = sum(len(table.labels) for table in tables.values())
    if not named and most >= rows:
        raise NeocogError(
            f"{path} has a label {most:,} and {rows:,} rows: labels count the classes, from 0.",
            "Name the classes in the file's notes, or number them anew.",
        )
    classes = named.pop() if named else tuple(str(k) for k in range(most + 1))
    if most >= len(classes):
        raise NeocogError(f"{path} has a label {most}, and there are {len(classes)} classes.")
    return {split: replace(table, classes=classes) for split, table in tables.items()}


def _split_of(file: Path) -> str:
    first = file.name.lower().split("-")[0].split("_")[0].removesuffix(".parquet")
    return next((split for split, names in SPLIT_NAMES.items() if first in names), "train")


def decode(table: Table, rule: Preprocessing) -> tuple[ImageSet, list[str]]:
    """The table's images, fitted by `rule`, and a line for each that cannot be read."""
    skipped: list[str] = []

    def make() -> tuple[NDArray[np.uint8], bool]:
        side = (*rule.image_size, rule.channels)
        images = np.zeros((len(table.samples), *side), dtype=np.uint8)
        read = read_images(iter(table.samples), rule.fit_image, rule.shrink_to)
        for place, result in enumerate(read):
            if isinstance(result, str):
                skipped.append(f"row {place}: {result}")
                bad.append(place)
            else:
                images[place] = result
        return images, not bad

    bad: list[int] = []
    # A table with unreadable rows is decoded anew each time, so that they are told each time.
    made_by = (rule.image_size, rule.channels, rule.fit, rule.box, rule.dark_background)
    images = remembered(table.files, f"{DECODING} {made_by}", make)
    rest = np.setdiff1d(np.arange(len(images)), np.array(bad, dtype=np.int64))
    return ImageSet(images[rest], table.labels[rest], table.classes), skipped


def _read(files: tuple[Path, ...]) -> Table:
    parts = [_read_file(file) for file in files]
    names = {part.classes for part in parts}
    if len(names) > 1:
        raise NeocogError(f"{files[0]} and its neighbours do not name the same classes.")
    samples = [content for part in parts for content in part.samples]
    if not samples:
        raise NeocogError(f"{files[0]} has no rows.")
    return Table(files, samples, np.concatenate([part.labels for part in parts]), *names)


def _read_file(file: Path) -> Table:
    """The rows of one file; what it says of its size is checked before any is read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    limit = 0
    try:
        with pq.ParquetFile(file) as opened:
            schema = opened.schema_arrow
            features = _features(schema)
            sample = _column(schema, features, "Image", file)
            label = _column(schema, features, "ClassLabel", file)
            limit = _check_sizes(opened.metadata, file)
            rows = _rows(opened, sample, label, limit)
    except (OSError, pa.ArrowException, KeyError, UnicodeDecodeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise NeocogError(f"{file} is damaged or no Parquet file ({reason}).") from None
    except OverflowError:
        raise NeocogError(
            f"{file} unpacks to more than {limit:,} bytes, hundreds of times its own size.",
            "Expected images as they are encoded: PNG, JPEG.",
        ) from None
    samples, labels = rows
    if any(content is None for content in samples):
        raise NeocogError(
            f"{file}: the column {sample!r} names files instead of holding the images.",
            "Write the table anew with the images' bytes in it.",
        )
    if any(number is None for number in labels):
        raise NeocogError(f"{file} has rows without a label.")
    low, high = min(labels, default=0), max(labels, default=0)
    if low < 0:
        raise NeocogError(f"{file} has a label {low}; they count from 0.")
    if high >= 2**31:
        raise NeocogError(f"{file} has a label {high:,}; they count the classes, from 0.")
    names = _class_names(features.get(label), file)
    return Table((file,), samples, np.array(labels, dtype=np.int64), names)


def _check_sizes(metadata: "pq.FileMetaData", file: Path) -> int:
    """Raise NeocogError for more rows or bytes than a file of its size holds; the bytes allowed."""
    size = file.stat().st_size
    limit = max(LEAST_LIMIT, size * MOST_RATIO)
    groups = [metadata.row_group(k) for k in range(metadata.num_row_groups)]
    promised = sum(group.total_byte_size for group in groups)
    if metadata.num_rows > size or promised > limit:
        raise NeocogError(
            f"{file} has {size:,} bytes and promises {metadata.num_rows:,} rows of {promised:,} "
            "bytes: no file of images does.",
            "Expected images as they are encoded: PNG, JPEG.",
        )
    return limit


def _rows(
    opened: "pq.ParquetFile", sample: str, label: str, limit: int
) -> tuple[list[bytes], list[int]]:
    """The images and labels of all rows. Raises OverflowError above `limit` bytes."""
    samples: list[bytes] = []
    labels: list[int] = []
    held = 0
    columns = [f"{sample}.bytes", label]
    for batch in opened.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns):
        held += batch.nbytes
        if held > limit:
            raise OverflowError
        samples += batch.column(sample).field("bytes").to_pylist()
        labels += batch.column(label).to_pylist()
    return samples, labels


def _features(schema: "pa.Schema") -> dict[str, Any]:
    """What the Hugging Face library notes of the columns; empty where another wrote the file."""
    try:
        noted = parse((schema.metadata or {})[b"huggingface"])
        return dict(noted["info"]["features"])
    except (KeyError, ValueError, TypeError):
        return {}


def _class_names(feature: Any, file: Path) -> tuple[str, ...]:
    """The names that the notes have for the labels; none where they have none."""
    names = feature.get("names") if isinstance(feature, dict) else None
    if not names:
        return ()
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or len(set(names)) < len(names) or len(names) > MOST_CLASSES:
        raise NeocogError(
            f"{file}: its notes do not name the classes by a list of different texts, but by "
            f"{short(names)}."
        )
    return tuple(names)


def _column(schema: "pa.Schema", features: dict[str, Any], kind: str, file: Path) -> str:
    """The name of the first column of a kind: by the notes, else by its type."""
    import pyarrow as pa

    def fits(field: "pa.Field") -> bool:
        if kind == "ClassLabel":
            return bool(pa.types.is_integer(field.type))
        if not pa.types.is_struct(field.type):
            return False
        place = field.type.get_field_index("bytes")
        inner = field.type.field(place).type if place >= 0 else pa.null()
        return bool(pa.types.is_binary(inner) or pa.types.is_large_binary(inner))

    fitting = [str(field.name) for field in schema if fits(field)]
    fitting.sort(key=lambda name: name != "label")
    noted = [
        name
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == kind and name in fitting
    ]
    if noted or fitting:
        return [*noted, *fitting][0]
    wanted = {"Image": "images (a struct with `bytes`)", "ClassLabel": "integer labels"}[kind]
    names = ", ".join(short(name)[1:-1] for name in schema.names[:20])
    raise NeocogError(
        f"{file} has no column of {wanted}; its columns are {names}.",
        "Expected the layout of Hugging Face image data sets.",
    )
