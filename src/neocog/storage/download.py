"""Fetch one file from a list of mirrors, check its hash, and rename it into place.

A server may be broken or hostile: what it sends is limited in size and in time, goes to disk as it
comes, and stands under a temporary name until its hash is right.
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

import platformdirs

from neocog.errors import NeocogError

TIMEOUT_SECONDS = 15.0  # without a byte
WINDOW_SECONDS, WINDOW_BYTES = 30.0, 300_000  # so much must come in so long: 10 kB/s
DEADLINE_SECONDS = 2 * 3600.0  # for a file, from all its mirrors
MOST_BYTES = 2**31
CHUNK_BYTES = 2**16


def cache(kind: str) -> Path:
    """Where things of a kind, data or weights, are kept: `NEOCOG_CACHE`, else the user's cache."""
    named = os.environ.get("NEOCOG_CACHE")
    return Path(named or platformdirs.user_cache_dir("neocog", appauthor=False)) / kind


def offline() -> bool:
    """Whether `NEOCOG_OFFLINE` forbids the network."""
    return os.environ.get("NEOCOG_OFFLINE", "") not in ("", "0")


def fetch(
    urls: Sequence[str],
    destination: Path,
    md5: str = "",
    sha256: str = "",
    most_bytes: int = MOST_BYTES,
) -> Path:
    """Download the first of `urls` that answers with the right content to `destination`.

    What is right is said by the MD5, or by the SHA-256, of which the first digits may do. A file
    that is already there with it is kept; a half-written or wrong one never appears under that
    name. The parent folder is made. A mirror that sends more than `most_bytes`, less than 10 kB/s
    or anything else that is wrong is left for the next. Raises NeocogError naming every mirror and
    what was wrong with it, at once where `NEOCOG_OFFLINE=1`; OSError where the file cannot be
    written.
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
            _store(url, temporary, most_bytes, deadline)
            found = digest_of(temporary, kind)[: len(expected)]
            if found != expected:
                name = "MD5 is" if kind == "md5" else "SHA-256 begins with"
                size = temporary.stat().st_size
                raise _Refused(f"{name} {found}, expected {expected} ({size:,} bytes came)")
            temporary.replace(destination)
            return destination
        except _Refused as refused:
            failures.append(f"{url}: {refused}")
        finally:
            temporary.unlink(missing_ok=True)
    raise NeocogError(f"{destination.name} could not be downloaded ({'; '.join(failures)}).")


def digest_of(path: Path, kind: str = "sha256") -> str:
    """The MD5 or SHA-256 of a file in hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.new(kind, usedforsecurity=False)
        ).hexdigest()


class _Refused(Exception):  # noqa: N818 - not an error yet: the next mirror is asked
    """A mirror did not give the file; the text is why."""


def _store(url: str, path: Path, most_bytes: int, deadline: float) -> None:
    """Write what a mirror sends to a new file. Raises _Refused, or OSError for the disk."""
    size = 0
    with path.open("xb") as file:
        for chunk in _chunks(url, deadline):
            size += len(chunk)
            if size > most_bytes:
                raise _Refused(f"it sends more than the {most_bytes:,} bytes that the file has")
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _chunks(url: str, deadline: float) -> Iterator[bytes]:
    """What a mirror sends, while it comes fast enough. Raises _Refused.

    Another thread reads, since a server can hold the reader up where no timeout of Python's holds:
    in its headers, in redirects, in what follows the content.
    """
    pipe: queue.Queue[bytes | Exception] = queue.Queue(maxsize=16)
    stopped = threading.Event()
    threading.Thread(target=_read, args=(url, pipe, stopped), daemon=True).start()
    came, window_end = 0, time.monotonic() + WINDOW_SECONDS
    try:
        while True:
            now = time.monotonic()
            if now >= deadline:
                raise _Refused(f"the file did not come within {DEADLINE_SECONDS:,.0f} s")
            if now >= window_end and came < WINDOW_BYTES:
                raise _Refused(f"only {came:,} bytes came within {WINDOW_SECONDS:g} s")
            if now >= window_end:
                came, window_end = 0, now + WINDOW_SECONDS
            try:
                item = pipe.get(timeout=min(window_end, deadline) - now)
            except queue.Empty:
                continue
            if isinstance(item, Exception):
                raise _Refused(_reason(item))
            if not item:
                return
            came += len(item)
            yield item
    finally:
        stopped.set()


def _read(url: str, pipe: "queue.Queue[bytes | Exception]", stopped: threading.Event) -> None:
    """Put what a URL answers into `pipe`, then b"" or what went wrong; the end where `stopped`."""

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
                chunk = answer.read1(CHUNK_BYTES)  # `read` would wait for all of it
                put(chunk)
                if not chunk:
                    return
    except Exception as error:  # whatever it is, the next mirror may do better
        put(error)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects whose content is not read: it could be endless."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """Follow the redirect."""
        fp.close()
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _reason(error: Exception) -> str:
    """An error of the network on one line."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(cause).strip().partition("\n")[0] or type(error).__name__
