"""What needs an accelerator; skipped by name where there is none."""

import os
import signal

import pytest
import torch

from neocog import classifier, data, recipes
from neocog.training import Interrupted, resume, train

from ..data.test_custom import save

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_cuda_trains_and_its_file_is_used_on_the_cpu(tmp_path, precision):
    recipe = recipes.get("digits", {"epochs": 6, "precision": precision, "augment_shift_pixels": 1})
    run = train(recipe, runs_dir=tmp_path, device="cuda").run
    assert run.read_metrics()[-1].validation_accuracy > 0.9
    images = data.load("digits").test.images
    on_gpu = classifier.load(run.path, device="cuda").probabilities(images)
    on_cpu = classifier.load(run.path, device="cpu").probabilities(images)
    assert abs(on_gpu - on_cpu).max() < 1e-3


def test_a_run_stopped_on_cuda_goes_on(tmp_path):
    def stop(stage, done, _total):
        if (stage, done) == ("train", 30):
            os.kill(os.getpid(), signal.SIGINT)

    recipe = recipes.get("digits", {"epochs": 4})
    with pytest.raises(Interrupted) as stopped:
        train(recipe, runs_dir=tmp_path, device="cuda", progress=stop)
    run = resume(stopped.value.run, device="cuda").run
    assert len(run.read_metrics()) == 4


def test_photos_are_fitted_and_fine_tuned_on_cuda(tmp_path):
    for n in range(60):
        save(tmp_path / "photos" / "ab"[n % 2] / f"{n}.png", n)
    values = {"data": str(tmp_path / "photos"), "image_size_pixels": 64, "epochs": 1}
    recipe = recipes.get("photos", {**values, "fine_tune": True})
    run = train(recipe, runs_dir=tmp_path, device="cuda").run
    assert [line.epoch for line in run.read_metrics()] == [0, 1]
