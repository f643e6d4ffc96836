"""Fetch one file from a list of mirrors, check its hash, and rename it into place."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from neocog.errors import NeocogError
from neocog.files import write_atomic

TIMEOUT_SECONDS = 15.0


def offline() -> bool:
    """Whether `NEOCOG_OFFLINE` forbids the network."""
    return os.environ.get("NEOCOG_OFFLINE", "") not in ("", "0")


def fetch(urls: Sequence[str], destination: Path, md5: str) -> Path:
    """Download the first of `urls` that answers with the right content to `destination`.

    A file that is already there with this MD5 is kept; a half-written or wrong one never appears
    under that name. The parent folder is made. Raises NeocogError naming every mirror and what it
    said, at once where `NEOCOG_OFFLINE=1`; OSError where the file cannot be written.
    """
    if destination.exists() and _md5(destination.read_bytes()) == md5:
        return destination
    if offline():
        raise NeocogError(
            f"{destination.name} is not here and NEOCOG_OFFLINE=1 forbids to fetch it."
        )
    failures = []
    for url in urls:
        try:
            content = _read(url)
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            failures.append(f"{url}: {reason}")
            continue
        found = _md5(content)
        if found != md5:
            failures.append(f"{url}: MD5 is {found}, expected {md5} ({len(content):,} bytes came)")
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(destination, content)
        return destination
    raise NeocogError(f"{destination.name} could not be downloaded ({'; '.join(failures)}).")


def _read(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "neocog"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        content: bytes = answer.read()
        return content


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
