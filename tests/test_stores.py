"""Every store outlasts a disk that fails, a full disk and a power loss, wherever it strikes."""

import os
import shutil
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from neocog import classifier, data, models, recipes, runs
from neocog.data import ImageSet, Preprocessing, decode_cache
from neocog.data.cache import remembered
from neocog.errors import NeocogError
from neocog.evaluation.evaluate import evaluate
from neocog.report import page, plots
from neocog.runs import Run
from neocog.storage.atomic import append, write_atomic
from neocog.training import environment, features, resume, train
from tests.faults import Disk, PowerLoss, strike_everywhere

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the disk is Linux's")

HOW = ("error", "full", "lost", "zeros")
each_fault = pytest.mark.parametrize("how", HOW)
# Every fourth place in the fast tests, beginning at another one for each fault; all in the slow.
some_places = pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.slow)])


def nothing():
    """Before the work there is nothing."""


@each_fault
def test_a_file_is_the_old_or_the_new(tmp_path, how):
    file = tmp_path / "disk" / "file"

    def check():
        content = file.read_bytes()
        assert content in (b"old", b"new" * 1000)
        write_atomic(file, b"third")
        assert file.read_bytes() == b"third"

    places = strike_everywhere(
        file.parent,
        how,
        lambda: write_atomic(file, b"old"),
        lambda: write_atomic(file, b"new" * 1000),
        check,
    )
    assert places == 4  # write, fsync, rename, fsync of the folder


@each_fault
def test_what_was_appended_stays(tmp_path, how):
    file = tmp_path / "disk" / "file"
    done = []

    def work():
        done.clear()
        for line in ("b\n", "c\n", "d\n"):
            append(file, line)
            done.append(line)

    def check():
        assert file.read_text().startswith("a\n" + "".join(done))

    assert strike_everywhere(file.parent, how, lambda: append(file, "a\n"), work, check) == 6


def test_the_disk_finds_what_is_not_synced(tmp_path):
    """The harness itself: a write without fsync is lost, or is zeros."""
    for how, expected in (("lost", None), ("zeros", bytes(3))):
        file = tmp_path / how / "file"
        file.parent.mkdir()
        with Disk(file.parent, 2, how) as disk, pytest.raises(PowerLoss):
            write_and_sync(file)
        disk.restore()
        assert (file.read_bytes() if file.exists() else None) == expected


def write_and_sync(file):
    handle = os.open(file, os.O_CREAT | os.O_WRONLY)
    os.write(handle, b"abc")
    os.fsync(handle)


# A run: train, then go on.


@pytest.fixture(scope="module")
def recipe():
    return recipes.get(
        "digits", {"epochs": 2, "batch_size": 400, "model": "[conv3-4 relu pool2]*1 fc"}
    )


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    run = train(recipe, runs_dir=tmp_path_factory.mktemp("whole"), name="one", device="cpu").run
    before = run.model_file.read_bytes()
    evaluate(run.path)
    return before, run


def lines_of(run):
    return [{k: v for k, v in ln.items() if k != "time_seconds"} for ln in run.read_metrics()]


@some_places
@each_fault
def test_a_run_goes_on_to_the_same_bits_wherever_its_training_was_struck(
    tmp_path, monkeypatch, recipe, whole, how, step
):
    monkeypatch.setattr(environment, "_git_commit", lambda: None)
    folder = tmp_path / "runs"
    model, undisturbed = whole

    def check():
        try:
            run = runs.find("one", folder)
        except NeocogError:  # struck before it was a run: it is begun again
            shutil.rmtree(folder / "one", ignore_errors=True)
            run = train(recipe, runs_dir=folder, name="one", device="cpu").run
        else:
            resume(run, device="cpu")
        assert run.model_file.read_bytes() == model
        assert lines_of(run) == lines_of(undisturbed)

    work = partial(train, recipe, runs_dir=folder, name="one", device="cpu")
    first = 1 if step == 1 else 1 + HOW.index(how)
    assert strike_everywhere(folder, how, nothing, work, check, first=first, step=step) > 30


@each_fault
def test_an_evaluation_is_given_whatever_cannot_be_recorded(tmp_path, whole, how):
    folder = tmp_path / "runs"
    _, undisturbed = whole
    expected = evaluate(undisturbed.path).result
    answers = []

    def prepare():
        shutil.copytree(undisturbed.path, folder / "one")
        (folder / "one" / "evaluation.json").unlink()

    def work():
        answers.clear()
        answers.append(evaluate(folder / "one"))

    def check():
        if how in ("error", "full"):
            assert answers[0].result["accuracy"] == expected["accuracy"]
            assert answers[0].recorded or "could not be recorded" in answers[0].notes[-1]
        again = evaluate(folder / "one")
        assert again.recorded and again.result["confusion"] == expected["confusion"]
        assert Run(folder / "one").read_evaluation()["accuracy"] == expected["accuracy"]

    assert strike_everywhere(folder, how, prepare, work, check) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("how", ["full", "lost"])
def test_a_report_is_written_after_it_was_struck(tmp_path, whole, how):
    folder = tmp_path / "runs"
    _, undisturbed = whole
    judged = []

    def prepare():
        shutil.copytree(undisturbed.path, folder / "one")
        judged[:] = [evaluate(folder / "one")]

    def work():
        plots.draw(judged[0].run, judged[0])
        page.write(judged[0], "en")

    def check():
        work()
        for file in judged[0].run.plots_folder.glob("*.png"):
            Image.open(file).load()
        assert judged[0].run.report_file.read_text("utf-8").rstrip().endswith("</html>")

    # A report takes seconds: every seventh place, which is another one of each file's four.
    assert strike_everywhere(folder, how, prepare, work, check, step=7) > 15


# Caches: what is damaged is made again, and the answer is the same.


@pytest.fixture
def photos(tmp_path):
    for n in range(24):
        blocks = np.random.default_rng(n).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        folder = tmp_path / "photos" / ("cat" if n % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks).resize((24, 24), Image.Resampling.NEAREST).save(folder / f"{n}.png")
    return tmp_path / "photos"


FORM = data.Form((0.5,) * 3, (0.5,) * 3, image_size=16)


@some_places
@each_fault
@pytest.mark.parametrize("before", [False, True], ids=["new", "grown"])
def test_decoded_images_are_right_wherever_their_cache_was_struck(
    tmp_path, photos, monkeypatch, how, before, step
):
    """Made from nothing, and where a new pack takes the place of an old one."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NEOCOG_CACHE", str(folder))
    expected = data.load(str(photos), FORM).describe()
    one = photos / "cat" / "1.png"
    content = one.read_bytes()

    def prepare():
        if before:
            one.rename(tmp_path / "1.png")
            data.load(str(photos), FORM)
            (tmp_path / "1.png").rename(one)
        assert one.read_bytes() == content

    def check():
        assert data.load(str(photos), FORM).describe() == expected
        assert len(list(folder.rglob("*.pixels"))) <= 2

    work = partial(data.load, str(photos), FORM)
    first = 1 if step == 1 else 1 + HOW.index(how)
    assert strike_everywhere(folder, how, prepare, work, check, first=first, step=step) > 10


@each_fault
def test_features_are_right_wherever_their_cache_was_struck(tmp_path, monkeypatch, how):
    folder = tmp_path / "cache"
    monkeypatch.setenv("NEOCOG_CACHE", str(folder))
    torch.manual_seed(0)
    rule = Preprocessing((40, 40), 3, "crop", (0.5,) * 3, (0.5,) * 3)
    model = models.build("squeezenet1_1", 2, 3, (40, 40)).eval()
    network = classifier.Classifier(model, {"name": "squeezenet1_1"}, rule, ("a", "b"))
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)
    part = ImageSet(images, np.array([0, 1, 0]), ("a", "b"))
    recipe = recipes.get("photos", {"image_size_pixels": 40, "precision": "float32"})

    def computed():
        return features.compute_features(recipe, network, [(part, 1)], lambda _: None)[0][0]

    expected = computed()
    check = lambda: None if torch.equal(computed(), expected) else pytest.fail("others")  # noqa: E731
    assert strike_everywhere(folder, how, nothing, computed, check) > 4


@each_fault
def test_a_remembered_array_is_right_wherever_it_was_struck(tmp_path, monkeypatch, how):
    folder = tmp_path / "cache"
    monkeypatch.setenv("NEOCOG_CACHE", str(folder))
    (tmp_path / "source").write_text("x")
    array = np.arange(100, dtype=np.uint8).reshape(4, 25)

    def work():
        return remembered([tmp_path / "source"], "rule", lambda: (array, True))

    def check():
        assert np.array_equal(work(), array)

    assert strike_everywhere(folder, how, nothing, work, check) > 4


def damaged(file, how):
    content = bytearray(file.read_bytes())
    if how == "zeros":
        content[-len(content) // 3 :] = bytes(len(content) // 3)
    elif how == "bit":
        content[-5] ^= 1
    else:
        del content[len(content) // 2 :]
    file.write_bytes(content)


each_damage = pytest.mark.parametrize("how", ["zeros", "bit", "short"])


@each_damage
@pytest.mark.parametrize("name", ["*.pixels", "*.thumbnails", "index.json", "near.json"])
def test_a_damaged_pack_is_decoded_again_and_that_is_said(
    tmp_path, photos, monkeypatch, caplog, how, name
):
    """Zeroed pixels trained to 50% instead of 93% in silence."""
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    listing, rule = data.open_dataset(str(photos)), FORM.rule()
    first, diagnosis = data.check_custom(listing, rule)
    pixels, thumbnails = np.array(first.images), np.array(first.thumbnails)
    (file,) = (tmp_path / "cache").rglob(name)
    damaged(file, how)
    again, judged = data.check_custom(listing, rule)
    assert (np.array(again.images) == pixels).all() and (again.thumbnails == thumbnails).all()
    assert judged.findings == diagnosis.findings
    assert "damaged" in caplog.text
    caplog.clear()
    data.check_custom(listing, rule)
    assert not caplog.text


def test_one_damaged_image_is_decoded_again_and_no_other(photos, monkeypatch, tmp_path):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    data.load(str(photos), FORM)
    (file,) = (tmp_path / "cache").rglob("*.pixels")
    damaged(file, "bit")
    read = []
    examine = decode_cache.examine
    monkeypatch.setattr(decode_cache, "examine", lambda *a: read.append(a) or examine(*a))
    data.load(str(photos), FORM)
    assert len(read) == 1


def test_an_index_cannot_name_files_outside_its_folder(photos, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    expected = data.load(str(photos), FORM).describe()
    (file,) = (tmp_path / "cache").rglob("index.json")
    index = decode_cache.read_json(file)
    for key in ("pixels", "thumbnails"):
        victim = tmp_path / f"victim.{key}"
        (file.parent / index[key]).rename(victim)
        index[key] = str(victim)
    decode_cache.keep_json(file, index)
    save = photos / "cat" / "1.png"
    save.rename(photos / "cat" / "renamed.png")
    assert data.load(str(photos), FORM).describe()["sizes"] == expected["sizes"]
    assert (tmp_path / "victim.pixels").exists() and (tmp_path / "victim.thumbnails").exists()
    assert "not its own" in caplog.text


@each_damage
def test_a_damaged_array_is_made_again(tmp_path, monkeypatch, how):
    monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "source").write_text("x")
    made = []

    def get():
        make = lambda: (made.append(1) or np.full((9, 9), 7, np.uint8), True)  # noqa: E731
        return remembered([tmp_path / "source"], "rule", make)

    get()
    (file,) = (tmp_path / "cache" / "data" / "decoded").iterdir()
    damaged(file, how)
    assert (get() == 7).all() and (get() == 7).all()
    assert len(made) == 2
