import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from neocog.data import ImageSet
from neocog.evaluation.evaluate import Evaluation, classification_metrics, evaluate
from neocog.messages import Message
from neocog.records import ClassificationMetrics, EpochMetrics, HeadMetrics
from neocog.report import plots

BY = Message("penalty_by_folds", {"folds": 5, "n": 202})


def test_an_evaluation_leaves_the_first_batch_as_training_drew_it(digits_run):
    found = evaluate(digits_run.path)
    batch = digits_run.plots_folder / "batch.png"
    assert batch in plots.draw(digits_run, found, trained=True)
    batch.write_bytes(b"as it was drawn")
    assert batch not in plots.draw(digits_run, found)
    assert batch.read_bytes() == b"as it was drawn"


def test_a_run_gets_its_four_images(digits_run):
    files = plots.draw(digits_run, evaluate(digits_run.path))
    names = {path.name for path in files}
    assert {"curves.png", "confusion.png", "predictions.png"} <= names
    for path in files:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        assert min(pixels.shape) > 300
        assert pixels.std() > 10


@pytest.mark.parametrize("count", [2, 40])
def test_chinese_class_names_have_glyphs(digits_run, count):
    """matplotlib warns of every missing glyph, and warnings are errors here."""
    found = evaluate(digits_run.path)
    names = tuple(f"蚂蚁与蜜蜂{k} 🐝\x1b\nants" for k in range(max(count, 10)))
    labels = np.arange(len(found.test)) % len(names)
    images = found.test.images
    test = ImageSet(images, labels.astype(np.int64), names)
    shares = np.random.default_rng(0).dirichlet(np.ones(len(names)), len(test)).astype(np.float32)
    chinese = Evaluation(
        replace(found.result, **vars(classification_metrics(test, shares))),
        test,
        shares,
        (),
        found.classifier,
        found.run,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = plots.draw(digits_run, chinese)
    assert len(files) == 4


def test_no_mistakes_no_image_of_them(digits_run):
    found = evaluate(digits_run.path)
    perfect = np.eye(10, dtype=np.float32)[found.test.labels]
    ideal = replace(
        found,
        probabilities=perfect,
        result=replace(found.result, **vars(classification_metrics(found.test, perfect))),
    )
    plots.draw(digits_run, found)
    plots.draw(digits_run, ideal)
    assert not (digits_run.plots_folder / "mistakes.png").exists()


def test_the_ten_images_show_every_class():
    labels = np.repeat(np.arange(10), 5)
    assert sorted(labels[plots._spread(labels, 10)]) == list(range(10))
    assert len(plots._spread(labels[:3], 10)) == 3


def test_the_batch_is_shown_as_the_network_sees_it(mnist5k):
    from neocog import recipes

    train = mnist5k.train.subset(np.arange(40))
    for name, kept in (("lenet", True), ("mnist", False)):  # the second moves and bends them
        sheet = np.asarray(plots.seen_batch(recipes.get(name), train))[:, :, 0]
        windows = np.lib.stride_tricks.sliding_window_view(sheet, (196, 196))[:, plots.MARGIN]
        large = train.images[:, :, :, 0].repeat(7, 1).repeat(7, 2)
        found = any((windows == image).all((1, 2)).any() for image in large)
        assert found == kept


def test_the_penalties_of_a_fit_are_drawn():
    fitted = HeadMetrics(penalty=0.1, chosen_by=BY, penalties=(1, 0.1), losses=(0.5, 0.2))
    assert len(plots.penalties(fitted).axes[0].lines) == 2


def test_the_names_of_mistaken_files_stand_above_them(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "_mosaic", lambda _images, texts, *_: drawn.extend(texts))
    long = "dogs/" + "a" * 60 + "-the-end.jpg"
    paths = ("cats/right.png", "cats/wrong\u202egpj.png", long)
    images = np.zeros((3, 8, 8, 3), np.uint8)
    test = ImageSet(images, np.array([0, 0, 1], np.int64), ("cat", "dog"), paths)
    shares = np.array([[0.9, 0.1], [0.2, 0.8], [1.0, 0.0]], np.float32)
    plots.grid(test, shares, np.arange(3), "mistakes", 5)
    right, wrong, cut = (text for text, _ in drawn)
    assert right == "cat  90.0%"
    assert wrong.split("\n") == ["dog  80.0%", "true: cat", r"wrong\u202egpj.png"]
    assert cut.split("\n")[0] == "cat  > 99.9%"
    name = cut.split("\n")[2]
    assert name.startswith("…") and name.endswith("-the-end.jpg") and len(name) == 36


def test_the_accuracy_in_the_title_is_not_rounded_to_all():
    counts = ((29_999, 1), (0, 30_000))
    result = ClassificationMetrics(60_000, 59_999 / 60_000, (0.9, 1.0), (), counts)
    title = plots.confusion(result, ("a", "b")).axes[0].get_title(loc="left")
    assert title == "accuracy > 99.99%, n = 60,000"


def test_the_criterion_is_drawn_with_its_errors_beside_the_loss():
    fitted = HeadMetrics(
        penalty=0.1,
        chosen_by=BY,
        penalties=(1, 0.1),
        losses=(0.5, 0.2),
        criteria=(0.6, 0.4),
        errors=(0.1, 0.0),
    )
    axes = plots.penalties(fitted).axes[0]
    drawn = [list(series.get_ydata()) for series in axes.lines[:2]]
    assert drawn == [[0.6, 0.4], [0.5, 0.2]]
    bars = axes.collections[0].get_segments()
    assert [segment[:, 1].tolist() for segment in bars] == [[0.5, 0.7], [0.4, 0.4]]


def test_the_curves_say_which_loss_they_are_of():
    from neocog import recipes

    line = EpochMetrics(
        epoch=1, step=1, time_seconds=1.0, lr=0.1, train_loss=1.0, train_accuracy=0.5
    )
    figure = plots.curves(recipes.get("lenet5", {"loss": "squared_error"}), [line])
    assert figure.axes[0].get_title("left") == "loss (squared error)"
