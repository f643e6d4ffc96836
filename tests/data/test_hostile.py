"""Hostile and broken files are refused in one line, within seconds and megabytes."""

import csv
import gzip
import io
import os
import random
import string
import subprocess
import sys
import tarfile
import time
import zipfile

import numpy as np
import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features

from neocog import data
from neocog.data.decode import decode_with_metadata, ignore_pillow_warnings, read_bytes, read_image
from neocog.data.sources import archive
from neocog.errors import NeocogError

from .test_decode import bomb, with_scans

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))
SECONDS = 20  # for one small broken file on a busy machine; usually milliseconds


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corpus():
    """A small valid file of every format, created on each call."""
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "png", saved(NOISE, "PNG", exif=exif)
    yield "interlaced", saved(NOISE.quantize(16), "PNG", transparency=0)
    yield "deep", saved(Image.new("I;16", (30, 20), 999), "PNG")
    yield "jpeg", saved(NOISE, "JPEG", exif=exif)
    yield "progressive", saved(NOISE.convert("CMYK"), "JPEG", progressive=True)
    yield "gif", saved(NOISE, "GIF", save_all=True, append_images=[NOISE.rotate(180)])
    for packing in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        yield f"tiff {packing}", saved(NOISE, "TIFF", compression=packing)
    yield "fax", saved(NOISE.convert("1"), "TIFF", compression="group4")
    yield "float", saved(NOISE.convert("F"), "TIFF")
    yield "webp", saved(NOISE, "WEBP", exif=exif)
    yield "lossless", saved(NOISE.convert("RGBA"), "WEBP", lossless=True)
    yield "bmp", saved(NOISE, "BMP")
    yield "rle", saved(NOISE.quantize(16), "BMP")
    yield "ppm", saved(NOISE, "PPM")
    if features.check("avif"):
        yield "avif", saved(NOISE, "AVIF", exif=exif)
    heic = io.BytesIO()
    pillow_heif.from_pillow(NOISE).save(heic, exif=exif.tobytes())
    yield "heic", heic.getvalue()


CORPUS = dict(corpus())


def broken(content, rng):
    """The content with random defects: bits, numbers, and parts doubled, lost or cut off."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(max(1, len(damaged)))
        length = min(rng.choice((1, 2, 4, 4, 30)), max(0, len(damaged) - place))
        kind = rng.randrange(6)
        if kind == 0:
            damaged[place : place + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            value = rng.choice((0, 1, 0x7F, 0xFF, 0x80))
            damaged[place : place + length] = bytes([value]) * length
        elif kind == 2:
            damaged[place:place] = damaged[place : place + rng.randrange(200)]
        elif kind == 3:
            del damaged[place : place + length]
        elif kind == 4:
            del damaged[place:]
        else:
            damaged[place : place + length] = rng.randbytes(length)
    return bytes(damaged)


def assert_is_one_line(error):
    assert error.message and "\n" not in error.message and len(error.message) < 800


def fuzz(name, count):
    for seed in range(count):
        rng = random.Random(f"{name} {seed}")
        content = broken(CORPUS[name], rng)
        began = time.perf_counter()
        try:
            with ignore_pillow_warnings():
                image, facts, thumbnail = decode_with_metadata(content, 512, lambda image: image)
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
            assert thumbnail.shape == (32, 32) and facts.width * facts.height > 0
        except NeocogError as error:
            assert_is_one_line(error)
        assert time.perf_counter() - began < SECONDS, f"{name}, seed {seed}"


@pytest.mark.parametrize("name", CORPUS)
def test_a_valid_file_of_every_format_is_read(name):
    assert read_image(CORPUS[name]).shape[2] == 3


@pytest.mark.parametrize("name", CORPUS)
def test_a_broken_image_is_read_or_refused_in_one_line(name):
    fuzz(name, 25)


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPUS)
def test_a_thousand_broken_images_are_read_or_refused_in_one_line(name):
    fuzz(name, 1000)


def archives():
    """A valid zip, tar, tar.gz and CSV of the same four small images, as (name, content)."""
    images = {f"{'ab'[n % 2]}/{n}.png": saved(NOISE.rotate(n), "PNG") for n in range(4)}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in images.items():
            file.writestr(name, content)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as file:
        for name, content in images.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    yield "set.zip", packed.getvalue()
    yield "set.tar", plain.getvalue()
    yield "set.tar.gz", gzip.compress(plain.getvalue(), mtime=0)
    rows = "\n".join(f"{name},{name[0]},train,g{name[2]}" for name in images)
    yield "set.csv", f"path,label,split,group\n{rows}\n".encode()


ARCHIVES = dict(archives())


def read_dataset(path):
    """Index a dataset and read each member; only NeocogError may be raised."""
    try:
        index = data.open_dataset(str(path))
    except NeocogError as error:
        assert_is_one_line(error)
        return None
    for image in index.samples:
        try:
            read_bytes(image.source)
        except NeocogError as error:
            assert_is_one_line(error)
    return index


@pytest.mark.parametrize("name", ARCHIVES)
@pytest.mark.parametrize(
    "count", [pytest.param(60, id="few"), pytest.param(3000, id="many", marks=pytest.mark.slow)]
)
def test_a_broken_archive_or_table_is_read_or_refused(tmp_path, name, count):
    for n in range(4):
        (tmp_path / "ab"[n % 2]).mkdir(exist_ok=True)
        NOISE.rotate(n).save(tmp_path / "ab"[n % 2] / f"{n}.png")
    path = tmp_path / name
    path.write_bytes(ARCHIVES[name])
    assert len(read_dataset(path).samples) == 4
    for seed in range(count):
        rng = random.Random(f"{name} {seed}")
        path.write_bytes(broken(ARCHIVES[name], rng))
        began = time.perf_counter()
        with ignore_pillow_warnings():
            read_dataset(path)
        assert time.perf_counter() - began < SECONDS, f"{name}, seed {seed}"


ANYTHING = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
CELLS = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\r\n\0"), min_size=1, max_size=12
)


@ANYTHING
@given(content=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode()))
def test_any_bytes_called_csv_are_read_or_refused(tmp_path, content):
    for head in (b"", b"path,label,split\n", b"\xff\xfe", b"\xef\xbb\xbfpath;label\n"):
        (tmp_path / "any.csv").write_bytes(head + content)
        assert read_dataset(tmp_path / "any.csv") is None


@ANYTHING
@given(labels=st.lists(CELLS, min_size=1, max_size=8), delimiter=st.sampled_from(",;\t"))
def test_labels_in_a_table_round_trip(tmp_path, labels, delimiter):
    """Surrounding whitespace is stripped, and rows without a label are skipped."""
    (tmp_path / "one.png").write_bytes(CORPUS["png"])
    with (tmp_path / "list.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter=delimiter)
        table.writerows([("path", "label"), *(("one.png", label) for label in labels)])
    index = read_dataset(tmp_path / "list.csv")
    expected = [label.strip() for label in labels if label.strip()]
    assert [p.label for p in index.samples] == expected if expected else index is None
    if index:
        assert len(index.unused) == len(labels) - len(expected)


NAMES = st.lists(
    st.text(string.ascii_letters + "./\\ :猫\u202e", min_size=1, max_size=20),
    min_size=1,
    max_size=6,
)


@ANYTHING
@given(names=NAMES)
def test_no_member_name_leaves_the_archive(tmp_path, names):
    content = CORPUS["bmp"]
    with zipfile.ZipFile(tmp_path / "any.zip", "w") as packed, ignore_pillow_warnings():
        for name in names:
            packed.writestr(zipfile.ZipInfo(name), content)
    with tarfile.open(tmp_path / "any.tar", "w") as packed:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    for kind in ("zip", "tar"):
        members, unused = archive.members(tmp_path / f"any.{kind}")
        folders = sum(name.endswith("/") for name in names)
        assert len(members) + len(unused) >= len(names) - folders
        for member in members:
            parts = member.name.replace("\\", "/").split("/")
            assert ".." not in parts and not member.name.startswith(("/", "\\"))
        read_dataset(tmp_path / f"any.{kind}")


CHILD = """
import resource, sys, time
from pathlib import Path
from neocog import data
from neocog.data.decode import read_images
from neocog.errors import NeocogError
config = data.DataConfig((0.5,) * 3, (0.5,) * 3, fit="crop", image_size=224, resize=256)
preprocessing = config.preprocessing()
path, copies = Path(sys.argv[1]), int(sys.argv[2])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before, began = peak(), time.perf_counter()
try:
    if path.suffix in (".zip", ".gz", ".tar", ".csv"):
        sources = [image.source for image in data.open_dataset(str(path)).samples]
        message = [s() if callable(s) else s for s in sources] and "read"
    else:
        transform, shrink_to = preprocessing.transform_image, preprocessing.shrink_to
        results = read_images([path] * copies, transform, shrink_to)
        message = next((f for f in results if isinstance(f, str)), "read")
except NeocogError as error:
    message = error.message
print(f"{time.perf_counter() - began:.2f}|{peak() - before}|{message}")
"""


def measure(path, copies=1):
    """Time in seconds, additional memory in MB, and the message, measured in a child process."""
    python = [sys.executable, "-W", "ignore", "-c", CHILD, str(path), str(copies)]
    begun = subprocess.run(
        ["bash", "-c", 'ulimit -v 8000000; exec "$@"', "bash", *python],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    assert begun.returncode == 0, begun.stderr
    seconds, megabytes, message = begun.stdout.strip().split("|", 2)
    return float(seconds), int(megabytes), message


def zeros(path, count):
    """A zip of files of 200 MB each, all zeros."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for n in range(count):
            packed.writestr(f"{'ab'[n % 2]}/{n}.png", bytes(200 * 2**20))


def zeros_in_tar(path):
    with gzip.open(path, "wb") as packed:
        for _ in range(1600):
            packed.write(bytes(2**20))


def header_in_tar(path):
    """A header that claims to be followed by 8 GB of attributes, of which 1.6 GB are there."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**33
    with gzip.open(path, "wb", compresslevel=1) as packed:
        packed.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(1600):
            packed.write(bytes(2**20))


def entries(path):
    with zipfile.ZipFile(path, "w") as packed:
        for n in range(archive.MAX_ENTRIES + 1):
            packed.writestr(f"a/{n}.png", b"")


def large(path):
    """88 megapixels with equal rows, in a mode that needs much memory."""
    small = np.random.default_rng(0).integers(0, 256, (94, 94), dtype=np.uint16)
    grey = np.kron(small, np.ones((100, 100), dtype=np.uint16))
    if path.stem == "alpha":
        image = Image.fromarray(np.stack([grey.astype(np.uint8)] * 4, 2))
    else:
        image = Image.fromarray(grey * 200 if path.stem == "deep" else grey.astype(np.float32))
    packed = {"compression": "tiff_deflate"} if path.suffix == ".tif" else {"compress_level": 1}
    image.save(path, **packed)  # unpacked TIFF would be refused as too large a file


HOSTILE = {
    "scans.jpg": lambda path: path.write_bytes(with_scans(500, (1200, 900))),
    "claims.png": lambda path: path.write_bytes(bomb(9400, 9400)),  # claims to be large
    "all.zip": lambda path: zeros(path, 8),
    "each.zip": lambda path: zeros(path, 4),  # below the limit for the whole archive
    "zeros.tar.gz": zeros_in_tar,
    "header.tar.gz": header_in_tar,
    "entries.zip": entries,
    "rows.csv": lambda path: path.write_bytes(b"path,label\n" + b"x,y\n" * 3_000_000),
    "deep.png": large,
    "float.tif": large,
    "alpha.png": large,
}


def hostile(folder, name):
    HOSTILE[name](folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("name", "seconds", "megabytes", "message"),
    [
        ("scans.jpg", 10, 100, "more than 100 scans"),
        ("claims.png", 20, 1000, "damaged or truncated"),
    ],
)
def test_a_hostile_image_is_cheap(tmp_path, name, seconds, megabytes, message):
    spent = measure(hostile(tmp_path, name))
    assert message in spent[2] and spent[0] < seconds and spent[1] < megabytes, spent


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seconds", "megabytes", "message"),
    [
        ("all.zip", 10, 100, "bomb"),
        ("each.zip", 20, 300, "bomb"),
        ("zeros.tar.gz", 60, 100, "bomb"),
        ("header.tar.gz", 60, 100, "damaged"),
        ("entries.zip", 40, 600, "more than 200,000 files"),
        ("rows.csv", 120, 1500, "more than 2,000,000 rows"),
    ],
)
def test_a_hostile_archive_is_cheap(tmp_path, name, seconds, megabytes, message):
    spent = measure(hostile(tmp_path, name))
    assert message in spent[2] and spent[0] < seconds and spent[1] < megabytes, spent


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deep.png", "float.tif", "alpha.png"])
def test_88_megapixel_images_on_every_core_need_the_memory_of_one(tmp_path, name):
    seconds, megabytes, message = measure(hostile(tmp_path, name), copies=3)
    assert message == "read" and megabytes < 1500 and seconds < 250, (seconds, megabytes, message)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_predict_refuses_special_files_at_once(tmp_path, digits_run, neocog_command):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe.png", tmp_path / "folder" / "inside.png"):
        os.mkfifo(path)
    for named in (tmp_path / "pipe.png", tmp_path / "folder", "/dev/zero"):
        code, _, err = neocog_command("predict", digits_run.path, named)
        assert code == 1 and "not a regular file" in err
