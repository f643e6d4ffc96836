import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import scipy.special
import torch
from PIL import Image
from safetensors.torch import load_file

from neocog import classifier, data, models, recipes, runs
from neocog.errors import DivergedError, NeocogError, UsageError
from neocog.evaluation.evaluate import evaluate
from neocog.models import MODELS, Network
from neocog.runs import Run
from neocog.training import Interrupted, epoch_metrics, loop, resume, train
from neocog.training import train as train_function

from ..data.test_custom import save


def outcome(run: Run):
    """The kept weights as bytes, and the epochs' lines without their times."""
    weights = {name: tensor.numpy().tobytes() for name, tensor in load_file(run.model_file).items()}
    lines = [replace(line, time_seconds=0.0) for line in run.read_metrics()]
    return weights, lines


@pytest.fixture(scope="module")
def recipe():
    """Augmentation, momentum and an odd last batch: all that a resumed run must get right."""
    return recipes.get(
        "digits", {"epochs": 4, "augment_shift_pixels": 1, "batch_size": 60, "model": "convnet"}
    )


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    return train(recipe, runs_dir=tmp_path_factory.mktemp("whole"), device="cpu").run


def test_it_learns(digits_run):
    last = digits_run.read_metrics()[-1]
    assert last.validation_accuracy > 0.95
    assert last.train_loss < 0.3


def test_the_run_folder_holds_what_it_should(digits_run, digits_recipe):
    names = {path.name for path in digits_run.path.iterdir()}
    assert {
        "recipe.json",
        "environment.json",
        "metrics.jsonl",
        "checkpoint.pt",
        "model.safetensors",
    } <= names
    assert digits_run.path.name == "digits-digits-1"
    assert digits_run.read_recipe() == digits_recipe
    environment = digits_run.read_environment()
    assert environment.seed == digits_recipe.seed
    assert environment.data == data.load_for(digits_recipe).describe()
    assert environment.threads == torch.get_num_threads()
    lines = digits_run.read_metrics()
    assert [line.epoch for line in lines] == list(range(1, 7))
    assert set(lines[0].to_json()) == {
        "epoch",
        "step",
        "time_seconds",
        "lr",
        "train/loss",
        "train/accuracy",
        "validation/loss",
        "validation/accuracy",
    }


def same_weights(one, two) -> bool:
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_result_is_what_the_run_folder_holds(recipe, tmp_path):
    """Nothing is to be read again: run, splits and the classifier of the selected epoch."""
    slow = replace(recipe, learning_rate=1e-6, model="[conv3-4 relu pool2]*1 fc")
    trained = train(slow, runs_dir=tmp_path, device="cpu")
    kept = classifier.load(trained.run.path, device="cpu")
    assert kept.facts.selected.epoch == 1  # of equal ones, so these are not the last weights
    assert trained.splits.describe() == data.load_for(recipe).describe()
    for result in (trained, resume(trained.run, device="cpu")):
        assert result.run.path == trained.run.path
        assert json.loads(json.dumps(result.classifier.facts.to_json())) == kept.facts.to_json()
        assert same_weights(result.classifier.model, kept.model)
        assert not result.classifier.model.training
    with pytest.raises(AttributeError):
        trained.run = None


def test_the_result_of_a_run_without_a_checkpoint_is_its_model_file(whole, tmp_path):
    run = copied(whole, tmp_path)
    run.checkpoint_file.unlink()
    result = resume(run, device="cpu")
    assert same_weights(result.classifier.model, classifier.load(run.path, device="cpu").model)


def test_evaluation_takes_over_the_splits_of_a_training(recipe, tmp_path, monkeypatch):
    trained = train(replace(recipe, epochs=1), runs_dir=tmp_path, device="cpu")
    expected = evaluate(trained.run.path, device="cpu")
    written = trained.run.model_file.read_bytes()
    other = replace(trained.splits, test=trained.splits.validation)
    with pytest.raises(NeocogError, match="are not those of the run"):
        evaluate(trained.run.path, device="cpu", splits=other)
    monkeypatch.setattr(data, "load_for", lambda *_: pytest.fail("the data are read again"))
    found = evaluate(trained.run.path, device="cpu", splits=trained.splits)
    assert found.recorded and found.train is trained.splits.train
    assert np.array_equal(found.probabilities, expected.probabilities)
    times = expected.result.time_seconds
    assert replace(found.result, time_seconds=times) == expected.result
    assert trained.run.model_file.read_bytes() == written


def test_the_same_seed_gives_the_same_bits_and_another_does_not(whole, recipe, tmp_path):
    again = train(recipe, runs_dir=tmp_path, device="cpu").run
    assert outcome(again) == outcome(whole)
    other = train(replace(recipe, seed=1), runs_dir=tmp_path, device="cpu").run
    assert outcome(other)[0] != outcome(whole)[0]


class StopAt:
    """Progress that sends this process a signal after a step."""

    def __init__(self, step, number):
        self.step, self.number = step, number

    def __call__(self, stage, done, _total):
        if (stage, done) == ("train", self.step):
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
@pytest.mark.parametrize("step", [1, 30, 42, 84])
def test_a_signal_finishes_the_step_and_resume_goes_on_bit_for_bit(
    recipe, whole, tmp_path, number, code, step
):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as stopped:
        train(recipe, runs_dir=tmp_path, device="cpu", progress=StopAt(step, number))
    assert stopped.value.exit_code == code
    run = stopped.value.run
    assert torch.load(run.checkpoint_file, weights_only=True)["progress"]["epoch"] == step // 21
    torch.manual_seed(999)  # nothing may hang on the state of the process that goes on
    assert outcome(resume(run, device="cpu").run) == outcome(whole)
    assert signal.getsignal(signal.SIGINT) is before


CHILD = """
import os, signal, sys
from pathlib import Path
from neocog import recipes, runs
from neocog.recipes import Recipe
import json
import neocog.training
from neocog.training import loop
loop.CHECKPOINT_SECONDS = float(sys.argv[4])
at = int(sys.argv[3])
def progress(stage, done, total):
    if (stage, done) == ("train", at):
        os.kill(os.getpid(), signal.SIGKILL)
folder = Path(sys.argv[1])
if sys.argv[2] == "new":
    recipe = Recipe.from_json(json.loads(sys.stdin.read()))
    neocog.training.train(recipe, runs_dir=folder, device="cpu", progress=progress)
else:
    neocog.training.resume(runs.find(sys.argv[2], folder), device="cpu", progress=progress)
"""


def killed(folder, what, step, checkpoint_seconds, recipe):
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), what, str(step), str(checkpoint_seconds)],
        input=json.dumps(recipe.to_json()),
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr


def test_kill_9_at_random_steps_and_resume_give_the_same_bits(recipe, whole, tmp_path):
    """Killed before the first checkpoint, then between two of them, then within an epoch."""
    random = torch.Generator().manual_seed(int.from_bytes(os.urandom(4)))
    first, second = torch.randint(1, 21, (2,), generator=random).tolist()
    killed(tmp_path, "new", first, 60, recipe)
    killed(tmp_path, "latest", 21 + second, 0, recipe)
    run = runs.find("latest", tmp_path)
    progress = torch.load(run.checkpoint_file, weights_only=True)["progress"]
    assert (progress["epoch"], progress["batch"]) in {(1, second - 1), (0, 21), (1, 0)}
    assert outcome(resume(run, device="cpu").run) == outcome(whole), f"steps {first}, {second}"


def test_resuming_a_finished_run_changes_nothing(whole):
    before = outcome(whole)
    assert outcome(resume(whole, device="cpu").run) == before


def test_a_loss_that_is_not_finite_stops_with_the_step_and_a_hint(recipe, tmp_path):
    wild = replace(recipe, learning_rate=1e30, schedule="constant")
    with pytest.raises(DivergedError, match=r"at step \d+: training has diverged") as caught:
        train(wild, runs_dir=tmp_path, device="cpu")
    assert "learning_rate=..." in caught.value.hint


def test_a_full_disk_leaves_the_last_good_checkpoint(recipe, whole, tmp_path, monkeypatch):
    written = loop.checkpoint.save
    calls = []

    def failing(path, *rest):
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        written(path, *rest)

    monkeypatch.setattr(loop.checkpoint, "save", failing)
    with pytest.raises(
        NeocogError, match=r"No space left on device.*last good checkpoint"
    ) as caught:
        train(recipe, runs_dir=tmp_path, device="cpu")
    run = runs.find("latest", tmp_path)
    assert f"--resume {run.path}" in caught.value.hint
    assert torch.load(run.checkpoint_file, weights_only=True)["progress"]["epoch"] == 2
    assert outcome(resume(run, device="cpu").run) == outcome(whole)


def test_a_full_disk_before_the_first_checkpoint_does_not_speak_of_one(
    recipe, whole, tmp_path, monkeypatch
):
    def failing(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop.checkpoint, "save", failing)
    with pytest.raises(NeocogError, match=r"No space left on device.*no epoch was fin") as caught:
        train(recipe, runs_dir=tmp_path, device="cpu")
    assert "checkpoint" not in str(caught.value)
    monkeypatch.undo()
    assert outcome(resume(runs.find("latest", tmp_path), device="cpu").run) == outcome(whole)


def test_a_disk_that_is_full_from_the_start_leaves_no_folder(recipe, tmp_path):
    from tests.faults import Disk

    place = tmp_path / "runs"
    place.mkdir()
    with Disk(place, 4, "full"), pytest.raises(NeocogError, match=r"training has not begun"):
        train(recipe, runs_dir=place, device="cpu")
    assert not list(place.iterdir())


def copied(run: Run, folder) -> Run:
    twin = runs.create_named("twin", folder)
    for file in run.path.iterdir():
        (twin.path / file.name).write_bytes(file.read_bytes())
    return twin


@pytest.mark.parametrize("lost", ["one line", "all", "a word", "zeros"])
def test_metrics_that_fall_short_of_the_checkpoint_are_restored_from_it(whole, tmp_path, lost):
    """A power loss took what was appended and not what was synced: resume failed for ever."""
    run = copied(whole, tmp_path)
    content = run.metrics_file.read_bytes()
    short = {
        "one line": b"".join(content.splitlines(keepends=True)[:-1]),
        "all": b"",
        "a word": content.replace(b'"epoch": 2', b'"epo'),
        "zeros": bytes(len(content)),
    }
    run.metrics_file.write_bytes(short[lost])
    resume(run, device="cpu")
    assert outcome(run) == outcome(whole)
    assert run.metrics_file.read_bytes() == content


def test_a_checkpoint_of_an_earlier_version_goes_on_without_its_lost_lines(whole, tmp_path):
    """Those had no lines in them; the best epoch's was the one that got lost."""
    run = copied(whole, tmp_path)
    content = torch.load(run.checkpoint_file, weights_only=True)
    del content["progress"]["lines"]
    torch.save(content, run.checkpoint_file)
    best = content["progress"]["best_epoch"]
    lines = [line for line in run.read_metrics() if line.epoch != best]
    run.write_metrics(lines)
    resume(run, device="cpu")
    assert outcome(run)[0] == outcome(whole)[0]
    assert run.read_metrics() == lines
    assert evaluate(run.path).result.selected_epoch == best


def test_a_flipped_bit_in_a_checkpoint_is_noticed(whole, tmp_path):
    run = copied(whole, tmp_path)
    content = bytearray(run.checkpoint_file.read_bytes())
    weights = torch.load(run.checkpoint_file, weights_only=True)["model"]
    some = next(iter(weights.values())).numpy().tobytes()
    content[content.index(some)] ^= 1
    run.checkpoint_file.write_bytes(content)
    with pytest.raises(NeocogError, match=r"checkpoint.pt is damaged .*checksum"):
        resume(run, device="cpu")


def test_equal_trainings_give_equal_files_wherever_they_run(tmp_path, monkeypatch):
    """Another runs folder, another working folder, another way to write the data's path."""
    photos = tmp_path / "some" / "photos"
    for n in range(40):
        save(photos / "ab"[n % 2] / f"{n}.png", n)
    values = {"epochs": 2, "batch_size": 8, "image_size_pixels": 8, "model": "convnet"}
    found = []
    for place, name in (("some", "photos"), ("some/photos/a", ".."), (".", str(photos))):
        monkeypatch.chdir(tmp_path / place)
        recipe = recipes.get("scratch", {**values, "data": name})
        run = train(recipe, runs_dir=tmp_path / f"runs{len(found)}", device="cpu").run
        evaluate(run.path)
        found.append(run.model_file.read_bytes())
    assert found[0] == found[1] == found[2]
    assert str(tmp_path).encode() not in found[0] and b"_seconds" not in found[0]


def test_a_resumed_run_gets_the_threads_that_it_began_with(recipe, tmp_path, caplog):
    recipe = replace(recipe, epochs=2, batch_size=400, model="[conv3-4 relu pool2]*1 fc")
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        whole = train(recipe, runs_dir=tmp_path, device="cpu").run
        with pytest.raises(Interrupted) as stopped:
            train(recipe, runs_dir=tmp_path, device="cpu", progress=StopAt(5, signal.SIGINT))
    finally:
        torch.set_num_threads(before)
    run = stopped.value.run
    assert run.read_environment().threads == before + 1
    seen = set()
    resume(run, device="cpu", progress=lambda *_: seen.add(torch.get_num_threads()))
    assert seen == {before + 1} and torch.get_num_threads() == before
    assert outcome(run) == outcome(whole)
    assert not caplog.text


def test_a_run_that_cannot_have_its_environment_again_says_so(whole, tmp_path, caplog):
    run = copied(whole, tmp_path)
    environment = run.read_environment()
    run.write_environment(replace(environment, threads="many", torch="1.0"))
    resume(run, device="cpu")
    assert "threads was many" in caplog.text and "torch was 1.0" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_named(recipe, whole, tmp_path, damage):
    run = runs.create_named("damaged", tmp_path)
    for file in whole.path.iterdir():
        (run.path / file.name).write_bytes(file.read_bytes())
    content = run.checkpoint_file.read_bytes()[:3000] if damage is None else damage
    run.checkpoint_file.write_bytes(content)
    with pytest.raises(NeocogError, match=r"checkpoint.pt is damaged"):
        resume(run, device="cpu")


def test_the_best_epoch_is_kept_and_ties_go_to_the_earlier(digits_run):
    lines = digits_run.read_metrics()
    values = [line.validation_accuracy for line in lines]
    progress = torch.load(digits_run.checkpoint_file, weights_only=True)["progress"]
    assert progress["best_epoch"] == values.index(max(values)) + 1


@pytest.mark.parametrize(
    ("changes", "best"),
    [
        ({"select": "last"}, len),
        (
            {"select": "validation/loss"},
            lambda lines: min(lines, key=lambda line: line.validation_loss).epoch,
        ),
        (
            {"select": "train/accuracy_after", "look_every_epochs": 2, "validation_size": 0},
            lambda lines: (
                max(
                    (line for line in lines if line.train_accuracy_after is not None),
                    key=lambda line: line.train_accuracy_after,
                ).epoch
            ),
        ),
    ],
    ids=["last", "loss", "train"],
)
def test_selection_follows_the_recipe(changes, best, tmp_path):
    recipe = recipes.get("digits", {"epochs": 5, "learning_rate": 0.1, **changes})
    run = train(recipe, runs_dir=tmp_path, device="cpu").run
    lines = run.read_metrics()
    progress = torch.load(run.checkpoint_file, weights_only=True)["progress"]
    assert progress["best_epoch"] == best(lines)
    if "look_every_epochs" in changes:
        looked = [line.epoch for line in lines if line.train_accuracy_after is not None]
        assert looked == [2, 4, 5]
        assert not any(line.validation_loss is not None for line in lines)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "nll"},
        {"loss": "map"},
        {"loss": "squared_error"},
        {"label_smoothing": 0.2, "test_mirrored": True},
    ],
    ids=["plain", "nll", "map", "squared", "smoothed"],
)
def test_validation_loss_is_the_loss_that_training_lowers(changes, tmp_path):
    """One quantity on the axis, by references; the cross-entropy beside it where it is another."""
    recipe = recipes.get(
        "digits", {"epochs": 2, "select": "validation/loss", "learning_rate": 0.02, **changes}
    )
    run = train(recipe, runs_dir=tmp_path, device="cpu").run
    lines = run.read_metrics()
    best = min(lines, key=lambda line: line.validation_loss)
    chosen = classifier.load(run.path)
    assert chosen.facts.selected.epoch == best.epoch
    held = data.load_for(recipe).validation
    logits = chosen.logits(held.images).astype(np.float64)
    right = logits[np.arange(len(held)), held.labels]
    cross_entropy = (scipy.special.logsumexp(logits, 1) - right).mean()
    rubbish = np.full((len(held), 1), -recipe.map_penalty)
    squashed = 1.7159 * np.tanh(logits * 2 / 3)
    targets = 2 * np.eye(10)[held.labels] - 1
    log_shares = logits - scipy.special.logsumexp(logits, 1, keepdims=True)
    smooth = 0.8 * np.eye(10)[held.labels] + 0.2 / 10
    expected = {
        "map": (scipy.special.logsumexp(np.hstack([logits, rubbish]), 1) - right).mean(),
        "squared_error": ((squashed - targets) ** 2).sum(1).mean(),
    }.get(recipe.loss, cross_entropy)
    if recipe.label_smoothing:
        expected = -(smooth * log_shares).sum(1).mean()
    assert best.validation_loss == pytest.approx(expected, rel=1e-4)
    if recipe.loss in ("cross_entropy", "nll") and not recipe.label_smoothing:
        assert best.validation_cross_entropy is None
    else:
        assert best.validation_cross_entropy == pytest.approx(cross_entropy, rel=1e-4)
        assert best.validation_loss != pytest.approx(cross_entropy, rel=1e-3)


def test_the_mean_loss_weighs_images_not_batches():
    losses = torch.tensor([1.0, 2.0, 5.0])
    assert epoch_metrics.mean_loss(losses, [(0, 10), (10, 20), (20, 21)]) == pytest.approx(
        (10 + 20 + 5) / 21
    )


def test_weights_that_are_no_numbers_are_noticed_though_every_loss_was_one():
    model = torch.nn.Linear(2, 2)
    epoch_metrics.check_finite(torch.ones(3), 0, model)
    with torch.no_grad():
        model.bias[0] = torch.inf
    with pytest.raises(NeocogError, match="weights are no longer numbers at step 13"):
        epoch_metrics.check_finite(torch.ones(3), 10, model)


def test_a_network_that_ends_in_softmax_is_refused(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "soft", Network("", 0, "", ""))
    soft = lambda *_, **__: torch.nn.Sequential(  # noqa: E731
        torch.nn.Flatten(), torch.nn.Linear(64, 10), torch.nn.Softmax(dim=1)
    )
    monkeypatch.setattr(models, "build", soft)
    with pytest.raises(UsageError, match="ends in softmax"):
        train(replace(recipe, model="soft"), runs_dir=tmp_path, device="cpu")


def test_runs_are_never_overwritten(recipe, tmp_path):
    short = replace(recipe, epochs=1)
    first, second = (train(short, runs_dir=tmp_path, device="cpu").run for _ in range(2))
    assert (first.path.name, second.path.name) == ("digits-digits-1", "digits-digits-2")
    with pytest.raises(UsageError, match="never overwritten"):
        train(short, runs_dir=tmp_path, name="digits-digits-1", device="cpu")


def test_bfloat16_and_channels_last_train_too(recipe, tmp_path):
    changed = replace(recipe, precision="bfloat16", channels_last=True)
    run = train_function(changed, runs_dir=tmp_path, device="cpu").run
    assert run.read_metrics()[-1].validation_accuracy > 0.9


def test_a_device_that_is_not_there_is_named(recipe, tmp_path):
    with pytest.raises(UsageError, match="no device 'gpu'"):
        train(recipe, runs_dir=tmp_path, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="has no cuda"):
            train(recipe, runs_dir=tmp_path, device="cuda")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"augment_grow_pixels": 6}, "smaller than the images"),
        ({"augment_edge": "reflect", "augment_shift_pixels": 9}, "its own edge"),
    ],
)
def test_changes_that_the_images_do_not_allow_are_refused(digits_recipe, tmp_path, changes, says):
    with pytest.raises(UsageError, match=says):
        train(replace(digits_recipe, **changes), runs_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_hands_want_the_ten_digits(digits_recipe, tmp_path):
    for number in range(40):
        grey = np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)
        folder = tmp_path / "shapes" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grey).save(folder / f"{number}.png")
    changed = replace(digits_recipe, data=str(tmp_path / "shapes"), augment_hand_fraction=0.5)
    with pytest.raises(UsageError, match="classes 0 to 9"):
        train(changed, runs_dir=tmp_path / "runs")


def test_a_decay_that_renews_the_optimiser_drops_its_moments(digits_recipe, tmp_path):
    """The first step of a new Adam moves each weight by the rate, whatever its gradient."""
    base = replace(
        digits_recipe, epochs=2, optimizer="adam", learning_rate=1e-3, momentum=0, nesterov=False,
        weight_decay=0, schedule="step", decay_at_epochs=(1,), decay_factor=1.0, model="threenet",
    )  # fmt: skip
    kept, renewed = (
        train(replace(base, decay_renews_optimizer=new), runs_dir=tmp_path, device="cpu").run
        for new in (False, True)
    )
    states = [
        torch.load(run.checkpoint_file, weights_only=True)["optimizer"] for run in (kept, renewed)
    ]
    steps = [int(state["state"][0]["step"]) for state in states]
    assert steps[0] == 2 * steps[1]
