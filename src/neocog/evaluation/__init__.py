"""A classifier measured on data: `evaluate` is the one place where the test split is used."""

from neocog.evaluation.evaluate import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
