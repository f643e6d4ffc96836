"""Parquet files in the Hugging Face layout: encoded images and labels in columns."""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neocog.data.decode import read_images
from neocog.data.images import ImageSet
from neocog.data.preprocess import Preprocessing
from neocog.data.sources.index import DatasetIndex, Sample, split_of_shard
from neocog.errors import NeocogError
from neocog.json_fields import parse, short
from neocog.storage import cache
from neocog.storage.checksummed import load_arrays, save_arrays

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


ROWS_PER_BATCH = 64  # of a Parquet file
# A Parquet file may unpack to the larger of this ratio and this number of bytes.
MAX_COMPRESSION_RATIO, MIN_UNPACKED_LIMIT_BYTES = 100, 256 * 2**20
MAX_CLASSES = 100_000
# Increment it if the same file gives other pixels: it invalidates the cache.
DECODER_VERSION = 1


@dataclass(frozen=True)
class Table:
    """The rows of one split: encoded images (PNG, JPEG, ...), labels of shape `(N,)`, class names.

    `classes` are the same for all splits of a dataset.
    """

    files: tuple[Path, ...]
    samples: list[bytes]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def can_read(path: Path) -> bool:
    """Whether `path` is a Parquet file or a folder that contains Parquet files."""
    if path.is_dir():
        return bool(_parquet_files(path))
    return path.suffix == ".parquet" and path.is_file()


def read(path: Path, allow_outside: bool = False) -> DatasetIndex:  # noqa: ARG001 - as all readers
    """Index a Parquet file or folder. Raises as `read_parquet` does."""
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


def _parquet_files(folder: Path) -> list[Path]:
    """The files in the folder, or in its folder `data` as on the Hugging Face Hub."""
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))


def read_parquet(path: Path) -> dict[str, Table]:
    """Read a Parquet file, or a folder of them, as one table per split.

    In a folder the split is the beginning of the file name (`train-00000-of-00001`), and `train` by
    default. The image column is a struct of `bytes` and `path`. Class names come from the
    `huggingface` metadata of the schema, else they are the label numbers. Raises NeocogError if a
    file is damaged or such columns are missing.
    """
    files: dict[str, list[Path]] = {}
    for file in _parquet_files(path) if path.is_dir() else [path]:
        files.setdefault(split_of_shard(file.name), []).append(file)
    tables = {split: _read_split(tuple(paths)) for split, paths in files.items()}
    class_lists = {table.classes for table in tables.values() if table.classes}
    if len(class_lists) > 1:
        raise NeocogError(f"{path}: its tables do not name the same classes.")
    max_label = max(int(table.labels.max(initial=0)) for table in tables.values())
    rows = sum(len(table.labels) for table in tables.values())
    if not class_lists and max_label >= rows:
        raise NeocogError(
            f"{path} has a label {max_label:,} and {rows:,} rows: labels count the classes, "
            "from 0.",
            "Name the classes in the file's metadata, or renumber them.",
        )
    classes = class_lists.pop() if class_lists else tuple(str(k) for k in range(max_label + 1))
    if max_label >= len(classes):
        raise NeocogError(f"{path} has a label {max_label}, and there are {len(classes)} classes.")
    return {split: replace(table, classes=classes) for split, table in tables.items()}


def decode_table(table: Table, preprocessing: Preprocessing) -> tuple[ImageSet, list[str]]:
    """Decode and preprocess the images of a table; also return a line per unreadable row."""
    skipped: list[str] = []

    def compute() -> tuple[NDArray[np.uint8], bool]:
        side = (*preprocessing.image_size, preprocessing.channels)
        images = np.zeros((len(table.samples), *side), dtype=np.uint8)
        results = read_images(
            iter(table.samples), preprocessing.transform_image, preprocessing.shrink_to
        )
        for place, result in enumerate(results):
            if isinstance(result, str):
                skipped.append(f"row {place}: {result}")
                unreadable.append(place)
            else:
                images[place] = result
        return images, not unreadable

    unreadable: list[int] = []
    # A table with unreadable rows is not cached, so that they are reported every time.
    settings = (
        preprocessing.image_size,
        preprocessing.channels,
        preprocessing.fit,
        preprocessing.box,
        preprocessing.dark_background,
    )
    images = cached(table.files, f"{DECODER_VERSION} {settings}", compute)
    readable = np.setdiff1d(np.arange(len(images)), np.array(unreadable, dtype=np.int64))
    return ImageSet(images[readable], table.labels[readable], table.classes), skipped


def cached(
    files: Sequence[Path], method: str, compute: Callable[[], tuple[NDArray[np.uint8], bool]]
) -> NDArray[np.uint8]:
    """Return the array that `compute` returns, cached on disk while `files` stay unchanged.

    `compute` also returns whether the array should be cached. `method` is a part of the key: it
    describes how the array is computed from the files. If the disk is not writable, the array is
    computed again each time.
    """
    file_states = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    key = hashlib.sha256(repr((file_states, method)).encode()).hexdigest()[:32]
    file = cache.entry("arrays", f"{key}.safetensors")
    arrays = load_arrays(file)
    if arrays and set(arrays) == {"array"} and arrays["array"].dtype == np.uint8:
        return arrays["array"]
    array, worth_keeping = compute()
    if worth_keeping:
        save_arrays(file, {"array": array})
        cache.evict()
    return array


def _read_split(files: tuple[Path, ...]) -> Table:
    parts = [_read_file(file) for file in files]
    names = {part.classes for part in parts}
    if len(names) > 1:
        raise NeocogError(f"{files[0]} and its neighbours do not name the same classes.")
    samples = [content for part in parts for content in part.samples]
    if not samples:
        raise NeocogError(f"{files[0]} has no rows.")
    return Table(files, samples, np.concatenate([part.labels for part in parts]), *names)


def _read_file(file: Path) -> Table:
    """Read one file after checking the sizes in its header."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    limit = 0
    try:
        with pq.ParquetFile(file) as opened:
            schema = opened.schema_arrow
            features = _huggingface_features(schema)
            sample = _column(schema, features, "Image", file)
            label = _column(schema, features, "ClassLabel", file)
            limit = _size_limit(opened.metadata, file)
            rows = _rows(opened, sample, label, limit)
    except (OSError, pa.ArrowException, KeyError, UnicodeDecodeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise NeocogError(f"{file} is damaged or not a Parquet file ({reason}).") from None
    except OverflowError:
        raise NeocogError(
            f"{file} unpacks to more than {limit:,} bytes, hundreds of times its own size.",
            "Expected images as they are encoded: PNG, JPEG.",
        ) from None
    samples, labels = rows
    if any(content is None for content in samples):
        raise NeocogError(
            f"{file}: the column {sample!r} contains file names instead of images.",
            "Write the table again with the bytes of the images.",
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


def _size_limit(metadata: "pq.FileMetaData", file: Path) -> int:
    """Return the bytes that a file may unpack to.

    Raises NeocogError if its header promises more rows or bytes than a file of its size can
    contain.
    """
    size = file.stat().st_size
    limit = max(MIN_UNPACKED_LIMIT_BYTES, size * MAX_COMPRESSION_RATIO)
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
    """Read the images and labels of all rows. Raises OverflowError above `limit` bytes."""
    samples: list[bytes] = []
    labels: list[int] = []
    size = 0
    columns = [f"{sample}.bytes", label]
    for batch in opened.iter_batches(batch_size=ROWS_PER_BATCH, columns=columns):
        size += batch.nbytes
        if size > limit:
            raise OverflowError
        samples += batch.column(sample).field("bytes").to_pylist()
        labels += batch.column(label).to_pylist()
    return samples, labels


@dataclass(frozen=True)
class _Feature:
    """What the Hugging Face metadata say of a column: its kind and, unchecked, its class names."""

    kind: Any = None
    names: Any = None


def _huggingface_features(schema: "pa.Schema") -> dict[str, _Feature]:
    """The features in the Hugging Face metadata; empty if there are none."""
    try:
        content = parse((schema.metadata or {})[b"huggingface"])
        features = dict(content["info"]["features"]).items()
        return {
            name: _Feature(feature.get("_type"), feature.get("names"))
            for name, feature in features
            if isinstance(feature, dict)
        }
    except (KeyError, ValueError, TypeError):
        return {}


def _class_names(feature: _Feature | None, file: Path) -> tuple[str, ...]:
    """The class names in the metadata of the label column; empty if there are none."""
    names = feature.names if feature else None
    if not names:
        return ()
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_list or len(set(names)) < len(names) or len(names) > MAX_CLASSES:
        raise NeocogError(
            f"{file}: its metadata must name the classes by a list of different texts, not by "
            f"{short(names)}."
        )
    return tuple(names)


def _column(schema: "pa.Schema", features: dict[str, _Feature], kind: str, file: Path) -> str:
    """The name of the first column of a kind, by the metadata or else by its type."""
    import pyarrow as pa

    def matches(field: "pa.Field") -> bool:
        if kind == "ClassLabel":
            return bool(pa.types.is_integer(field.type))
        if not pa.types.is_struct(field.type):
            return False
        place = field.type.get_field_index("bytes")
        inner = field.type.field(place).type if place >= 0 else pa.null()
        return bool(pa.types.is_binary(inner) or pa.types.is_large_binary(inner))

    candidates = [str(field.name) for field in schema if matches(field)]
    candidates.sort(key=lambda name: name != "label")
    tagged = [
        name for name, feature in features.items() if feature.kind == kind and name in candidates
    ]
    if tagged or candidates:
        return [*tagged, *candidates][0]
    expected = {"Image": "images (a struct with `bytes`)", "ClassLabel": "integer labels"}[kind]
    names = ", ".join(short(name)[1:-1] for name in schema.names[:20])
    raise NeocogError(
        f"{file} has no column of {expected}; its columns are {names}.",
        "Expected the layout of Hugging Face image datasets.",
    )
