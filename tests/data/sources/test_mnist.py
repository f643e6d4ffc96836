import gzip
import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest

from neocog import data
from neocog.data.sources import mnist
from neocog.data.sources.mnist import MNIST, TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from neocog.errors import NeocogError


def idx(array):
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A small dataset in MNIST's layout in a NEOCOG_DATA folder, with names and contents."""
    random = np.random.default_rng(0)
    contents = {
        TRAIN_IMAGES: idx(random.integers(0, 256, (60, 28, 28), dtype=np.uint8)),
        TRAIN_LABELS: idx(np.arange(60, dtype=np.uint8) % 10),
        TEST_IMAGES: idx(random.integers(0, 256, (20, 28, 28), dtype=np.uint8)),
        TEST_LABELS: idx(np.arange(20, dtype=np.uint8) % 10),
    }
    folder = tmp_path / "with space" / MNIST.folder
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("NEOCOG_DATA", f"{tmp_path / 'nowhere'}:{tmp_path / 'with space'}")
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    return folder, contents


SMALL = replace(MNIST, raw_md5={})


def test_reads_plain_and_gzipped_files_alike(files):
    folder, contents = files
    plain = mnist.read_idx_dataset(SMALL)
    for name, content in contents.items():
        (folder / name).unlink()
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    packed = mnist.read_idx_dataset(SMALL)
    for a, b in zip(plain, packed, strict=True):
        assert (a.images == b.images).all()
        assert (a.labels == b.labels).all()
    assert plain[0].images.shape == (60, 28, 28, 1)
    assert plain[0].labels.tolist() == [i % 10 for i in range(60)]


def test_missing_files_are_downloaded_and_the_progress_is_told(files, monkeypatch, local_server):
    folder, contents = files
    expected = mnist.read_idx_dataset(SMALL)
    packed = {f"{name}.gz": gzip.compress(content) for name, content in contents.items()}
    for name in contents:
        (folder / name).unlink()
    served = replace(
        SMALL,
        mirrors=(f"{local_server(packed)}/",),
        gz_md5={name: hashlib.md5(packed[f"{name}.gz"]).hexdigest() for name in contents},
        gz_sizes={name: len(packed[f"{name}.gz"]) for name in contents},
    )
    monkeypatch.setenv("NEOCOG_OFFLINE", "0")
    seen = []
    downloaded = mnist.read_idx_dataset(served, lambda *now: seen.append(now))
    for a, b in zip(expected, downloaded, strict=True):
        assert (a.images == b.images).all() and (a.labels == b.labels).all()
    assert {stage for stage, _, _ in seen} == {"download"}
    assert set(served.gz_sizes.values()) <= {done for _, done, _ in seen}


def test_a_file_that_unpacks_to_far_more_is_refused(files, monkeypatch):
    folder, _ = files
    (folder / TRAIN_IMAGES).unlink()
    (folder / f"{TRAIN_IMAGES}.gz").write_bytes(gzip.compress(bytes(2**21)))
    monkeypatch.setattr(mnist, "MAX_BYTES", 2**20)
    with pytest.raises(NeocogError, match="unpacks to more than 1 MB"):
        mnist.read_idx_dataset(SMALL)


@pytest.mark.parametrize("packed", [False, True])
def test_a_truncated_file_is_named(files, packed):
    folder, contents = files
    name = TRAIN_IMAGES
    (folder / name).unlink()
    target = folder / (f"{name}.gz" if packed else name)
    content = gzip.compress(contents[name]) if packed else contents[name]
    target.write_bytes(content[: len(content) // 2])
    with pytest.raises(NeocogError, match="truncated") as caught:
        mnist.read_idx_dataset(SMALL)
    assert str(target) in caught.value.message


def test_a_flipped_bit_is_detected_by_the_checksum(files):
    folder, contents = files
    sums = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    checked = replace(MNIST, raw_md5=sums)
    mnist.read_idx_dataset(checked)
    damaged = bytearray(contents[TEST_IMAGES])
    damaged[100] ^= 1
    (folder / TEST_IMAGES).write_bytes(damaged)
    with pytest.raises(NeocogError, match=f"{TEST_IMAGES} is not the official file"):
        mnist.read_idx_dataset(checked)


def test_a_web_page_saved_as_the_file_is_refused(files):
    (files[0] / TRAIN_LABELS).write_text("<html>404</html>")
    with pytest.raises(NeocogError, match="is not an IDX file"):
        mnist.read_idx_dataset(SMALL)


def test_images_and_labels_of_different_datasets_are_refused(files):
    (files[0] / TRAIN_LABELS).write_bytes(idx(np.zeros(59, dtype=np.uint8)))
    with pytest.raises(NeocogError, match="do not belong together"):
        mnist.read_idx_dataset(SMALL)


def test_offline_the_error_names_the_folder_and_an_alternative(tmp_path, monkeypatch):
    monkeypatch.setenv("NEOCOG_DATA", str(tmp_path))
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    with pytest.raises(NeocogError) as caught:
        data.load("mnist")
    assert str(tmp_path / "cache" / "data" / MNIST.folder) in caught.value.hint
    assert "neocog train mnist5k" in caught.value.hint


@pytest.mark.mnist
def test_the_official_files_are_split_as_documented():
    splits = data.load("mnist")
    assert [len(part) for part in splits.parts.values()] == [55000, 5000, 10000]
    whole = np.bincount(np.concatenate([splits.train.labels, splits.validation.labels]))
    assert np.abs(np.bincount(splits.validation.labels) - whole / 12).max() <= 1
    # Known facts: the first test image is a 7, and the mean of the training pixels is 0.1307.
    assert splits.test.labels[0] == 7
    pixels = np.concatenate([splits.train.images, splits.validation.images])
    assert pixels.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert pixels.std() / 255 == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.mnist
def test_mnist5k_is_from_the_training_set():
    everything = data.load("mnist", data.DataConfig(validation_size=0))
    train = {image.tobytes() for image in everything.train.images}
    test = {image.tobytes() for image in everything.test.images}
    for part in data.load("mnist5k").parts.values():
        assert all(image.tobytes() in train for image in part.images)
        assert not any(image.tobytes() in test for image in part.images)
