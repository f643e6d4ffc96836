"""Features once and a fitted last layer, on photographs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from neocog import classifier, data, models, recipes
from neocog.errors import NeocogError, UsageError
from neocog.evaluation.evaluate import evaluate
from neocog.models import pretrained
from neocog.records import EpochMetrics
from neocog.report import page
from neocog.training import head, network, resume, train, transfer
from neocog.training.features import compute_features
from neocog.training.network_features import NetworkBackbone

from ..data.test_custom import save

PHOTOS = recipes.get("photos", {"image_size_pixels": 64, "feature_views": 1})


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes of blocks; what tells them apart is a colour that most of the image has."""
    folder = tmp_path_factory.mktemp("photos")
    for n in range(90):
        path = save(folder / "abc"[n % 3] / f"{n}.png", n)
        from PIL import Image

        image = np.asarray(Image.open(path)).copy()
        image[4:20, :, n % 3] = 255
        Image.fromarray(image).save(path)
    return folder


def known(labels, classes):
    n = len(labels)
    return head.HeadData(np.asarray(labels), tuple(map(str, range(n))), np.arange(n), classes)


@pytest.mark.parametrize(("rows", "columns"), [(60, 200), (300, 40)])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_fit_is_scikit_learns_logistic_regression(rows, columns, classes):
    random = np.random.default_rng(rows + classes)
    labels = np.arange(rows) % classes
    features = random.normal(3, 2, (rows, columns)) + 2 * np.eye(classes, columns)[labels]
    penalty = 0.03
    seen = features.astype(np.float32)[None]
    weight, bias = head.LogisticRegression(seen, known(labels, classes)).solve(penalty)
    centred = features - features.mean(0)
    scale = np.sqrt((centred**2).mean())
    theirs = LogisticRegression(C=1 / (penalty * rows), tol=1e-8, max_iter=5000)
    theirs.fit(centred / scale, labels)
    shares = scipy.special.softmax(seen[0] @ weight.T + bias, 1)
    expected = theirs.predict_proba(centred / scale)
    if classes == 2:  # scikit-learn has one weight for two classes: half the penalty of a pair
        theirs.set_params(C=2 / (penalty * rows)).fit(centred / scale, labels)
        expected = theirs.predict_proba(centred / scale)
    assert np.abs(shares - expected).max() < 5e-3


def test_unequal_classes_weigh_the_same():
    """By scikit-learn's balanced weights, where one class has twice another's images."""
    labels = np.array([0] * 90 + [1] * 10)
    expected = compute_class_weight("balanced", classes=np.arange(2), y=labels)
    assert head._class_weights(known(labels, 2)) == pytest.approx(expected)
    assert (head._class_weights(known([0] * 6 + [1] * 4, 2)) == 1).all()


def separable(n, columns=60, seed=0):
    """Features of two classes that any penalty tells apart, and of strangers that are neither."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    signs = np.where(labels[:, None] == 1, 1.0, -1.0)
    features = random.normal(0, 1, (n, columns)) + 3 * signs * (np.arange(columns) < 8)
    strangers = random.normal(0, 1, (500, columns)) * 2
    return features.astype(np.float32), labels, strangers.astype(np.float32)


def test_where_all_are_right_the_penalty_is_not_the_weakest():
    """What made a fit to 60 photos sure of anything: log-loss falls as long as weights grow."""
    features, labels, strangers = separable(60)
    found = head.fit(features[None], known(labels, 2), features[:0], np.zeros(0, np.int64))
    losses = found.choice.losses
    assert losses == sorted(losses, reverse=True)  # the weakest that was tried has the least
    assert found.choice.penalty > 10 * head.PENALTIES[len(losses) - 1]
    assert found.choice.penalty >= found.choice.least
    weakest = head.LogisticRegression(features[None], known(labels, 2)).solve(head.PENALTIES[-1])
    sure = [
        (scipy.special.softmax(strangers @ w.T + b, 1).max(1) > 0.99).mean()
        for w, b in ((found.weight, found.bias), weakest)
    ]
    assert sure[0] < 0.5 * sure[1]
    assert (found.logits(features).argmax(1) == labels).all()


def test_a_choice_is_the_strongest_within_one_standard_error():
    """By scikit-learn's fits and SciPy's standard errors; validation decides from 500 images."""
    random = np.random.default_rng(3)
    features = random.normal(0, 1, (600, 12))
    labels = (features[:, 0] + random.normal(0, 1, 600) > 0).astype(np.int64)
    seen, held = np.split(features.astype(np.float32), [520])
    choice = head.fit(seen[None], known(labels[:520], 2), held, labels[520:]).choice
    centred = features - features[:520].mean(0)
    scale = np.sqrt((centred[:520] ** 2).mean())
    smoothed = []
    for penalty in head.PENALTIES[: len(choice.losses)]:
        theirs = LogisticRegression(C=2 / (penalty * 520), tol=1e-8, max_iter=5000)
        shares = theirs.fit(centred[:520] / scale, labels[:520]).predict_log_proba(
            centred[520:] / scale
        )
        right = shares[np.arange(80), labels[520:]]
        wrong = shares[np.arange(80), 1 - labels[520:]]
        smoothed.append(-(80 / 81) * right - wrong / 81)
    gaps = np.array(smoothed) - smoothed[int(np.argmin(np.mean(smoothed, 1)))]
    equal = gaps.mean(1) <= scipy.stats.sem(gaps, axis=1)
    assert choice.penalty == head.PENALTIES[int(np.flatnonzero(equal)[0])]
    assert choice.criteria == pytest.approx(np.mean(smoothed, 1), rel=1e-3)
    assert "80 validation images" in choice.by.text()


@pytest.mark.parametrize("rows", [40, 300])
def test_a_refit_is_the_fit_to_all_with_the_same_penalty(rows):
    features, labels, _ = separable(rows)
    first = int(rows * 0.8)
    found = head.fit(
        features[None, :first], known(labels[:first], 2), features[:0], np.zeros(0, np.int64)
    )
    again = head.refit(found, features[None], known(labels, 2))
    weight, bias = head.LogisticRegression(features[None], known(labels, 2)).solve(
        found.choice.penalty
    )
    assert again.choice is found.choice
    shares = [
        scipy.special.softmax(features @ w.T + b, 1)
        for w, b in ((again.weight, again.bias), (weight, bias))
    ]
    assert np.abs(shares[0] - shares[1]).max() < 5e-3
    assert not np.allclose(found.weight, again.weight, rtol=1e-3)


def test_the_run_is_a_run_like_others(photos, tmp_path):
    run = train(replace(PHOTOS, data=str(photos), folds=3), runs_dir=tmp_path, device="cpu").run
    (line,) = run.read_metrics()
    assert line.epoch == 0 and line.train_accuracy > 0.9
    assert line.head.penalty in head.PENALTIES
    assert "cross-validation" in line.head.chosen_by.text()
    sizes = run.read_environment().data.sizes
    assert line.head.refit == sizes.train + sizes.validation
    evaluation = evaluate(run.path)
    result = evaluation.result
    assert result.accuracy > 0.9
    assert result.head.refit == line.head.refit
    assert result.epochs == result.selected_epoch == 0
    assert result.folds.n == 3 and result.folds.mean > 0.85
    rows = run.predictions_file.read_text("utf-8").splitlines()
    assert rows[0] == "path,truth,label,probability,a,b,c" and len(rows) == result.n + 1
    assert {m.path for m in result.mistakes} <= set(evaluation.test.paths)
    loaded = classifier.load(run.path)
    assert loaded.preprocessing.fit == "crop"
    first = photos / evaluation.test.paths[0]
    (answer,) = loaded.predict([("x", first)], top=3)
    assert answer.probability == pytest.approx(float(evaluation.probabilities[0].max()), abs=1e-3)


def test_a_finished_fit_is_not_made_again(photos, tmp_path):
    run = train(replace(PHOTOS, data=str(photos)), runs_dir=tmp_path, device="cpu").run
    before = run.model_file.stat().st_mtime_ns
    resume(run, device="cpu")
    assert run.model_file.stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_bits(photos, tmp_path):
    recipe = replace(PHOTOS, data=str(photos), feature_views=3)
    one, two = (train(recipe, runs_dir=tmp_path, device="cpu").run for _ in range(2))
    states = (classifier.load(run.path).model.state_dict() for run in (one, two))
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))


@pytest.mark.parametrize("kept", [False, True], ids=["computed anew", "features kept"])
def test_equal_fits_give_equal_files_wherever_they_run(photos, tmp_path, monkeypatch, kept):
    found = []
    for place in ("one", "two"):
        monkeypatch.setenv("NEOCOG_CACHE", str(tmp_path / ("cache" if kept else place)))
        (tmp_path / place).mkdir()
        monkeypatch.chdir(photos if found else photos.parent)
        data = "." if found else photos.name
        recipe = replace(PHOTOS, data=data, image_size_pixels=32)
        run = train(recipe, runs_dir=tmp_path / place, device="cpu").run
        found.append(run.model_file.read_bytes())
    assert found[0] == found[1]
    assert str(photos.parent).encode() not in found[0] and b"_seconds" not in found[0]


def test_a_lone_model_file_knows_its_data_by_name(photos, tmp_path):
    recipe = replace(PHOTOS, data=str(photos), image_size_pixels=32)
    run = train(recipe, runs_dir=tmp_path, device="cpu").run
    expected = evaluate(run.path).result
    assert expected.data == str(photos)
    lone = tmp_path / "lone.safetensors"
    lone.write_bytes(run.model_file.read_bytes())
    with pytest.raises(NeocogError, match=f"trained on {photos.name}, which is missing"):
        evaluate(lone)
    named = evaluate(lone, str(photos))
    assert named.result.split == "test" and named.run is None
    assert named.result.confusion == expected.confusion


def test_a_model_file_of_an_earlier_version_has_the_place_in_it(photos, tmp_path):
    recipe = replace(PHOTOS, data=str(photos), image_size_pixels=32)
    run = train(recipe, runs_dir=tmp_path, device="cpu").run
    known = classifier.load(run.path)
    values = {**known.facts.recipe.values, "data": str(photos)}
    known.facts = replace(
        known.facts,
        recipe=replace(known.facts.recipe, values=values),
        data=replace(known.facts.data, name=str(photos)),
    )
    known.save(tmp_path / "old.safetensors")
    assert evaluate(tmp_path / "old.safetensors").result.split == "test"


def test_fine_tuning_goes_on_from_the_fit_and_keeps_the_better(photos, tmp_path):
    recipe = replace(
        PHOTOS, data=str(photos), fine_tune=True, epochs=2, image_size_pixels=32, batch_size=16,
        precision="float32",
    )  # fmt: skip
    run = train(recipe, runs_dir=tmp_path, device="cpu").run
    lines = run.read_metrics()
    assert [line.epoch for line in lines] == [0, 1, 2]
    best = max(line.validation_accuracy for line in lines)
    chosen = classifier.load(run.path).facts.selected
    assert chosen.metrics["validation/accuracy"] == best
    assert evaluate(run.path).result.epochs == 2


def last_layer_of(run):
    state = classifier.load(run.path).model.state_dict()
    return state["output.weight"].flatten(1), state["output.bias"]


def test_validation_figures_are_of_the_fit_before_the_refit(photos, tmp_path):
    """The model file has the fit to train and validation; its own validation is not stated."""
    recipe = replace(PHOTOS, data=str(photos))
    run = train(recipe, runs_dir=tmp_path, device="cpu").run
    (line,) = run.read_metrics()
    splits = data.load_for(run.read_recipe())
    made = classifier.load(run.path)
    recipe = replace(run.read_recipe(), precision="float32")  # as ONNX Runtime computes
    parts = ((splits.train, 1), (splits.validation, 1))
    (seen, held), _ = compute_features(NetworkBackbone(recipe, made), recipe.data, parts)
    alone = head.LogisticRegression(seen, head.HeadData.of(splits.train))
    both = head.LogisticRegression(
        np.concatenate([seen, held], 1), head.HeadData.of(splits.train, splits.validation)
    )
    weight, bias = alone.solve(line.head.penalty)
    logits = held[0] @ weight.T + bias
    labels = torch.tensor(splits.validation.labels)
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), labels)
    assert line.validation_loss == pytest.approx(loss.item(), rel=0.02)
    for kept, solved in zip(last_layer_of(run), both.solve(line.head.penalty), strict=True):
        assert np.allclose(kept, solved, atol=0.02 * np.abs(solved).max())
    assert not np.allclose(last_layer_of(run)[0], weight, rtol=0.02)


def test_fine_tuning_begins_at_a_fit_that_has_not_seen_validation(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(head, "_could_improve", lambda *_: True)
    begun = []
    monkeypatch.setattr(network, "run_epochs", lambda run, *_: begun.append(last_layer_of(run)))
    monkeypatch.setattr(head, "refit", lambda *_: pytest.fail("validation must stay unseen"))
    run = train(
        replace(PHOTOS, data=str(photos), fine_tune=True), runs_dir=tmp_path, device="cpu"
    ).run
    (line,) = run.read_metrics()
    assert len(begun) == 1 and not line.head.refit and not line.head.tuning_skipped


def test_fine_tuning_does_not_start_where_validation_is_perfect(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "is_for", lambda *_: False)  # features of both by PyTorch
    plain = train(replace(PHOTOS, data=str(photos)), runs_dir=tmp_path, device="cpu").run
    assert plain.read_metrics()[0].validation_accuracy == 1, "the test needs a perfect fit"
    monkeypatch.setattr(network, "run_epochs", lambda *_: pytest.fail("it must not start"))
    recipe = replace(PHOTOS, data=str(photos), fine_tune=True)
    run = train(recipe, runs_dir=tmp_path, device="cpu").run
    (line,) = run.read_metrics()
    assert line.head.tuning_skipped is True
    for one, other in zip(last_layer_of(run), last_layer_of(plain), strict=True):
        assert torch.equal(one, other)
    selected = classifier.load(run.path).facts.selected
    assert "cross-validation" in selected.by.text()
    resume(run, device="cpu")
    result = evaluate(run.path).result
    assert result.epochs == 0 and result.head.tuning_skipped
    assert "did not start" in page.write(evaluate(run.path), "en").read_text("utf-8")


@pytest.mark.parametrize(
    ("select", "accuracy", "improves"),
    [
        ("validation/accuracy", 1.0, False),
        ("validation/accuracy", 0.99, True),
        ("validation/loss", 1.0, True),
        ("last", 1.0, True),
    ],
)
def test_fine_tuning_starts_where_an_epoch_could_be_kept(select, accuracy, improves):
    recipe = replace(PHOTOS, select=select)
    line = EpochMetrics(
        epoch=0,
        step=0,
        time_seconds=0.0,
        lr=0.0,
        train_loss=0.1,
        train_accuracy=1.0,
        validation_loss=0.1,
        validation_accuracy=accuracy,
    )
    assert head._could_improve(recipe, line) == improves


def test_unequal_classes_are_said(photos, tmp_path):
    few = tmp_path / "few"
    for name, count in (("a", 30), ("b", 30), ("c", 10)):
        (few / name).mkdir(parents=True)
        for file in sorted((photos / name).iterdir())[:count]:
            (few / name / file.name).write_bytes(file.read_bytes())
    run = train(replace(PHOTOS, data=str(few)), runs_dir=tmp_path, device="cpu").run
    (line,) = run.read_metrics()
    splits = data.load_for(run.read_recipe())
    labels = np.concatenate([splits.train.labels, splits.validation.labels])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert line.head.class_weights == pytest.approx(expected)
    text = page.write(evaluate(run.path), "en").read_text("utf-8")
    assert (
        "unequal numbers of images" in text
        and "Validation figures are from the earlier fit" in text
    )


def test_only_the_named_part_is_trained(photos, tmp_path):
    weights = models.build("squeezenet1_1", 1000, 3, (64, 64))  # alexnet takes ten times as long
    torch.save(weights.state_dict(), tmp_path / "some.pth")
    recipe = recipes.get(
        "alexnet-transfer",
        {"model": "squeezenet1_1", "data": str(photos), "epochs": 1,
         "weights": str(tmp_path / "some.pth"),
         "image_size_pixels": 64, "resize_pixels": 73, "train_resize_pixels": 66, "batch_size": 32},
    )  # fmt: skip
    run = train(recipe, runs_dir=tmp_path, device="cpu").run
    trained = classifier.load(run.path).model.state_dict()
    for name, tensor in weights.state_dict().items():
        if name.startswith("features"):
            assert (trained[name] == tensor).all()
        elif trained[name].shape == tensor.shape:
            assert not torch.equal(trained[name], tensor)


def test_what_makes_no_sense_is_refused(photos, tmp_path):
    with pytest.raises(UsageError, match="no layers whose names begin with 'nonsense'"):
        train(replace(PHOTOS, data=str(photos), trained_part="nonsense"), runs_dir=tmp_path)
    with pytest.raises(UsageError, match="40-fold cross-validation needs 40 distinct images"):
        train(replace(PHOTOS, data=str(photos), folds=40), runs_dir=tmp_path / "folds")
    assert not (tmp_path / "folds").exists()
    for wrong in ({"folds": 1}, {"fine_tune": True, "feature_views": 0}, {"weights": "random"},
                  {"epochs": 9}):  # fmt: skip
        with pytest.raises(UsageError):
            recipes.get("photos", wrong)
    with pytest.raises(NeocogError, match="There is no file"):
        train(replace(PHOTOS, data=str(photos), weights="none.pth"), runs_dir=tmp_path)


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small", "resnet18"])
def test_any_backbones_last_layer_is_linear_in_its_features(name):
    """What the fit relies on: putting weight and bias into the last layer gives these logits."""
    torch.manual_seed(0)
    model = models.build(name, 4, 3, (64, 64)).eval()
    last = pretrained.last_layer(model)
    layer = model.get_submodule(last)
    parent, _, leaf = last.rpartition(".")
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        expected = model(images)
        setattr(model.get_submodule(parent), leaf, torch.nn.Identity())
        features = model(images).flatten(1)
    weight = layer.weight.flatten(1)
    assert torch.allclose(features @ weight.T + layer.bias, expected, atol=1e-4)


@pytest.mark.slow
def test_hymenoptera_is_told_apart(tmp_path):
    """The whole of it on ants and bees; benchmarks/transfer.py measures five seeds."""
    import os

    places = [Path(p) / "hymenoptera" for p in os.environ["NEOCOG_DATA"].split(os.pathsep) if p]
    found = [p for p in places if p.is_dir()]
    if not found:
        pytest.skip("needs hymenoptera in a folder named by NEOCOG_DATA")
    recipe = recipes.get("photos", {"data": str(found[0]), "feature_views": 1})
    trained = train(recipe, runs_dir=tmp_path, device="cpu")
    run, images = trained.run, trained.splits.test.images
    accuracy = evaluate(run.path).result.accuracy
    assert 0.92 <= accuracy < 1
    by_engine, by_torch = (
        classifier.load(run.path, engine=engine).logits(images).argmax(1)
        for engine in ("onnx", "torch")
    )
    assert len(by_engine) == 153 and (by_engine == by_torch).all()


def test_random_weights_and_their_own_numbers(photos, tmp_path):
    recipe = recipes.get(
        "photos",
        {"data": str(photos), "weights": "random", "feature_views": 0, "model": "lenet5",
         "epochs": 1, "image_size_pixels": 32},
    )  # fmt: skip
    assert evaluate(train(recipe, runs_dir=tmp_path, device="cpu").run.path).result.n > 10


def test_evaluating_on_what_was_trained_on_is_told(photos, tmp_path):
    import shutil

    run = train(replace(PHOTOS, data=str(photos)), runs_dir=tmp_path, device="cpu").run
    shutil.copytree(photos, tmp_path / "copy")

    def judged():
        evaluation = evaluate(run.path, str(tmp_path / "copy"))
        return evaluation.result.n, [note.text() for note in evaluation.notes]

    count, said = judged()
    assert any("were used for training: the" in note for note in said)
    assert any("too few for a reliable estimate" in note for note in said)
    for n in range(8):
        shutil.copy(photos / "a" / f"{3 * n}.png", tmp_path / "copy" / "b" / f"wrong{n}.png")
    fewer, worse = judged()
    assert fewer == count - 8
    assert not any("check whether these images were used" in note for note in said)
    (photos / "a" / "0.png").rename(tmp_path / "0.png")
    _, changed = judged()
    assert any("were used for training: the accuracy" in note for note in changed)
    assert any("cannot fully check whether" in note for note in changed)
    photos.rename(tmp_path / "away")
    _, gone = judged()
    assert any("cannot check whether" in note and "is missing" in note for note in gone)
    (tmp_path / "away").rename(photos)
    (tmp_path / "0.png").rename(photos / "a" / "0.png")
    assert any("with another label" in note for note in worse)
