"""From a recipe to a run: `train` and `resume`."""

from neocog.training.train import Interrupted, resume, train

__all__ = ["Interrupted", "resume", "train"]
