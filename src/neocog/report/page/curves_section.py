"""What a report says of the training's course: its curves, and where the seconds went."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from neocog.recipes import Recipe
from neocog.rendering import charts
from neocog.rendering.charts import Axis, Series, percent, plain
from neocog.report.losses import loss_title
from neocog.report.words.report import Say

Line = dict[str, Any]


def curves(recipe: Recipe, lines: Sequence[Line], selected: int, say: Say) -> list[Markup]:
    """Loss, accuracy and learning rate by epoch; nothing for a run of no epochs."""
    if not lines[-1]["epoch"]:
        return []
    epochs = Axis(say("epoch"), lambda value: f"{value:.0f}", whole=True)
    mark = (selected, say("kept"))
    loss = Axis(loss_title(recipe, lines, say), plain, low=0)
    rate = [
        Series("", "c", [(ln["epoch"], ln["lr"]) for ln in lines if ln["epoch"]]),
    ]
    drawn = [
        charts.lines(_series(lines, "loss", say), epochs, loss, mark),
        charts.lines(_series(lines, "accuracy", say), epochs, Axis(say("accuracy"), percent), mark),
        charts.lines(rate, epochs, Axis(say("learning_rate"), plain, low=0), mark),
    ]
    return [chart for chart in drawn if chart]


def curves_note(recipe: Recipe, lines: Sequence[Line], say: Say) -> str:
    """What must be known to read the curves."""
    changes = ("augment_shift_pixels", "augment_rotate_degrees", "augment_grow_pixels")
    changed = any(getattr(recipe, name) for name in changes) or recipe.augment_flip != "none"
    parts = [say("curves_note")]
    if changed:
        parts.append(say("softened"))
    if not any("validation/loss" in line for line in lines):
        parts.append(say("no_validation"))
    elif recipe.test_mirrored:
        parts.append(say("mirrored_validation"))
    return say("gap").join(parts)


def penalties(line: Line, say: Say) -> Markup:
    """How well a fitted last layer does on held-out images, by the penalty on its weights."""
    if not line.get("head/losses"):
        return Markup("")
    x = Axis(say("penalty"), plain, logarithmic=True)
    y = Axis(say("held_out_loss"), plain)
    mark = (line["head/penalty"], say("kept"))
    drawn = [Series("", "b", _by_penalty(line, "head/losses"))]
    if line.get("head/criteria"):
        drawn = [
            Series(say("one_more_wrong"), "b", _by_penalty(line, "head/criteria")),
            Series(say("as_measured"), "c", _by_penalty(line, "head/losses")),
        ]
    return charts.lines(drawn, x, y, mark)


def _by_penalty(line: Line, key: str) -> list[tuple[float, float]]:
    return sorted(zip(line["head/penalties"], line[key], strict=True))


def penalties_note(line: Line, say: Say) -> str:
    """How the penalty of a fitted last layer was chosen, and what the fit was made to."""
    if not line.get("head/losses") or not line.get("head/criteria"):  # an earlier version's
        return say("penalty_note_least")
    parts = [say("penalty_note")]
    if line.get("head/refit"):
        parts.append(say("refit", n=f"{line['head/refit']:,}"))
    return say("gap").join(parts)


def head_notes(line: Line, classes: Sequence[str], say: Say) -> list[str]:
    """What else must be known of a fitted last layer, however its penalty was chosen."""
    notes = []
    weights = line.get("head/class_weights")
    if weights:
        some = sorted(zip(weights, classes, strict=True))
        low, high = some[0], some[-1]
        names = {"low": low[1], "high": high[1]}
        numbers = {"least": f"{low[0]:.2g}", "most": f"{high[0]:.2g}"}
        notes.append(say("class_weights", **names, **numbers))
    if line.get("head/tuning_skipped"):
        notes.append(say("tuning_skipped"))
    return notes


def timings(result: dict[str, Any], lines: Sequence[Line], trained_on: int, say: Say) -> Line:
    """Where the seconds went: the parts with their shares, and how fast they were."""
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
    notes = {"evaluation": _speed(result["n"], spent["evaluation"], say)}
    if first.get("head/kept"):
        notes["features"] = say("features_kept", n=f"{first['head/kept']:,}")
    if epochs:
        each = say("per_epoch", time=duration(epochs_seconds / epochs, say))
        speed = _speed(trained_on * epochs, epochs_seconds, say)
        notes["training"] = f"{each}, {speed}"
    return {
        "total": duration(total, say),
        "parts": [
            {
                "key": key,
                "name": say(f"time_{key}"),
                "time": duration(seconds, say),
                "share": seconds / total,
                "note": notes.get(key, ""),
            }
            for key, seconds in parts
        ],
    }


def duration(seconds: float, say: Say) -> str:
    """A time in the unit that it is thought of in."""
    if seconds < 100:
        return say("seconds", n=f"{seconds:.1f}")
    if seconds < 6000:
        return say("minutes", n=f"{seconds / 60:.1f}")
    return say("hours", n=f"{seconds / 3600:.1f}")


def _speed(count: int, seconds: float, say: Say) -> str:
    return say("per_second", n=f"{count / max(seconds, 1e-9):,.0f}")


def _series(lines: Sequence[Line], what: str, say: Say) -> list[Series]:
    kinds = (
        (f"train/{what}", say("train"), "a"),
        (f"train/{what}_after", say("train_after"), "c"),
        (f"validation/{what}", say("validation"), "b"),
    )
    return [
        Series(name, colour, [(ln["epoch"], ln[key]) for ln in lines if key in ln])
        for key, name, colour in kinds
    ]
