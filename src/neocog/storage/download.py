"""Download one file from a list of mirrors, check its hash, and rename it into place.

A server may be broken or hostile: size and time are limited, data goes straight to disk, and the
file has a temporary name until its hash has been checked. `pooch` checks hashes and renames as
well, but its downloader has neither a size limit nor an overall deadline, and a bad server can
stall `requests` in headers and trailers for ever.
"""

import hashlib
import os
import queue
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from neocog.errors import NeocogError

TIMEOUT_SECONDS = 15.0  # without receiving a byte
WINDOW_SECONDS, WINDOW_BYTES = 30.0, 300_000  # the minimum rate: 10 kB/s
DEADLINE_SECONDS = 2 * 3600.0  # per file, over all mirrors
MOST_BYTES = 2**31
CHUNK_BYTES = 2**16


def offline() -> bool:
    """Whether `NEOCOG_OFFLINE` forbids network access."""
    return os.environ.get("NEOCOG_OFFLINE", "") not in ("", "0")


def fetch(
    urls: Sequence[str],
    destination: Path,
    md5: str = "",
    sha256: str = "",
    most_bytes: int = MOST_BYTES,
) -> Path:
    """Download `destination` from the first of `urls` that sends the expected content.

    The content is checked against the SHA-256, or a prefix of it, if one is passed, else against
    the MD5. An existing file with the right hash is kept, and a partial or wrong file never appears
    under this name. The parent folder is created. A mirror that sends more than `most_bytes`, less
    than 10 kB/s or the wrong content is skipped. Raises NeocogError with the reason for every
    mirror, or at once if `NEOCOG_OFFLINE=1`; OSError if the file cannot be written.
    """
    kind, expected = ("sha256", sha256) if sha256 else ("md5", md5)
    if destination.is_file() and digest_of(destination, kind).startswith(expected):
        return destination
    if offline():
        raise NeocogError(
            f"{destination.name} is not here and NEOCOG_OFFLINE=1 forbids to fetch it."
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + DEADLINE_SECONDS
    failures = []
    for url in urls:
        temporary = destination.with_name(f".neocog-{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            _download(url, temporary, most_bytes, deadline)
            digest = digest_of(temporary, kind)[: len(expected)]
            if digest != expected:
                name = "MD5 is" if kind == "md5" else "SHA-256 begins with"
                size = temporary.stat().st_size
                raise _MirrorFailed(f"{name} {digest}, expected {expected} ({size:,} bytes came)")
            temporary.replace(destination)
            return destination
        except _MirrorFailed as failure:
            failures.append(f"{url}: {failure}")
        finally:
            temporary.unlink(missing_ok=True)
    raise NeocogError(f"{destination.name} could not be downloaded ({'; '.join(failures)}).")


def digest_of(path: Path, kind: str = "sha256") -> str:
    """Return the SHA-256 (or the MD5) of a file as hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.new(kind, usedforsecurity=False)
        ).hexdigest()


class _MirrorFailed(Exception):  # noqa: N818 - not an error: the next mirror is tried
    """A mirror did not send the file; the text gives the reason."""


def _download(url: str, path: Path, most_bytes: int, deadline: float) -> None:
    """Write the response to a new file. Raises _MirrorFailed, or OSError for the disk."""
    size = 0
    with path.open("xb") as file:
        for chunk in _chunks(url, deadline):
            size += len(chunk)
            if size > most_bytes:
                raise _MirrorFailed(
                    f"it sends more than the {most_bytes:,} bytes that the file has"
                )
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _chunks(url: str, deadline: float) -> Iterator[bytes]:
    """Yield the response in chunks; raise _MirrorFailed if it is too slow.

    A thread reads the response, because a server can block the reader where Python's timeouts do
    not apply: in headers, in redirects and after the content.
    """
    pipe: queue.Queue[bytes | Exception] = queue.Queue(maxsize=16)
    stopped = threading.Event()
    threading.Thread(target=_read, args=(url, pipe, stopped), daemon=True).start()
    received, window_end = 0, time.monotonic() + WINDOW_SECONDS
    try:
        while True:
            now = time.monotonic()
            if now >= deadline:
                raise _MirrorFailed(f"the file did not come within {DEADLINE_SECONDS:,.0f} s")
            if now >= window_end and received < WINDOW_BYTES:
                raise _MirrorFailed(f"only {received:,} bytes came within {WINDOW_SECONDS:g} s")
            if now >= window_end:
                received, window_end = 0, now + WINDOW_SECONDS
            try:
                item = pipe.get(timeout=min(window_end, deadline) - now)
            except queue.Empty:
                continue
            if isinstance(item, Exception):
                raise _MirrorFailed(_reason(item))
            if not item:
                return
            received += len(item)
            yield item
    finally:
        stopped.set()


def _read(url: str, pipe: "queue.Queue[bytes | Exception]", stopped: threading.Event) -> None:
    """Put the response into `pipe`, then b"" or the error; return early if `stopped` is set."""

    def put(item: bytes | Exception) -> None:
        while not stopped.is_set():
            try:
                pipe.put(item, timeout=0.2)
                break
            except queue.Full:
                continue

    request = urllib.request.Request(url, headers={"User-Agent": "neocog"})
    try:
        opener = urllib.request.build_opener(_Redirects)
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            while not stopped.is_set():
                chunk = answer.read1(CHUNK_BYTES)  # `read` would block until the chunk is full
                put(chunk)
                if not chunk:
                    return
    except Exception as error:  # whatever the reason, the next mirror is tried
        put(error)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects without reading their bodies, which could be endless."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """Follow the redirect."""
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _reason(error: Exception) -> str:
    """A network error as one line."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(cause).strip().partition("\n")[0] or type(error).__name__
