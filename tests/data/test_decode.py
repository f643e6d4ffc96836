import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from neocog.data import decode
from neocog.data.decode import read_picture
from neocog.errors import NeocogError

# Left half red, right half dark blue; wider than high.
PICTURE = np.zeros((40, 60, 3), dtype=np.uint8)
PICTURE[:, :30] = (250, 10, 10)
PICTURE[:, 30:] = (10, 10, 120)


def saved(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def assert_is_the_picture(found, tolerance=3):
    assert found.dtype == np.uint8
    assert found.shape == PICTURE.shape
    assert np.abs(found.astype(int) - PICTURE).mean() < tolerance


RGB = Image.fromarray(PICTURE)


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
def test_every_kind_of_file_gives_the_same_picture(content):
    assert_is_the_picture(read_picture(content))


def test_cmyk_is_read():
    found = read_picture(saved(RGB.convert("CMYK"), "JPEG", quality=95))
    assert_is_the_picture(found, tolerance=25)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    ways = {
        1: lambda i: i,
        2: lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda i: i.transpose(Image.Transpose.ROTATE_180),
        4: lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda i: i.transpose(Image.Transpose.TRANSPOSE),
        6: lambda i: i.transpose(Image.Transpose.ROTATE_90),
        7: lambda i: i.transpose(Image.Transpose.TRANSVERSE),
        8: lambda i: i.transpose(Image.Transpose.ROTATE_270),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_is_the_picture(read_picture(saved(ways[orientation](RGB), exif=exif)))


def test_alpha_is_laid_over_white():
    rgba = np.dstack([np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.uint8)])
    rgba[5:15, 5:15, 3] = 255
    found = read_picture(saved(Image.fromarray(rgba)))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[10, 10].tolist() == [0, 0, 0]


def test_white_ink_on_nothing_stays_visible():
    rgba = np.full((20, 20, 4), 255, np.uint8)
    rgba[:, :, 3] = 0
    rgba[5:15, 5:15, 3] = 255
    found = read_picture(saved(Image.fromarray(rgba)))
    assert found[0, 0].tolist() == [0, 0, 0]
    assert found[10, 10].tolist() == [255, 255, 255]


def test_a_transparent_palette_colour_is_white():
    palette = Image.new("P", (10, 10), 0)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.putpixel((5, 5), 1)
    found = read_picture(saved(palette, transparency=0))
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[5, 5].tolist() == [200, 0, 0]


@pytest.mark.parametrize("top", [65535, 255], ids=["16 bits used", "8 bits in 16"])
def test_16_bit_grey(top):
    ramp = np.linspace(0, top, 256).astype(np.uint16)[None].repeat(4, axis=0)
    found = read_picture(saved(Image.fromarray(ramp)))
    assert np.abs(found[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_float_tiff():
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(4, axis=0)
    found = read_picture(saved(Image.fromarray(ramp), "TIFF"))
    assert np.abs(found[0, :, 0].astype(int) - np.arange(256)).max() <= 1


def test_a_large_jpeg_is_decoded_smaller_but_never_smaller_than_asked():
    large = Image.new("RGB", (4000, 3000), (90, 20, 20))
    content = saved(large, "JPEG")
    assert 500 <= min(read_picture(content, shrink_to=500).shape[:2]) < 1500
    assert read_picture(content).shape == (3000, 4000, 3)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(width, height):
    """A PNG of a few bytes that says it is enormous."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"hello", "not a picture"),
        (b"%PDF-1.7 " + bytes(500), "not a picture"),
        (saved(RGB)[:60], "damaged or truncated"),
        (saved(RGB.resize((600, 400)), "JPEG")[:900], "damaged or truncated"),
        (bomb(9500, 9400), "9,500 x 9,400 pixels"),
        (bomb(60000, 60000), "bomb"),
    ],
)
def test_what_is_no_picture_is_told_in_one_line(content, message):
    with pytest.raises(NeocogError, match=message) as caught:
        read_picture(content)
    assert "\n" not in str(caught.value)


def test_files_are_refused_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(NeocogError, match="no such file"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(NeocogError, match="cannot be read"):
        read_picture(tmp_path)
    (tmp_path / "large.png").write_bytes(saved(RGB))
    monkeypatch.setattr(decode, "MAX_BYTES", 10)
    with pytest.raises(NeocogError, match="larger than"):
        read_picture(tmp_path / "large.png")
