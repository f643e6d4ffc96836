"""Where data sets are looked for, and where what was fetched or decoded is kept."""

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neocog.download import cache, fetch
from neocog.errors import NeocogError
from neocog.files import write_atomic


def data_folders() -> list[Path]:
    """Where data sets are looked for: `NEOCOG_DATA`'s folders, `./data`, the user's cache."""
    named = [Path(part) for part in os.environ.get("NEOCOG_DATA", "").split(os.pathsep) if part]
    return [*named, Path("data"), cache_folder()]


def cache_folder() -> Path:
    """Where downloads are kept."""
    return cache("data")


def features_folder() -> Path:
    """Where features that a network gave for pictures are kept."""
    return cache_folder() / "features"


def fetch_set(
    name: str, addresses: Sequence[str], destination: Path, md5: str, size: int, by_hand: str
) -> Path:
    """Fetch a file of the data set `name`, which is in none of `data_folders()`.

    `size` is what it has in bytes, which no mirror may go beyond. `by_hand` says how a person can
    put it there. Raises NeocogError with that hint where none of the addresses gives it.
    """
    try:
        return fetch(addresses, destination, md5, most_bytes=size)
    except NeocogError as error:
        raise NeocogError(
            f"The data set {name} is not in {', '.join(map(str, data_folders()))}, and "
            + error.message,
            f"{by_hand} Or train on the 5,000 real digits that came with Neocog: neocog train "
            "mnist5k",
        ) from None


def remembered(
    files: Sequence[Path], rule: str, make: Callable[[], tuple[NDArray[np.uint8], bool]]
) -> NDArray[np.uint8]:
    """The array that `make` gives, kept on disk for as long as `files` stay as they are.

    `make` also says whether it is worth keeping; `rule` says how it is made from the files. A disk
    that cannot be written costs time only.
    """
    facts = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    key = hashlib.sha256(repr((facts, rule)).encode()).hexdigest()[:32]
    kept = cache_folder() / "decoded" / f"{key}.npy"
    try:
        array: NDArray[np.uint8] = np.load(kept, allow_pickle=False)
        return array
    except (OSError, ValueError, EOFError):
        array, worth_keeping = make()
    if not worth_keeping:
        return array
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, buffer.getvalue())
    except OSError:
        pass
    return array
