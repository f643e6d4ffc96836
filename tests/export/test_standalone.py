"""The script beside an exported file answers as `neocog predict` does, with three packages."""

import io
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from neocog import data, export_run
from neocog.classifier import load
from neocog.data.decode import read_image
from neocog.data.preprocess import Preprocessing
from neocog.export import standalone
from neocog.export.scripts import digits, predict_onnx

# What onnxruntime, numpy and pillow need besides themselves, and nothing else.
ALLOWED = (
    "onnxruntime",
    "numpy",
    "PIL",
    "flatbuffers",
    "packaging",
    "google",
    "pillow",
    "numpy.libs",
)
PHOTOS = [
    folder
    for place in os.environ.get("NEOCOG_DATA", "").split(os.pathsep)
    if (folder := Path(place).absolute() / "hymenoptera").is_dir()
]


@pytest.fixture(scope="module")
def lonely_python(tmp_path_factory):
    """Runs a script with a Python that has only onnxruntime, numpy and pillow."""
    site = tmp_path_factory.mktemp("site")
    installed = Path(sysconfig.get_paths()["purelib"])
    for name in (*ALLOWED, "pillow.libs"):
        if (installed / name).exists():
            (site / name).symlink_to(installed / name)

    def run(script, *arguments):
        command = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            RUN,
            str(site),
            str(script),
            *map(str, arguments),
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    return run


RUN = """
import runpy, sys
site, *sys.argv = sys.argv[1:]
sys.path.append(site)
for name in ("torch", "scipy", "neocog", "onnx"):
    try:
        __import__(name)
    except ImportError:
        continue
    sys.exit(f"{name} is there")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def exported(quick_run, tmp_path_factory):
    """A run of LeNet-5 on mnist5k, exported."""
    copy = tmp_path_factory.mktemp("exported") / "digits-1"
    shutil.copytree(quick_run.path, copy)
    assert export_run.export(copy).files
    return copy


def answers(output):
    """Label and probability by file name."""
    rows = (line.rpartition(": ") for line in output.splitlines())
    return {Path(path).name: (said.split()[0], float(said.split()[1])) for path, _, said in rows}


def test_it_is_short_and_prints_what_predict_prints(exported, lonely_python, tmp_path):
    script = exported / "predict_onnx.py"
    lines = script.read_text().splitlines()
    assert len(lines) <= 100 and max(map(len, lines)) <= 100
    test = data.load("mnist5k").test
    files = []
    for n in range(40):
        files.append(tmp_path / f"{n}.png")
        Image.fromarray(test.images[n, :, :, 0]).save(files[-1])
    shown = lonely_python(script, *files)
    assert shown.returncode == 0, shown.stderr
    predictions = load(exported, device="cpu").predict([(f.name, f) for f in files])
    found = answers(shown.stdout)
    for prediction in predictions:
        label, probability = found[prediction.path]
        assert label == prediction.label
        assert abs(probability - prediction.probability) <= 1e-4  # of which half is the printing


def test_the_selftest_passes_and_notices_another_network(exported, lonely_python, tmp_path):
    passed = lonely_python(exported / "predict_onnx.py", "--selftest")
    assert passed.returncode == 0 and passed.stdout.startswith("8 images, largest difference")
    shutil.copytree(exported, tmp_path / "other")
    model = onnx.load(tmp_path / "other" / "model.onnx")
    bias = next(t for t in model.graph.initializer if tuple(t.dims) == (10,))
    values = onnx.numpy_helper.to_array(bias) + np.arange(10, dtype=np.float32)
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, tmp_path / "other" / "model.onnx")
    failed = lonely_python(tmp_path / "other" / "predict_onnx.py", "--selftest")
    assert failed.returncode == 1 and "failed" in failed.stderr


def test_a_file_of_another_name_gets_a_script_that_finds_it(exported, lonely_python, tmp_path):
    export_run.export(exported, output=tmp_path / 'my "digits".onnx')
    passed = lonely_python(tmp_path / "predict_onnx.py", "--selftest")
    assert passed.returncode == 0, passed.stderr


def photographed(images, seed=0):
    """Digits as photos: blue ink, uneven light, noise, and the digit not in the middle."""
    generator = np.random.default_rng(seed)
    for image in images:
        page = np.full((400, 500, 3), (235.0, 230.0, 215.0)) + generator.normal(0, 4, (400, 500, 3))
        page *= np.linspace(0.7, 1, 500)[None, :, None]
        ink = np.asarray(Image.fromarray(image).resize((200, 200)), float)[:, :, None] / 255
        y, x = generator.integers(20, 150), generator.integers(20, 250)
        part = page[y : y + 200, x : x + 200]
        part[:] = part * (1 - ink) + np.array([40, 40, 120]) * ink
        yield np.clip(page, 0, 255).astype(np.uint8)


def test_digits_in_photos_get_the_same_label(quick_run, mnist5k):
    """The tolerance that docs/howto/elsewhere.md states: 0.2, since strokes are found in short."""
    classifier = load(quick_run.path, device="cpu")
    photos = list(photographed(mnist5k.test.images[:30, :, :, 0]))
    values = classifier.preprocessing.to_json()
    found = np.stack([digits.fit(Image.fromarray(photo), values) for photo in photos])
    expected = np.stack([classifier.preprocessing.transform_image(photo) for photo in photos])
    before, after = classifier.probabilities(expected), classifier.probabilities(found)
    assert (before.argmax(1) == after.argmax(1)).all()
    assert np.abs(before - after).max() < 0.2


@pytest.mark.parametrize(
    ("image_size", "box"), [((28, 28), 20), ((32, 32), 20), ((24, 24), 20), ((8, 8), 8)]
)
def test_placed_digits_are_taken_as_they_are(mnist5k, image_size, box):
    rule = Preprocessing(image_size, 1, "digit", (0.5,), (0.5,), box=box)
    side = round(box * 28 / 20)
    for image in mnist5k.test.images[:30, :, :, 0]:
        small = np.asarray(Image.fromarray(image).resize((side, side)))
        rgb = np.repeat(small[:, :, None], 3, axis=2)
        expected = rule.transform_image(rgb)
        if rule._is_fitted(rgb):
            found = digits.fit(Image.fromarray(rgb), rule.to_json())
            assert np.array_equal(found, expected)


def noise_image(width, height, seed=0):
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "rule",
    [
        Preprocessing((224, 224), 3, "crop", (0.5,) * 3, (0.2,) * 3, resize=256),
        Preprocessing((48, 64), 3, "crop", (0.5,) * 3, (0.2,) * 3),
        Preprocessing((32, 32), 3, "square", (0.5,) * 3, (0.2,) * 3, box=32),
        Preprocessing((28, 28), 1, "square", (0.5,), (0.2,), box=28, dark_background=True),
        Preprocessing((64, 64), 1, "crop", (0.5,), (0.2,), resize=70),
    ],
    ids=["photos", "rectangle", "cifar10", "fashion-mnist", "grey"],
)
@pytest.mark.parametrize("size", [(500, 375), (31, 90), (28, 28), (32, 32), (2400, 1500)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "transparent", "rotated", "grey", "palette"])
def test_photos_are_preprocessed_bit_for_bit(rule, size, kind):
    image, buffer = noise_image(*size), io.BytesIO()
    if kind == "rotated":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(buffer, "JPEG", exif=exif)
    elif kind == "transparent":
        image.putalpha(Image.linear_gradient("L").resize(size))
        image.save(buffer, "PNG")
    elif kind in ("grey", "palette"):
        image.convert("L" if kind == "grey" else "P").save(buffer, "PNG")
    else:
        image.save(buffer, kind)
    values, content = rule.to_json(), buffer.getvalue()
    found = predict_onnx.fit(predict_onnx.decode(content, values), values)
    assert np.array_equal(found, rule.transform_image(read_image(content, rule.shrink_to)))


@pytest.mark.skipif(not PHOTOS, reason="needs hymenoptera in a folder named by NEOCOG_DATA")
def test_real_photos_are_preprocessed_bit_for_bit():
    rule = Preprocessing((224, 224), 3, "crop", (0.5,) * 3, (0.2,) * 3, resize=256)
    values = rule.to_json()
    for file in sorted(PHOTOS[0].glob("val/*/*.jpg"))[::6]:
        content = file.read_bytes()
        found = predict_onnx.fit(predict_onnx.decode(content, values), values)
        assert np.array_equal(found, rule.transform_image(read_image(content, rule.shrink_to)))


def test_no_image_of_a_person_is_embedded():
    """A file is made to be passed on: its self-test has digits of MNIST, or coloured shapes."""
    rule = Preprocessing((224, 224), 3, "crop", (0.5,) * 3, (0.2,) * 3, resize=256)
    assert standalone.examples(rule, 8) == standalone.examples(rule, 8)
    assert sum(map(len, standalone.examples(rule, 8))) < 150_000
