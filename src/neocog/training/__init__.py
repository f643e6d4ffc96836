"""From a recipe to a run: `train` and `resume`."""

from neocog.training.train import Interrupted, is_finished, resume, train

__all__ = ["Interrupted", "is_finished", "resume", "train"]
