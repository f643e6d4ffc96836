"""Where data sets are looked for, and where what was fetched or decoded is kept."""

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

from neocog.errors import NeocogError
from neocog.storage.atomic import make_folder, write_atomic
from neocog.storage.download import cache, fetch

log = logging.getLogger(__name__)


def data_folders() -> list[Path]:
    """Where data sets are looked for: `NEOCOG_DATA`'s folders, `./data`, the user's cache."""
    named = [Path(part) for part in os.environ.get("NEOCOG_DATA", "").split(os.pathsep) if part]
    return [*named, Path("data"), cache_folder()]


def cache_folder() -> Path:
    """Where downloads are kept."""
    return cache("data")


def features_folder() -> Path:
    """Where features that a network gave for images are kept."""
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
    file = cache_folder() / "decoded" / f"{key}.safetensors"
    kept = read_arrays(file)
    if kept and set(kept) == {"array"} and kept["array"].dtype == np.uint8:
        return kept["array"]
    array, worth_keeping = make()
    if worth_keeping:
        keep_arrays(file, {"array": array})
    return array


def keep_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Keep arrays in a safetensors file with a checksum. A disk without room costs time only."""
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = save(plain, metadata={"crc32": _checksum(plain)})
    with suppress(OSError):
        make_folder(file.parent)
        write_atomic(file, content)


def read_arrays(file: Path) -> dict[str, NDArray[Any]] | None:
    """What `keep_arrays` kept; None where it is not there, or damaged, which is logged."""
    try:
        with safe_open(file, framework="np") as kept:
            arrays = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
            if (kept.metadata() or {}).get("crc32") == _checksum(arrays):
                return arrays
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, TypeError, ValueError):
        pass
    log.warning("%s is damaged or of an earlier version; it is made anew.", file)
    return None


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    found = 0
    for name in sorted(arrays):
        array = arrays[name]
        found = zlib.crc32(repr((name, array.dtype.str, array.shape)).encode(), found)
        found = zlib.crc32(array.reshape(-1).view(np.uint8).data, found)
    return f"{found:08x}"


_HEAD = '{"crc32": "%08x", "content": '


def keep_json(file: Path, content: Any) -> None:
    """Keep a JSON value with a checksum. Raises OSError where it cannot be written."""
    text = json.dumps(content)
    write_atomic(file, f"{_HEAD % zlib.crc32(text.encode())}{text}}}")


def read_json(file: Path) -> Any:
    """What `keep_json` kept; None where it is not there, or damaged, which is logged."""
    try:
        data = file.read_bytes()
        begin = len(_HEAD % 0)
        if data[:begin] == (_HEAD % zlib.crc32(data[begin:-1])).encode():
            return json.loads(data[begin:-1])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        pass
    log.warning("%s is damaged or of an earlier version; it is made anew.", file)
    return None
