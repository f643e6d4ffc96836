import hashlib
import io
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets as theirs

from neocog.data.sources import cifar
from neocog.data.sources.cifar import CIFAR10, CIFAR100, CifarFiles
from neocog.errors import NeocogError


def md5(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def files(tmp_path, monkeypatch) -> tuple[CifarFiles, dict[str, bytes]]:
    """CIFAR-10's layout with few images, and the contents of its files by name."""
    random = np.random.default_rng(0)
    contents = {"batches.meta": pickle.dumps({"label_names": [f"class {k}" for k in range(10)]})}
    for name in (*CIFAR10.train, *CIFAR10.test):
        rows = random.integers(0, 256, (20, 3072), dtype=np.uint8)
        contents[name] = pickle.dumps({"data": rows, "labels": [k % 10 for k in range(20)]})
    known = {name: md5(content) for name, content in contents.items()}
    monkeypatch.setenv("NEOCOG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    small = replace(
        CIFAR10,
        train={name: known[name] for name in CIFAR10.train},
        test={name: known[name] for name in CIFAR10.test},
        meta={name: known[name] for name in CIFAR10.meta},
    )
    return small, contents


def write(folder, contents):
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def test_the_official_files_match_torchvision():
    for ours, reference in ((CIFAR10, theirs.CIFAR10), (CIFAR100, theirs.CIFAR100)):
        assert (ours.folder, ours.archive_md5) == (reference.base_folder, reference.tgz_md5)
        assert dict(reference.train_list) == ours.train
        assert dict(reference.test_list) == ours.test
        assert ours.meta == {reference.meta["filename"]: reference.meta["md5"]}
        assert ours.names_key == reference.meta["key"]
        assert ours.mirrors[0] == reference.url


def test_reads_torchvisions_folder(files, tmp_path):
    small, contents = files
    write(tmp_path / "data" / small.folder, contents)
    train, test = cifar.read_cifar(small)
    assert train.images.shape == (100, 32, 32, 3) and test.images.shape == (20, 32, 32, 3)
    row = pickle.loads(contents["data_batch_2"])["data"][3]
    red, green, blue = row.reshape(3, 32, 32)
    assert (train.images[23] == np.stack([red, green, blue], axis=2)).all()
    assert train.classes[3] == "class 3" and train.labels[23] == 3


def test_a_changed_file_is_refused_before_unpickling(files, tmp_path):
    small, contents = files
    contents["test_batch"] += b"."
    write(tmp_path / "data" / small.folder, contents)
    with pytest.raises(NeocogError, match=r"test_batch is not the official file"):
        cifar.read_cifar(small)


def test_a_pickle_can_only_create_arrays(tmp_path):
    evil = pickle.dumps({"data": print})
    (tmp_path / "batch").write_bytes(evil)
    with pytest.raises(NeocogError, match=r"builtins\.print is no part of an array"):
        cifar._load_pickle(tmp_path / "batch", md5(evil))


def test_the_archive_is_downloaded_checked_and_extracted(
    files, tmp_path, monkeypatch, local_server
):
    small, contents = files
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in {**contents, "../../evil": b"x"}.items():
            member = tarfile.TarInfo(f"{small.folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    address = local_server({"cifar-10-python.tar.gz": buffer.getvalue()})
    small = replace(
        small,
        mirrors=(f"{address}/cifar-10-python.tar.gz",),
        archive_md5=md5(buffer.getvalue()),
    )
    monkeypatch.delenv("NEOCOG_OFFLINE")
    train, _ = cifar.read_cifar(small)
    assert len(train) == 100
    folder = tmp_path / "cache" / "data" / small.folder
    assert sorted(p.name for p in folder.iterdir()) == sorted(contents)
    assert not (tmp_path / "evil").exists()
    monkeypatch.setenv("NEOCOG_OFFLINE", "1")
    assert len(cifar.read_cifar(small)[1]) == 20


def test_offline_without_the_files_says_where_to_put_them(files, tmp_path):
    small, _ = files
    with pytest.raises(NeocogError, match="cifar10 is not in") as caught:
        cifar.read_cifar(small)
    assert str(tmp_path / "cache") in caught.value.hint


def test_a_parquet_copy_must_be_complete(files, tmp_path, parquet):
    small, _ = files
    image = Image.new("RGB", (32, 32))
    for split in ("train", "test"):
        parquet(
            tmp_path / "data" / "cifar10" / f"{split}-00000.parquet",
            [(image, 0)] * 3,
            list("abcdefghij"),
        )
    with pytest.raises(NeocogError, match=r"has 3 readable images and should have\s+50,000"):
        cifar.read_cifar(small)
