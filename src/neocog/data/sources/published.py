"""The files of published datasets: the folders that are searched, and downloads."""

import os
from collections.abc import Sequence
from pathlib import Path

from neocog.errors import NeocogError
from neocog.progress import Progress, no_progress
from neocog.storage.cache import location


def data_folders() -> list[Path]:
    """The folders to search for datasets: those in `NEOCOG_DATA`, `./data`, the user's cache."""
    named = [Path(part) for part in os.environ.get("NEOCOG_DATA", "").split(os.pathsep) if part]
    return [*named, Path("data"), downloads_folder()]


def downloads_folder() -> Path:
    """The folder for downloaded datasets."""
    return location("data")


def fetch_set(
    name: str,
    addresses: Sequence[str],
    destination: Path,
    md5: str,
    size: int,
    by_hand: str,
    progress: Progress = no_progress,
) -> Path:
    """Download a file of the dataset `name`, which is in none of `data_folders()`.

    `size` is the size in bytes, which no mirror may exceed. `by_hand` tells the user how to install
    the file manually; it becomes the hint of the NeocogError that is raised if every mirror fails.
    """
    from neocog.storage.download import fetch  # it imports ssl, which a prediction does not need

    try:
        return fetch(addresses, destination, md5, most_bytes=size, progress=progress)
    except NeocogError as error:
        raise NeocogError(
            f"The dataset {name} is not in {', '.join(map(str, data_folders()))}, and "
            + error.message,
            f"{by_hand} Or train on the 5,000 real digits installed with Neocog: neocog train "
            "mnist5k",
        ) from None
