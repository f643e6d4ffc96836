"""Training curves, the search for the head's L2 penalty, and the time of each step."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from neocog.recipes import Recipe
from neocog.rendering import charts
from neocog.rendering.charts import Axis, Series
from neocog.rendering.numbers import format_duration, plain, short_percent
from neocog.report.losses import loss_title
from neocog.report.phrases.report import Translate

Line = dict[str, Any]


def curves(recipe: Recipe, lines: Sequence[Line], selected: int, t: Translate) -> list[Markup]:
    """Loss, accuracy and learning rate by epoch; nothing for a run of no epochs."""
    if not lines[-1]["epoch"]:
        return []
    epochs = Axis(t("epoch"), lambda value: f"{value:.0f}", whole=True)
    mark = (selected, t("kept"))
    loss = Axis(loss_title(recipe, lines, t), plain, low=0)
    rate = [
        Series("", "c", [(ln["epoch"], ln["lr"]) for ln in lines if ln["epoch"]]),
    ]
    drawn = [
        charts.lines(_series(lines, "loss", t), epochs, loss, mark),
        charts.lines(
            _series(lines, "accuracy", t), epochs, Axis(t("accuracy"), short_percent), mark
        ),
        charts.lines(rate, epochs, Axis(t("learning_rate"), plain, low=0), mark),
    ]
    return [chart for chart in drawn if chart]


def curves_note(recipe: Recipe, lines: Sequence[Line], t: Translate) -> str:
    """What must be known to read the curves."""
    changes = ("augment_shift_pixels", "augment_rotate_degrees", "augment_grow_pixels")
    changed = any(getattr(recipe, name) for name in changes) or recipe.augment_flip != "none"
    parts = [t("curves_note")]
    if changed:
        parts.append(t("softened"))
    if not any("validation/loss" in line for line in lines):
        parts.append(t("no_validation"))
    elif recipe.test_mirrored:
        parts.append(t("mirrored_validation"))
    return t("gap").join(parts)


def penalties(line: Line, t: Translate) -> Markup:
    """How well a fitted last layer does on held-out images, by the penalty on its weights."""
    if not line.get("head/losses"):
        return Markup("")
    x = Axis(t("penalty"), plain, logarithmic=True)
    y = Axis(t("held_out_loss"), plain)
    mark = (line["head/penalty"], t("kept"))
    drawn = [Series("", "b", _by_penalty(line, "head/losses"))]
    if line.get("head/criteria"):
        drawn = [
            Series(t("one_more_wrong"), "b", _by_penalty(line, "head/criteria")),
            Series(t("as_measured"), "c", _by_penalty(line, "head/losses")),
        ]
    return charts.lines(drawn, x, y, mark)


def _by_penalty(line: Line, key: str) -> list[tuple[float, float]]:
    return sorted(zip(line["head/penalties"], line[key], strict=True))


def penalties_note(line: Line, t: Translate) -> str:
    """How the penalty of a fitted last layer was chosen, and what the fit was made to."""
    if not line.get("head/losses") or not line.get("head/criteria"):  # an earlier version's
        return t("penalty_note_least")
    parts = [t("penalty_note")]
    if line.get("head/refit"):
        parts.append(t("refit", n=f"{line['head/refit']:,}"))
    return t("gap").join(parts)


def head_notes(line: Line, classes: Sequence[str], t: Translate) -> list[str]:
    """What else must be known of a fitted last layer, however its penalty was chosen."""
    notes = []
    weights = line.get("head/class_weights")
    if weights:
        some = sorted(zip(weights, classes, strict=True))
        low, high = some[0], some[-1]
        names = {"low": low[1], "high": high[1]}
        numbers = {"least": f"{low[0]:.2g}", "most": f"{high[0]:.2g}"}
        notes.append(t("class_weights", **names, **numbers))
    if line.get("head/tuning_skipped"):
        notes.append(t("tuning_skipped"))
    return notes


def timings(
    result: dict[str, Any], lines: Sequence[Line], trained_on: int, t: Translate, lang: str
) -> Line:
    """The time of each step, its share of the total, and the speed."""
    spent = result["time_seconds"]
    first = lines[0]
    parts = [("data", spent["data"])]
    if "features_seconds" in first:
        parts += [("features", first["features_seconds"]), ("head", first["head_seconds"])]
        epochs_seconds = spent["training"] - first["time_seconds"]
    else:
        epochs_seconds = spent["training"]
    epochs = result["epochs"]
    if epochs:
        parts.append(("training", epochs_seconds))
    parts.append(("evaluation", spent["evaluation"]))
    total = sum(seconds for _, seconds in parts) or 1.0
    notes = {"evaluation": _speed(result["n"], spent["evaluation"], t)}
    if first.get("head/kept"):
        notes["features"] = t("features_kept", n=f"{first['head/kept']:,}")
    if epochs:
        each = t("per_epoch", time=format_duration(epochs_seconds / epochs, lang))
        speed = _speed(trained_on * epochs, epochs_seconds, t)
        notes["training"] = f"{each}, {speed}"
    return {
        "total": format_duration(total, lang),
        "parts": [
            {
                "key": key,
                "name": t(f"time_{key}"),
                "time": format_duration(seconds, lang),
                "share": seconds / total,
                "note": notes.get(key, ""),
            }
            for key, seconds in parts
        ],
    }


def _speed(count: int, seconds: float, t: Translate) -> str:
    return t("per_second", n=f"{count / max(seconds, 1e-9):,.0f}")


def _series(lines: Sequence[Line], what: str, t: Translate) -> list[Series]:
    kinds = (
        (f"train/{what}", t("train"), "a"),
        (f"train/{what}_after", t("train_after"), "c"),
        (f"validation/{what}", t("validation"), "b"),
    )
    return [
        Series(name, colour, [(ln["epoch"], ln[key]) for ln in lines if key in ln])
        for key, name, colour in kinds
    ]
