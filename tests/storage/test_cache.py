"""The cache of computed files: its bound, what is evicted first, and two processes at once."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from neocog.errors import UsageError
from neocog.storage import cache
from neocog.storage.atomic import make_folder, write_atomic


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NEOCOG_CACHE_SIZE", "0.000001")  # 1,000 bytes


def written(kind, key, size, hours_ago=0.0):
    """A file, or for a key without a dot a folder, that was last used some hours ago."""
    path = cache.entry(kind, key)
    file = path if "." in key else path / "below" / "file"
    make_folder(file.parent)
    write_atomic(file, bytes(size))
    then = time.time() - 3600 * hours_ago
    os.utime(path, (then, then))
    return path


def test_the_entries_not_used_for_longest_are_deleted_over_all_kinds():
    oldest = written("features", "a.safetensors", 400, hours_ago=9)
    older = written("photos", "b", 400, hours_ago=8)
    newer = written("photos", "c", 400, hours_ago=7)
    assert cache.evict() == 400
    assert not oldest.exists() and older.is_dir() and newer.is_dir()
    assert cache.evict() == 0
    cache.entry("photos", "b")  # uses it
    written("features", "d.safetensors", 500, hours_ago=6)
    assert cache.evict() == 400
    assert older.is_dir() and not newer.exists()


def test_an_entry_of_the_last_hour_is_kept_even_beyond_the_bound():
    """It may be what another process is writing."""
    recent = written("photos", "a", 5000, hours_ago=0.9)
    assert cache.evict() == 0 and recent.is_dir()
    os.utime(recent, (0, 0))
    assert cache.evict() == 5000 and not recent.exists()


def test_downloads_and_temporary_files_are_not_entries():
    (cache.location("weights")).mkdir(parents=True)
    download = cache.location("weights") / "w.pth"
    download.write_bytes(bytes(5000))
    os.utime(download, (0, 0))
    temporary = written("photos", ".neocog-1-01234567.tmp", 5000, hours_ago=9)
    assert cache.evict() == cache.clear() == 0
    assert download.exists() and temporary.exists()


def test_clearing_deletes_every_entry_and_counts_the_bytes():
    written("photos", "a", 100)
    written("features", "b.safetensors", 50, hours_ago=9)
    assert cache.clear() == 150
    assert not list(cache.location("computed").glob("*/*"))
    assert cache.clear() == 0


@pytest.mark.parametrize(("text", "size"), [("5", 5e9), ("0", 0), (" 0.5 ", 5e8), ("", None)])
def test_the_bound_is_named_by_the_environment(monkeypatch, text, size):
    monkeypatch.setenv("NEOCOG_CACHE_SIZE", text)
    if size is None:
        assert 0 < cache.max_bytes() <= cache.MAX_BYTES
    else:
        assert cache.max_bytes() == size


@pytest.mark.parametrize("text", ["x", "-1", "1e400", "nan", "5 GB"])
def test_a_bound_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv("NEOCOG_CACHE_SIZE", text)
    with pytest.raises(UsageError, match="number of gigabytes"):
        cache.evict()


@pytest.mark.skipif(os.name == "nt", reason="Windows does not delete files that are open")
def test_a_mapped_file_stays_readable_after_it_was_evicted():
    path = written("features", "a.npy", 0)
    expected = np.arange(10_000)
    np.save(path, expected)
    mapped = np.load(path, mmap_mode="r")
    os.utime(path, (0, 0))
    assert cache.evict() > 0 and not path.exists()
    assert (mapped == expected).all()


@pytest.mark.skipif(os.name == "nt", reason="no bits of permission")
def test_a_cache_that_cannot_be_changed_raises_nothing():
    path = written("photos", "a.bin", 5000, hours_ago=9)
    path.parent.chmod(0o500)
    try:
        cache.entry("photos", "a.bin")
        cache.evict()
        cache.clear()
    finally:
        path.parent.chmod(0o700)


WRITER = """
import os, random, sys
from contextlib import suppress
from neocog.storage import cache
from neocog.storage.atomic import make_folder, write_atomic
random.seed(sys.argv[1])
for n in range(150):
    path = cache.entry("arrays", f"{random.randrange(20)}.bin")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = bytes([n]) * 300
        make_folder(path.parent)
        write_atomic(path, content)
        with suppress(FileNotFoundError):
            os.utime(path, (0, 0))
    assert len(content) == 300 and len(set(content)) == 1, content
    if n % 50 == 49:
        cache.clear()
    cache.evict()
"""


def test_two_processes_see_entries_whole_or_not_at_all():
    workers = [
        subprocess.Popen([sys.executable, "-c", WRITER, seed], stderr=subprocess.PIPE, text=True)
        for seed in "ab"
    ]
    errors = [worker.communicate(timeout=120)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    assert not list(cache.location("computed").rglob(".*"))
