import os
import resource

import pytest

from neocog.storage.atomic import write_atomic


def test_write_atomic_replaces_the_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "文件.txt"
    write_atomic(target, "旧")
    write_atomic(target, "新")
    assert target.read_text("utf-8") == "新"
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_write_atomic_sets_ordinary_permissions(tmp_path):
    write_atomic(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_failed_write_keeps_the_old_file(tmp_path):
    target = tmp_path / "kept"
    write_atomic(target, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomic(target, os.urandom(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
