"""What a report says of a test split: the verdict, each class, whether probabilities hold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neocog.evaluation.evaluate import Evaluation
from neocog.metrics.calibration import BINS, expected_calibration_error, format_probability
from neocog.metrics.calibration import reliability as reliability_bins
from neocog.rendering import charts
from neocog.report.page.confusions import FEW_CLASSES
from neocog.report.words.report import Say
from neocog.report.words.sentences import told
from neocog.runs import Run
from neocog.wording import percent

CHOSEN = ("validation/accuracy", "validation/loss", "train/accuracy_after", "last")
NO_BREAK = "\N{NON-BREAKING HYPHEN}"
FINE = 1000  # images, above which a share has two decimals


@dataclass(frozen=True)
class ClassRow:
    """A class's scores as they are printed, and what its images are most often taken for."""

    name: str
    n: str
    precision: str
    recall: str
    f1: str
    share: float
    mistaken: str


def share(value: float, n: int) -> str:
    """A share of `n` images as a percentage: no more digits than it has."""
    return percent(value, 2 if n > FINE else 1)


def verdict(evaluation: Evaluation, run: Run, say: Say, lang: str) -> dict[str, Any]:
    """The accuracy with its interval, what the model was chosen by, and what to know."""
    result, n = evaluation.result, evaluation.result["n"]
    low, high = result["interval"]
    wrong = n - int(np.trace(np.array(result["confusion"])))
    folds = result.get("folds")
    printed = run.read_recipe().printed_test_accuracy
    return {
        "headline": say("headline", accuracy=share(result["accuracy"], n), n=f"{n:,}"),
        "interval": say("interval", low=share(low, n), high=share(high, n)),
        "errors": say("errors", count=f"{wrong:,}") if wrong else "",
        "interval_bar": (low, result["accuracy"], high),
        "what": say(
            "what",
            model=result["model"],
            data=Path(result["data"]).name,
            recipe=result["recipe"],
            date=run.read_environment()["started"][:10].replace("-", NO_BREAK),
        ),
        "printed": say("printed", accuracy=charts.percent(printed)) if printed else "",
        "chosen": _chosen_by(result, run, say, lang),
        "folds": _folds(folds, say) if folds else "",
        "notes": [told(note, lang) for note in evaluation.notes],
        "model_file": str(run.model_file),
    }


def classes(evaluation: Evaluation) -> tuple[list[ClassRow], bool]:
    """A row for each class; of many classes the worst come first, and the second value is set."""
    result = evaluation.result
    names = evaluation.test.classes
    counts = np.array(result["confusion"])
    wrong = counts - np.diag(np.diag(counts))
    rows = []
    for k, row in enumerate(result["per_class"]):
        most = int(wrong[k].argmax())
        rows.append(
            ClassRow(
                name=row["class"],
                n=f"{row['n']:,}",
                precision=percent(row["precision"]),
                recall=percent(row["recall"]),
                f1=f"{row['f1']:.3f}",
                share=row["f1"],
                mistaken=f"{names[most]} ({wrong[k, most]:,})" if wrong[k, most] else "",
            )
        )
    many = len(rows) > FEW_CLASSES
    return (sorted(rows, key=lambda r: r.share) if many else rows), many


def calibration(evaluation: Evaluation, say: Say) -> dict[str, Any]:
    """The reliability diagram, how far claims are off, and what refusing would give."""
    probabilities, labels = evaluation.probabilities, evaluation.test.labels
    correct = probabilities.argmax(1) == labels
    claimed = np.nan_to_num(probabilities.max(1))  # a network that diverged claims nothing
    bins = reliability_bins(claimed, correct)
    reads = [
        say(
            "bin",
            claimed=format_probability(b.probability),
            right=percent(b.accuracy),
            low=percent(b.interval[0]),
            high=percent(b.interval[1]),
            n=f"{b.n:,}",
        )
        for b in bins
    ]
    chart = charts.reliability(bins, (say("claimed"), say("right_share")), reads)
    error = percent(expected_calibration_error(bins))
    return {
        "chart": chart,
        "note": say("reliability_note", error=error, bins=BINS),
        "rejections": [_rejection(row, say) for row in evaluation.result["rejection"]],
    }


def _rejection(row: dict[str, Any], say: Say) -> str:
    error = charts.percent(row["error"])
    if row["reason"] == "too_few_images":
        return say("too_few_to_reject", error=error, needed=f"{row['needed']:,}")
    if row["threshold"] is None:
        return say("no_rejection", error=error)
    if not row["rejected"]:
        return say("rejects_none", error=error)
    return say("rejection", error=error, rejected=percent(row["rejected"]))


def _chosen_by(result: dict[str, Any], run: Run, say: Say, lang: str) -> str:
    by = result["selected_by"]
    sizes = run.read_environment()["data"]["sizes"]
    counts = {"n": f"{sizes['validation']:,}", "epochs": result["epochs"]}
    if by in CHOSEN:
        return say(f"chosen_{by}", epoch=result["selected_epoch"], **counts)
    return say("chosen_head", by=told(by, lang))


def _folds(folds: dict[str, Any], say: Say) -> str:
    return say(
        "folds",
        n=folds["n"],
        images=f"{folds['images']:,}",
        mean=percent(folds["mean"]),
        std=f"{folds['std']:.1%}",
        each=", ".join(percent(a) for a in folds["each"]),
    )
