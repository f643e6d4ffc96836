"""Errors that mean that the memory is full: each library has its own."""

import errno
import re

HINT = (
    "Close other programs, or ask for less: fewer images, smaller images (--set "
    "image_size_pixels=64), smaller batches (--set batch_size=16), a smaller network."
)
_BYTES = re.compile(r"tried to allocate (\d+) bytes", re.IGNORECASE)  # torch, on the CPU
# torch on a GPU, and NumPy
_SIZE = re.compile(r"(?:tried to|unable to) allocate ([\d.]+ [KMGTPE]i?B)", re.IGNORECASE)


def shortage(error: BaseException) -> str | None:
    """What to say of an error where it means that the memory is full, else None."""
    text = str(error)
    full = (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and _says_so(text))
    )
    if not full:
        return None
    in_bytes, with_unit = _BYTES.search(text), _SIZE.search(text)
    needed = ""
    if in_bytes:
        needed = f": {_size(int(in_bytes[1]))} more were needed"
    elif with_unit:
        needed = f": {with_unit[1]} more were needed"
    return f"There is not enough memory{needed}."


def _says_so(text: str) -> bool:
    words = ("not enough memory", "out of memory", "can't allocate memory", "bad_alloc")
    return any(word in text.lower() for word in words)


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"
