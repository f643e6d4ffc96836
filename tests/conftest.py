import os
from pathlib import Path

import pytest

from neocog import data, recipes
from neocog.data import mnist
from neocog.runs import Run
from neocog.training import train

# Absolute, since every test works in a folder of its own.
FOLDERS = [Path(f).absolute() for f in os.environ.get("NEOCOG_DATA", "").split(os.pathsep) if f]
os.environ["NEOCOG_DATA"] = os.pathsep.join(map(str, FOLDERS))
HAS_MNIST = any((folder / mnist.MNIST.folder).is_dir() for folder in FOLDERS)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("mnist") and not HAS_MNIST:
            item.add_marker(
                pytest.mark.skip(reason="needs MNIST/raw in a folder named by NEOCOG_DATA")
            )


@pytest.fixture(autouse=True)
def _away(tmp_path_factory, monkeypatch):
    """No test writes into the source tree, and none reaches the network."""
    monkeypatch.chdir(tmp_path_factory.mktemp("work"))
    monkeypatch.setenv("NEOCOG_OFFLINE", "1")
    monkeypatch.delenv("NEOCOG_RUNS", raising=False)


@pytest.fixture(scope="session")
def digits_recipe():
    """A training that ends within a second or two and learns."""
    return recipes.get("digits", {"epochs": 6})


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory, digits_recipe) -> Run:
    return train(digits_recipe, runs_dir=tmp_path_factory.mktemp("runs"), device="cpu")


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory) -> Run:
    """LeNet-5 on mnist5k for a few epochs: good enough to read a clean digit."""
    recipe = recipes.get("quickstart", {"epochs": 6, "warmup_fraction": 0.2})
    return train(recipe, runs_dir=tmp_path_factory.mktemp("quick"), device="cpu")


@pytest.fixture(scope="session")
def mnist5k():
    return data.load("mnist5k")
