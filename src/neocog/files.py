"""Write a file whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_atomic(path: Path, content: bytes | str) -> None:
    """Replace `path` by `content`; after a crash or a full disk the old file is still there.

    The parent folder must exist. Text is written as UTF-8. Raises OSError (a full disk, a folder
    that may not be written) with nothing left behind.
    """
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
