"""CSV files with the columns path and label."""

import csv
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from neocog.data.decode import special_file_type
from neocog.data.sources.folder import is_inside
from neocog.data.sources.index import SPLIT_OF, DatasetIndex, Sample, sorted_classes
from neocog.errors import NeocogError

SUFFIXES = (".csv", ".tsv")
# Accepted column names, in lower case.
COLUMNS = {
    "path": ("path", "file", "filename", "image", "picture"),
    "label": ("label", "class", "category", "target"),
    "split": ("split", "set", "subset"),
    "group": ("group",),
}
MAX_TABLE_BYTES, MAX_ROWS = 256 * 2**20, 2_000_000


def can_read(path: Path) -> bool:
    """Whether `path` is a file with the suffix of a CSV file."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read(path: Path, allow_outside: bool = False) -> DatasetIndex:
    """Index a CSV file with the columns path and label, and optionally split and group.

    Columns are separated by commas, semicolons or tabs. Paths are relative to the file's folder;
    files outside it are not used, unless `allow_outside` is set. Raises NeocogError if a required
    column is missing or no row names an existing image.
    """
    samples: list[Sample] = []
    unused = []
    root, rows = path.parent.resolve(), 0
    for number, row in _csv_rows(path):
        rows += 1
        name, label = row.get("path", ""), row.get("label", "")
        file = path.parent / name
        if not name or not label:
            unused.append(("no_label", name or f"line {number}"))
        elif not os.path.isfile(file):  # noqa: PTH113 - Path.is_file fails if the name is too long
            unused.append(("special" if _is_special(file) else "missing", name))
        elif not allow_outside and not is_inside(file, root):
            unused.append(("outside", name))
        else:
            status = file.stat()
            split = row.get("split", "").lower()
            if split and split not in SPLIT_OF:
                raise NeocogError(
                    f"{path}, line {number}: there is no split {split!r}.",
                    f"Known: {', '.join(SPLIT_OF)}.",
                )
            stamp = (status.st_size, status.st_mtime_ns)
            group = row.get("group") or None
            samples.append(Sample(name, label, file, stamp, SPLIT_OF.get(split), group))
    if not samples:
        outside = sum(kind == "outside" for kind, _ in unused)
        if outside:
            raise NeocogError(
                f"{path} names only files outside its folder ({outside:,} of {rows:,} rows).",
                "If you trust the file, add {settings}.",
                [("allow_outside", True)],
            )
        raise NeocogError(
            f"{path} names no existing labelled image ({rows:,} rows).",
            f"Paths are relative to {path.parent.resolve()}.",
        )
    if any(sample.split for sample in samples):  # rows without a split are training rows
        samples = [replace(p, split=p.split or "train") for p in samples]
    return DatasetIndex(path, samples, sorted_classes(samples), unused)


def _is_special(file: Path) -> bool:
    with suppress(OSError, ValueError):
        return bool(special_file_type(file))
    return False


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, values by column name) for every row that is not empty."""
    with path.open("rb") as file:
        raw = file.read(MAX_TABLE_BYTES + 1)
    if len(raw) > MAX_TABLE_BYTES:
        raise NeocogError(f"{path} is larger than {MAX_TABLE_BYTES // 2**20} MB.")
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("gb18030", errors="replace")  # the usual encoding of Chinese spreadsheets
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = [name.strip().lower() for name in next(table, [])]
        columns = _columns(path, names)
        for number, row in enumerate(table):
            if number >= MAX_ROWS:
                raise NeocogError(f"{path} has more than {MAX_ROWS:,} rows.")
            if any(row):
                places = columns.items()
                yield table.line_num, {k: row[n].strip() for k, n in places if n < len(row)}
    except csv.Error as error:
        raise NeocogError(f"{path}, line {table.line_num}: {error}.") from None


def _columns(path: Path, names: list[str]) -> dict[str, int]:
    """Map the column names path, label, split and group to positions. Raises NeocogError."""
    columns = {
        column: place
        for column, aliases in COLUMNS.items()
        for place in [next((names.index(name) for name in aliases if name in names), None)]
        if place is not None
    }
    if not {"path", "label"} <= set(columns):
        raise NeocogError(
            f"{path} has the columns {', '.join(names) or '(none)'}.",
            "Expected a first line path,label and, if you like, split and group (or file, image; "
            "class, category, target).",
        )
    return columns
