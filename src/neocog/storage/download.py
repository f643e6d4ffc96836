"""Download one file from a list of mirrors, check its hash, and rename it into place.

A server may be broken or hostile: size and time are limited, data goes straight to disk, and the
file has a temporary name until its hash has been checked. An interrupted download continues where
it stopped. `pooch` checks hashes, renames and has a progress bar as well, but its downloader has
neither a size limit nor an overall deadline, it starts over each time, and a bad server can stall
`requests` in headers and trailers for ever.
"""

import hashlib
import http.client
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

from neocog.errors import DownloadError
from neocog.progress import Progress, no_progress
from neocog.storage.atomic import unique_name

TIMEOUT_SECONDS = 15.0  # without receiving a byte
WINDOW_SECONDS, WINDOW_BYTES = 30.0, 300_000  # the minimum rate: 10 kB/s
DEADLINE_SECONDS = 2 * 3600.0  # per file, over all mirrors
MOST_BYTES = 2**31
CHUNK_BYTES = 2**16
MIN_RESUMED_BYTES = 2**20  # less of a broken download is not worth a file


def offline() -> bool:
    """Whether `NEOCOG_OFFLINE` forbids network access."""
    return os.environ.get("NEOCOG_OFFLINE", "") not in ("", "0")


def fetch(
    urls: Sequence[str],
    destination: Path,
    md5: str = "",
    sha256: str = "",
    most_bytes: int = MOST_BYTES,
    progress: Progress = no_progress,
) -> Path:
    """Download `destination` from the first of `urls` that sends the expected content.

    The content is checked against the SHA-256, or a prefix of it, if one is passed, else against
    the MD5. An existing file with the right hash is kept, and a partial or wrong file never appears
    under this name. The parent folder is created. A mirror that sends more than `most_bytes`, less
    than 10 kB/s or the wrong content is skipped. What came before a download broke off is kept
    beside the file, from MIN_RESUMED_BYTES on, and the next mirror or call goes on with it.
    `progress` is called with the stage "download" and bytes, and a total of 0 if it is unknown.
    Raises NeocogError with the reason for every mirror, or at once if `NEOCOG_OFFLINE=1`; OSError
    if the file cannot be written.
    """
    kind, expected = ("sha256", sha256) if sha256 else ("md5", md5)
    if destination.is_file() and digest_of(destination, kind).startswith(expected):
        return destination
    if offline():
        raise DownloadError(
            f"{destination.name} is missing, and NEOCOG_OFFLINE=1 forbids downloads."
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + DEADLINE_SECONDS
    failures = []
    part = destination.with_name(f".{destination.name}-{expected[:16]}.part")
    for url in urls:
        temporary = destination.with_name(f".neocog-{unique_name()}.tmp")
        with suppress(FileNotFoundError):
            part.rename(temporary)  # so that no other process goes on with it
        try:
            resumed = temporary.exists()
            try:
                _download(url, temporary, most_bytes, deadline, progress)
                _check(temporary, kind, expected)
            except _WrongContent:
                if not resumed:
                    raise
                temporary.unlink()  # the mirror cannot go on, or the part is of another file
                _download(url, temporary, most_bytes, deadline, progress)
                _check(temporary, kind, expected)
            temporary.replace(destination)
            return destination
        except (_MirrorFailed, KeyboardInterrupt) as failure:
            if expected and not isinstance(failure, _WrongContent):
                with suppress(FileNotFoundError):
                    if temporary.stat().st_size >= MIN_RESUMED_BYTES:
                        temporary.replace(part)
            if isinstance(failure, KeyboardInterrupt):
                raise
            failures.append(f"{url}: {failure}")
        finally:
            temporary.unlink(missing_ok=True)
    raise DownloadError(f"{destination.name} could not be downloaded ({'; '.join(failures)}).")


def digest_of(path: Path, kind: str = "sha256") -> str:
    """Return the SHA-256 (or the MD5) of a file as hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.new(kind, usedforsecurity=False)
        ).hexdigest()


_Pipe = queue.Queue[bytes | int | Exception]  # chunks, the file's size, what went wrong


class _MirrorFailed(Exception):  # noqa: N818 - not an error: the next mirror is tried
    """A mirror did not send the file; the text gives the reason."""


class _WrongContent(_MirrorFailed):
    """A mirror sent something else than was asked for, which is not to be gone on with."""


def _check(path: Path, kind: str, expected: str) -> None:
    """Raise _WrongContent if a file has another hash."""
    digest = digest_of(path, kind)[: len(expected)]
    if digest != expected:
        name = "MD5 is" if kind == "md5" else "SHA-256 begins with"
        size = path.stat().st_size
        raise _WrongContent(f"{name} {digest}, expected {expected} ({size:,} bytes came)")


def _download(url: str, path: Path, most_bytes: int, deadline: float, progress: Progress) -> None:
    """Append the rest of the response to a file. Raises _MirrorFailed, or OSError for the disk."""
    with path.open("ab") as file:
        size = file.tell()
        for chunk, total in _chunks(url, size, deadline):
            size += len(chunk)
            if size > most_bytes:
                raise _WrongContent(
                    f"it sends more than the {most_bytes:,} bytes that the file has"
                )
            file.write(chunk)
            progress("download", size, total)
        file.flush()
        os.fsync(file.fileno())


def _chunks(url: str, begin: int, deadline: float) -> Iterator[tuple[bytes, int]]:
    """Yield the response from byte `begin` on in chunks, and the file's size, 0 if unknown.

    Raises _MirrorFailed if it is too slow. A thread reads the response, because a server can block
    the reader where Python's timeouts do not apply: in headers, in redirects and after the content.
    """
    pipe: _Pipe = queue.Queue(maxsize=16)
    stopped = threading.Event()
    threading.Thread(target=_read, args=(url, begin, pipe, stopped), daemon=True).start()
    received, window_end, total = 0, time.monotonic() + WINDOW_SECONDS, 0
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
            if isinstance(item, _MirrorFailed):
                raise item
            if isinstance(item, Exception):
                raise _MirrorFailed(_reason(item))
            if isinstance(item, int):
                total = item
                continue
            if not item:
                return
            received += len(item)
            yield item, total
    finally:
        stopped.set()


def _read(url: str, begin: int, pipe: _Pipe, stopped: threading.Event) -> None:
    """Put the file's size if known, the response from byte `begin` on, then b"" or the error.

    Returns early if `stopped` is set.
    """

    def put(item: bytes | int | Exception) -> None:
        while not stopped.is_set():
            try:
                pipe.put(item, timeout=0.2)
                break
            except queue.Full:
                continue

    try:
        with _requested(url, begin) as answer:
            if answer.length:
                put(begin + answer.length)
            while not stopped.is_set():
                chunk = answer.read1(CHUNK_BYTES)  # `read` would block until the chunk is full
                if not chunk and answer.length:
                    raise ConnectionError(f"it broke off {answer.length:,} bytes before the end")
                put(chunk)
                if not chunk:
                    return
    except Exception as error:  # whatever the reason, the next mirror is tried
        put(error)


def _requested(url: str, begin: int) -> http.client.HTTPResponse:
    """Open a file from byte `begin` on. Raises _WrongContent if the server sends another part."""
    request = urllib.request.Request(url, headers={"User-Agent": "neocog"})
    if begin:
        request.add_header("Range", f"bytes={begin}-")
    opener = urllib.request.build_opener(_Redirects)
    try:
        answer: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _WrongContent(_reason(error)) from None
        raise
    sent = answer.headers.get("Content-Range", "")
    if begin and not (
        answer.status == HTTPStatus.PARTIAL_CONTENT and sent.startswith(f"bytes {begin}-")
    ):
        answer.close()
        raise _WrongContent("it does not go on with a part of the file")
    return answer


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
