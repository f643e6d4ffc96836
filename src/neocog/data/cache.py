"""Folders that are searched for datasets, and files cached with checksums."""

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from neocog.errors import DownloadError, NeocogError
from neocog.storage.atomic import make_folder, write_atomic
from neocog.storage.download import cache, fetch

log = logging.getLogger(__name__)


def data_folders() -> list[Path]:
    """The folders to search for datasets: those in `NEOCOG_DATA`, `./data`, the user's cache."""
    named = [Path(part) for part in os.environ.get("NEOCOG_DATA", "").split(os.pathsep) if part]
    return [*named, Path("data"), cache_folder()]


def cache_folder() -> Path:
    """The folder for downloads and decoded images."""
    return cache("data")


def features_folder() -> Path:
    """The folder for cached backbone features."""
    return cache_folder() / "features"


def fetch_set(
    name: str, addresses: Sequence[str], destination: Path, md5: str, size: int, by_hand: str
) -> Path:
    """Download a file of the dataset `name`, which is in none of `data_folders()`.

    `size` is the size in bytes, which no mirror may exceed. `by_hand` tells the user how to install
    the file manually; it becomes the hint of the NeocogError that is raised if every mirror fails.
    """
    try:
        return fetch(addresses, destination, md5, most_bytes=size)
    except NeocogError as error:
        raise DownloadError(
            f"The data set {name} is not in {', '.join(map(str, data_folders()))}, and "
            + error.message,
            f"{by_hand} Or train on the 5,000 real digits that came with Neocog: neocog train "
            "mnist5k",
        ) from None


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
    file = cache_folder() / "decoded" / f"{key}.safetensors"
    arrays = load_arrays(file)
    if arrays and set(arrays) == {"array"} and arrays["array"].dtype == np.uint8:
        return arrays["array"]
    array, worth_keeping = compute()
    if worth_keeping:
        save_arrays(file, {"array": array})
    return array


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Save arrays as safetensors with a checksum. Does nothing if the disk is full or read-only."""
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = save(plain, metadata={"crc32": _checksum(plain)})
    with suppress(OSError):
        make_folder(file.parent)
        write_atomic(file, content)


def load_arrays(file: Path) -> dict[str, NDArray[Any]] | None:
    """Load arrays that `save_arrays` saved; None if missing or (with a warning) damaged."""
    try:
        with safe_open(file, framework="np") as opened:
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            if (opened.metadata() or {}).get("crc32") == _checksum(arrays):
                return arrays
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, TypeError, ValueError):
        pass
    log.warning("%s is damaged or of an earlier version; it is made anew.", file)
    return None


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    crc = 0
    for name in sorted(arrays):
        array = arrays[name]
        crc = zlib.crc32(repr((name, array.dtype.str, array.shape)).encode(), crc)
        crc = zlib.crc32(array.reshape(-1).view(np.uint8).data, crc)
    return f"{crc:08x}"


_JSON_HEADER = '{"crc32": "%08x", "content": '


def save_json(file: Path, content: Any) -> None:
    """Save a JSON value with a checksum. Raises OSError."""
    text = json.dumps(content)
    write_atomic(file, f"{_JSON_HEADER % zlib.crc32(text.encode())}{text}}}")


def load_json(file: Path) -> Any:
    """Load a value that `save_json` saved; None if missing or (with a warning) damaged."""
    try:
        data = file.read_bytes()
        begin = len(_JSON_HEADER % 0)
        if data[:begin] == (_JSON_HEADER % zlib.crc32(data[begin:-1])).encode():
            return json.loads(data[begin:-1])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        pass
    log.warning("%s is damaged or of an earlier version; it is made anew.", file)
    return None
