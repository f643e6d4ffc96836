"""Neocog trains, evaluates, explains and exports image classifiers.

Every public name is imported when it is first used, so that `import neocog` takes milliseconds.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Recipe": "neocog.recipes",
    "RECIPES": "neocog.recipes",
    "MODELS": "neocog.models",
    "build": "neocog.models",
    "DATASETS": "neocog.data",
    "Splits": "neocog.data",
    "ImageSet": "neocog.data",
    "Preprocessing": "neocog.data",
    "Run": "neocog.runs",
    "Classifier": "neocog.classifier",
    "Prediction": "neocog.classifier",
    "load": "neocog.classifier",
    "train": "neocog.training",
    "resume": "neocog.training",
    "NeocogError": "neocog.errors",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neocog' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
