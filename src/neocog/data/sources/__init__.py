"""Formats of a user's dataset. `READERS` lists them."""

from collections.abc import Callable
from pathlib import Path

from neocog.data.sources import archive, csv, folder, parquet, webdataset
from neocog.data.sources.index import DatasetIndex

# `can_read` looks at a path; `read` indexes it. With its second argument, `allow_outside`, files
# outside the dataset's folder are used if links or a CSV file refer to them. The first that can
# read a path does: a folder of Parquet files is a folder, too, and a WebDataset a tar file.
READERS: tuple[tuple[Callable[[Path], bool], Callable[[Path, bool], DatasetIndex]], ...] = (
    (parquet.can_read, parquet.read),
    (webdataset.can_read, webdataset.read),
    (folder.can_read, folder.read),
    (archive.can_read, archive.read),
    (csv.can_read, csv.read),
)
