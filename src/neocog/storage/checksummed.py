"""Arrays and JSON values in files with a checksum, for caches."""

import json
import logging
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from neocog.storage.atomic import make_folder, write_atomic

log = logging.getLogger(__name__)


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Save arrays as safetensors with a checksum. Does nothing if the disk is full or read-only."""
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
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
    log.warning("%s is damaged or of an earlier version; computing it again.", file)
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
    log.warning("%s is damaged or of an earlier version; computing it again.", file)
    return None
