import io
import os
import re
import stat
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, features

from neocog.data import decode
from neocog.data.decode import ImageError, read_bytes, read_image
from neocog.data.decode import ImageErrorKind as Kind
from neocog.data.preprocess import Preprocessing
from neocog.errors import NeocogError

# Left half red, right half dark blue; wider than high.
IMAGE = np.zeros((40, 60, 3), dtype=np.uint8)
IMAGE[:, :30] = (250, 10, 10)
IMAGE[:, 30:] = (10, 10, 120)


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def assert_is_the_image(decoded, tolerance=3):
    assert decoded.dtype == np.uint8
    assert decoded.shape == IMAGE.shape
    assert np.abs(decoded.astype(int) - IMAGE).mean() < tolerance


RGB = Image.fromarray(IMAGE)
WAYS = {
    1: lambda i: i,
    2: lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda i: i.transpose(Image.Transpose.ROTATE_180),
    4: lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda i: i.transpose(Image.Transpose.TRANSPOSE),
    6: lambda i: i.transpose(Image.Transpose.ROTATE_90),
    7: lambda i: i.transpose(Image.Transpose.TRANSVERSE),
    8: lambda i: i.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(saved(RGB), id="png"),
        pytest.param(saved(RGB, "JPEG", quality=95), id="jpeg"),
        pytest.param(saved(RGB, "BMP"), id="bmp"),
        pytest.param(saved(RGB, "WEBP", lossless=True), id="webp"),
        pytest.param(saved(RGB, "TIFF"), id="tiff"),
        pytest.param(saved(RGB.quantize(8)), id="palette"),
        pytest.param(saved(RGB.convert("RGBA")), id="opaque alpha"),
        pytest.param(saved(RGB, "GIF", save_all=True, append_images=[RGB.rotate(180)]), id="gif"),
    ],
)
def test_every_format_gives_the_same_image(content):
    assert_is_the_image(read_image(content))


def test_cmyk_is_read():
    decoded = read_image(saved(RGB.convert("CMYK"), "JPEG", quality=95))
    assert_is_the_image(decoded, tolerance=25)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_is_the_image(read_image(saved(WAYS[orientation](RGB), exif=exif)))


def test_alpha_is_composited_over_white():
    rgba = np.dstack([np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.uint8)])
    rgba[5:15, 5:15, 3] = 255
    decoded = read_image(saved(Image.fromarray(rgba)))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[10, 10].tolist() == [0, 0, 0]


def test_white_ink_on_transparent_stays_visible():
    rgba = np.full((20, 20, 4), 255, np.uint8)
    rgba[:, :, 3] = 0
    rgba[5:15, 5:15, 3] = 255
    decoded = read_image(saved(Image.fromarray(rgba)))
    assert decoded[0, 0].tolist() == [0, 0, 0]
    assert decoded[10, 10].tolist() == [255, 255, 255]


def test_a_transparent_palette_colour_is_white():
    palette = Image.new("P", (10, 10), 0)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.putpixel((5, 5), 1)
    decoded = read_image(saved(palette, transparency=0))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[5, 5].tolist() == [200, 0, 0]


@pytest.mark.parametrize("top", [65535, 255], ids=["16 bits used", "8 bits in 16"])
def test_16_bit_grey(top):
    ramp = np.linspace(0, top, 256).astype(np.uint16)[None].repeat(4, axis=0)
    decoded = read_image(saved(Image.fromarray(ramp)))
    assert np.abs(decoded[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_float_tiff():
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(4, axis=0)
    decoded = read_image(saved(Image.fromarray(ramp), "TIFF"))
    assert np.abs(decoded[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_a_large_jpeg_is_not_reduced_below_shrink_to():
    large = Image.new("RGB", (4000, 3000), (90, 20, 20))
    content = saved(large, "JPEG")
    assert 500 <= min(read_image(content, shrink_to=500).shape[:2]) < 1500
    assert read_image(content).shape == (3000, 4000, 3)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(width, height):
    """A tiny PNG whose header claims a huge size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", Kind.EMPTY, "empty"),
        (b"hello", Kind.NOT_AN_IMAGE, "not an image"),
        (b"%PDF-1.7 " + bytes(500), Kind.NOT_AN_IMAGE, "not an image"),
        (saved(RGB)[:60], Kind.DAMAGED, "damaged or truncated"),
        (saved(RGB.resize((600, 400)), "JPEG")[:900], Kind.DAMAGED, "damaged or truncated"),
        (bomb(9500, 9400), Kind.TOO_LARGE, "9,500 x 9,400 pixels"),
        (bomb(60000, 60000), Kind.TOO_LARGE, "bomb"),
    ],
)
def test_content_that_is_not_an_image_is_refused_in_one_line(content, kind, message):
    with pytest.raises(ImageError, match=message) as caught:
        read_image(content)
    assert "\n" not in str(caught.value) and caught.value.kind is kind


def test_files_are_refused_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(ImageError, match="no such file") as caught:
        read_image(tmp_path / "missing.png")
    assert caught.value.kind is Kind.UNREADABLE
    with pytest.raises(NeocogError, match="cannot be read"):
        read_image(tmp_path)
    (tmp_path / "large.png").write_bytes(saved(RGB))
    monkeypatch.setattr(decode, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match="larger than") as caught:
        read_image(tmp_path / "large.png")
    assert caught.value.kind is Kind.TOO_LARGE


def test_an_error_of_an_archive_is_an_image_error():
    def locked():
        raise NeocogError("the file is locked with a password")

    with pytest.raises(ImageError, match="locked with a password") as caught:
        read_bytes(locked)
    assert caught.value.kind is Kind.UNREADABLE and caught.value.kind.is_temporary


def heic(image, **options):
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_read_upright_by_every_orientation(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = heic(WAYS[orientation](RGB), exif=exif.tobytes())
    assert content[4:8] == b"ftyp"
    assert_is_the_image(read_image(content), tolerance=8)
    fitted, metadata, _ = decode.decode_with_metadata(content, 512, lambda image: image)
    assert fitted.shape == IMAGE.shape and metadata.format == "HEIF"
    assert metadata.orientation <= 1  # libheif has applied it


def test_heic_without_its_extra_is_refused_with_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=re.escape("pip install 'neocog[heic]'")) as caught:
        read_image(heic(RGB))
    assert caught.value.kind is Kind.HEIC


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_read_upright_by_every_orientation(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = saved(WAYS[orientation](RGB), "AVIF", quality=95, exif=exif)
    assert_is_the_image(read_image(content), tolerance=8)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
def test_avif_without_pillow_support_is_refused_with_a_hint(monkeypatch):
    monkeypatch.setattr(decode, "FORMATS", ("PNG", "JPEG"))
    with pytest.raises(ImageError, match="pip install --upgrade pillow") as caught:
        read_image(saved(RGB, "AVIF"))
    assert caught.value.kind is Kind.AVIF


def test_a_video_is_not_an_image():
    with pytest.raises(NeocogError, match="not an image"):
        read_image(struct.pack(">I", 24) + b"ftypisom" + bytes(4) + b"isommp42" + bytes(500))


def with_scans(count, size=(64, 64)):
    """A progressive JPEG with this many scans: the last one is repeated."""
    random = np.random.default_rng(0).integers(0, 255, (*size[::-1], 3), dtype=np.uint8)
    content = saved(Image.fromarray(random), "JPEG", progressive=True)
    begin = content.rindex(b"\xff\xda")
    scans = content.count(b"\xff\xda")
    return content[:-2] + content[begin:-2] * (count - scans) + content[-2:]


def test_a_jpeg_with_hundreds_of_scans_is_refused_and_one_with_many_is_read():
    assert read_image(with_scans(100)).shape == (64, 64, 3)
    with pytest.raises(NeocogError, match="more than 100 scans"):
        read_image(with_scans(101))


def test_scans_are_counted_in_the_image_only():
    """Not in the video that a phone appends, nor in the EXIF preview."""
    content = saved(RGB, "JPEG", comment=b"\xff\xda" * 200) + b"\xff\xda\0\0" * 200
    assert_is_the_image(read_image(content), tolerance=8)


def test_few_scans_of_very_many_pixels_are_refused():
    content = bytearray(with_scans(90))
    frame = content.index(b"\xff\xc2")  # height and width
    content[frame + 5 : frame + 9] = struct.pack(">HH", 9000, 9000)
    with pytest.raises(NeocogError, match=r"90 scans of 9,000 x 9,000 pixels"):
        read_image(bytes(content))


def test_108_megapixels_are_decoded_at_a_reduced_scale():
    content = saved(Image.new("RGB", (12000, 9000), (90, 20, 20)), "JPEG")
    assert read_image(content, shrink_to=512).shape == (1125, 1500, 3)
    assert read_image(content).shape == (4500, 6000, 3)
    assert decode.read_size(content) == (12000, 9000)
    _, metadata, thumbnail = decode.decode_with_metadata(content, 512, lambda image: image)
    assert (metadata.width, metadata.height) == (12000, 9000)
    assert np.ptp(thumbnail) == 0


def test_stripes_give_the_same_result_as_the_whole_image(monkeypatch):
    """For every pixel mode; by default these images are a single stripe."""
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (31, 20, 4), dtype=np.uint8))
    palette = noise.convert("RGB").quantize(16)
    deep = Image.fromarray(random.integers(0, 65536, (31, 20), dtype=np.uint16))
    floats = Image.fromarray(random.random((31, 20), dtype=np.float32) * 900)
    contents = [saved(noise), saved(palette, transparency=3), saved(deep), saved(floats, "TIFF")]
    contents += [saved(noise.convert(m), "TIFF") for m in ("RGB", "L", "LA", "CMYK", "1", "LAB")]
    whole = [read_image(content) for content in contents]
    monkeypatch.setattr(decode, "STRIPE_PIXELS", 60)
    for content, expected in zip(contents, whole, strict=True):
        assert (read_image(content) == expected).all()


def test_the_memory_budget_is_shared_by_all_threads():
    memory, inside, most, lock = decode.MemoryBudget(100), [0], [0], threading.Lock()

    def work(amount):
        with memory.reserve(amount):
            with lock:
                inside[0] += min(amount, 100)
                most[0] = max(most[0], inside[0])
            time.sleep(0.002)
            with lock:
                inside[0] -= min(amount, 100)

    threads = [threading.Thread(target=work, args=(n % 7 * 20 + 10,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 60 <= most[0] <= 100 and memory.free == 100


def test_memory_is_released_if_an_image_cannot_be_read():
    for content in (saved(RGB)[:60], saved(RGB)):
        with pytest.raises((NeocogError, ZeroDivisionError)):
            decode.decode_with_metadata(content, 512, lambda _: 1 // 0)
    assert decode._memory.free == decode.MEMORY_BUDGET_BYTES


MAKE_TIFF = """
import io, sys
from PIL import Image
for packing in ("tiff_lzw", "tiff_deflate", "jpeg", "group4"):
    image = Image.effect_noise((200, 200), 90).convert("1" if packing == "group4" else "L")
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression=packing)
    content = bytearray(buffer.getvalue())
    content[300:340] = bytes(range(200, 240))
    from neocog.data.decode import read_image
    for data in (bytes(content), buffer.getvalue()[:-90], buffer.getvalue()[: len(content) // 2]):
        try:
            read_image(data)
        except Exception as error:
            print("refused", error)
"""


def test_libtiff_prints_nothing_itself():
    decoded = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MAKE_TIFF],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "refused" in decoded.stdout
    assert decoded.stderr == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_special_files_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(NeocogError, match="is a FIFO, not a regular file"):
        read_image(tmp_path / "pipe.png")
    device = next(p for p in (decode.Path("/dev/zero"), decode.Path("/dev/null")) if p.exists())
    assert stat.S_ISCHR(device.stat().st_mode)
    with pytest.raises(NeocogError, match="is a character device"):
        read_image(device)


def test_large_and_small_16_bit_images_are_transformed_alike():
    rule = Preprocessing((8, 8), 3, "crop", (0.5,) * 3, (0.5,) * 3, resize=8)
    (fitted,) = decode.read_images(
        [saved(Image.new("I;16", (40, 20), 40000))], rule.transform_image, 8
    )
    assert (fitted == round(40000 * 255 / 65535)).all()
