"""Training curves, the search for the head's L2 penalty, and the time of each step."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from neocog.recipes import Recipe
from neocog.records import EpochMetrics, EvaluationRecord, HeadMetrics
from neocog.rendering import charts
from neocog.rendering.charts import Axis, Series
from neocog.rendering.numbers import format_duration, plain, short_percent
from neocog.report.losses import loss_title
from neocog.report.phrases.report import Translate


@dataclass(frozen=True)
class Timing:
    """The time of a step of the run, and its share of all, 0..1; `key` names the step."""

    key: str
    name: str
    time: str
    share: float
    note: str


@dataclass(frozen=True)
class Timings:
    """The time of each step of a run, and of all."""

    total: str
    parts: list[Timing]


def curves(
    recipe: Recipe, lines: Sequence[EpochMetrics], selected: int, t: Translate
) -> list[Markup]:
    """Loss, accuracy and learning rate by epoch; nothing for a run of no epochs."""
    if not lines[-1].epoch:
        return []
    epochs = Axis(t("epoch"), lambda value: f"{value:.0f}", whole=True)
    mark = (selected, t("kept"))
    loss = Axis(loss_title(recipe, lines, t), plain, low=0)
    rate = [
        Series("", "c", [(line.epoch, line.lr) for line in lines if line.epoch]),
    ]
    drawn = [
        charts.lines(_series(lines, "loss", t), epochs, loss, mark),
        charts.lines(
            _series(lines, "accuracy", t), epochs, Axis(t("accuracy"), short_percent), mark
        ),
        charts.lines(rate, epochs, Axis(t("learning_rate"), plain, low=0), mark),
    ]
    return [chart for chart in drawn if chart]


def curves_note(recipe: Recipe, lines: Sequence[EpochMetrics], t: Translate) -> str:
    """Notes on how to read the curves."""
    changes = ("augment_shift_pixels", "augment_rotate_degrees", "augment_grow_pixels")
    changed = any(getattr(recipe, name) for name in changes) or recipe.augment_flip != "none"
    parts = [t("curves_note")]
    if changed:
        parts.append(t("softened"))
    if all(line.validation_loss is None for line in lines):
        parts.append(t("no_validation"))
    elif recipe.test_mirrored:
        parts.append(t("mirrored_validation"))
    return t("gap").join(parts)


def penalties(head: HeadMetrics | None, t: Translate) -> Markup:
    """The loss of the fitted head on held-out images, by L2 penalty."""
    if head is None or not head.losses:
        return Markup("")
    x = Axis(t("penalty"), plain, logarithmic=True)
    y = Axis(t("held_out_loss"), plain)
    mark = (head.penalty, t("kept"))
    measured = sorted(zip(head.penalties, head.losses, strict=True))
    drawn = [Series("", "b", measured)]
    if head.criteria:
        criteria = sorted(zip(head.penalties, head.criteria, strict=True))
        drawn = [
            Series(t("one_more_wrong"), "b", criteria),
            Series(t("as_measured"), "c", measured),
        ]
    return charts.lines(drawn, x, y, mark)


def penalties_note(head: HeadMetrics | None, t: Translate) -> str:
    """How the penalty of the fitted head was chosen, and on which images it was fitted."""
    if head is None or not head.losses or not head.criteria:  # an earlier version's
        return t("penalty_note_least")
    parts = [t("penalty_note")]
    if head.refit:
        parts.append(t("refit", n=f"{head.refit:,}"))
    return t("gap").join(parts)


def head_notes(head: HeadMetrics | None, classes: Sequence[str], t: Translate) -> list[str]:
    """Further notes on a fitted head."""
    if head is None:
        return []
    notes = []
    if head.class_weights:
        some = sorted(zip(head.class_weights, classes, strict=True))
        low, high = some[0], some[-1]
        names = {"low": low[1], "high": high[1]}
        numbers = {"least": f"{low[0]:.2g}", "most": f"{high[0]:.2g}"}
        notes.append(t("class_weights", **names, **numbers))
    if head.tuning_skipped:
        notes.append(t("tuning_skipped"))
    return notes


def timings(
    result: EvaluationRecord,
    lines: Sequence[EpochMetrics],
    trained_on: int,
    t: Translate,
    lang: str,
) -> Timings:
    """The time of each step, its share of the total, and the speed."""
    spent, head, epochs = result.time_seconds, lines[0].head, result.epochs or 0
    parts = [("data", spent.data)]
    epochs_seconds = spent.training
    if head:
        parts += [("features", head.features_seconds), ("head", head.head_seconds)]
        epochs_seconds -= lines[0].time_seconds
    if epochs:
        parts.append(("training", epochs_seconds))
    parts.append(("evaluation", spent.evaluation))
    total = sum(seconds for _, seconds in parts) or 1.0
    notes = {"evaluation": _speed(result.n, spent.evaluation, t)}
    if head and head.kept:
        notes["features"] = t("features_kept", n=f"{head.kept:,}")
    if epochs:
        each = t("per_epoch", time=format_duration(epochs_seconds / epochs, lang))
        speed = _speed(trained_on * epochs, epochs_seconds, t)
        notes["training"] = f"{each}, {speed}"
    return Timings(
        format_duration(total, lang),
        [
            Timing(
                key,
                t(f"time_{key}"),
                format_duration(seconds, lang),
                seconds / total,
                notes.get(key, ""),
            )
            for key, seconds in parts
        ],
    )


def _speed(count: int, seconds: float, t: Translate) -> str:
    return t("per_second", n=f"{count / max(seconds, 1e-9):,.0f}")


def _series(lines: Sequence[EpochMetrics], what: str, t: Translate) -> list[Series]:
    kinds = (
        (f"train/{what}", t("train"), "a"),
        (f"train/{what}_after", t("train_after"), "c"),
        (f"validation/{what}", t("validation"), "b"),
    )
    found = []
    for key, name, colour in kinds:
        values = [(line.epoch, line.metric(key)) for line in lines]
        found.append(Series(name, colour, [(n, v) for n, v in values if v is not None]))
    return found
