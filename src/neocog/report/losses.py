"""The name of the loss that the curves of a run show."""

from collections.abc import Sequence

from neocog.recipes import Recipe
from neocog.records import EpochMetrics
from neocog.report.phrases.report import Translate


def loss_title(recipe: Recipe, lines: Sequence[EpochMetrics], t: Translate) -> str:
    """The title of a run's loss axis: `loss (cross-entropy)`.

    Runs that an earlier version made measured validation by cross-entropy, whatever the recipe's
    loss was; their lines have no `validation/cross_entropy`, and the title says both.
    """
    name = t(f"loss_{recipe.loss}")
    if recipe.label_smoothing:
        name = t("loss_smoothed", loss=name, share=f"{recipe.label_smoothing:g}")
    other = recipe.loss in ("map", "squared_error") or recipe.label_smoothing
    looked = [line for line in lines if line.epoch and line.validation_loss is not None]
    if other and looked and not all(line.validation_cross_entropy is not None for line in looked):
        return t("loss_two", train=name, validation=t("loss_cross_entropy"))
    return t("loss_of", loss=name)
