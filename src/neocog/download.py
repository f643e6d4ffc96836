"""Fetch one file from a list of mirrors, check its hash, and rename it into place."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from neocog.errors import NeocogError
from neocog.files import write_atomic

TIMEOUT_SECONDS = 15.0


def cache(kind: str) -> Path:
    """Where things of a kind, data or weights, are kept: `NEOCOG_CACHE`, else the user's cache."""
    named = os.environ.get("NEOCOG_CACHE")
    return Path(named or platformdirs.user_cache_dir("neocog", appauthor=False)) / kind


def offline() -> bool:
    """Whether `NEOCOG_OFFLINE` forbids the network."""
    return os.environ.get("NEOCOG_OFFLINE", "") not in ("", "0")


def fetch(urls: Sequence[str], destination: Path, md5: str = "", sha256_begins: str = "") -> Path:
    """Download the first of `urls` that answers with the right content to `destination`.

    What is right is said by the MD5, or by the first digits of the SHA-256. A file that is already
    there with it is kept; a half-written or wrong one never appears
    under that name. The parent folder is made. Raises NeocogError naming every mirror and what it
    said, at once where `NEOCOG_OFFLINE=1`; OSError where the file cannot be written.
    """
    if destination.exists() and not _wrong(destination.read_bytes(), md5, sha256_begins):
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
        wrong = _wrong(content, md5, sha256_begins)
        if wrong:
            failures.append(f"{url}: {wrong} ({len(content):,} bytes came)")
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


def _wrong(content: bytes, md5: str, sha256_begins: str) -> str:
    """What is wrong with the content, in words; empty where it is what was expected."""
    if sha256_begins:
        found = hashlib.sha256(content).hexdigest()[: len(sha256_begins)]
        kind, expected = "SHA-256 begins with", sha256_begins
    else:
        found, kind, expected = (
            hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "MD5 is",
            md5,
        )
    return "" if found == expected else f"{kind} {found}, expected {expected}"
