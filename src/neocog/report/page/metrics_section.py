"""Metrics on the test split: accuracy, results per class, calibration, rejection."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from neocog.evaluation.evaluate import Evaluation
from neocog.metrics.calibration import BINS, expected_calibration_error
from neocog.metrics.calibration import reliability as reliability_bins
from neocog.records import EvaluationRecord, FoldStatistics, Rejection
from neocog.rendering import charts
from neocog.rendering.numbers import format_probability, short_percent
from neocog.report.page.confusions import FEW_CLASSES
from neocog.report.phrases.report import Translate
from neocog.runs import Run
from neocog.wording import percent

CHOSEN = ("validation/accuracy", "validation/loss", "train/accuracy_after", "last")
NO_BREAK = "\N{NON-BREAKING HYPHEN}"
FINE = 1000  # images, above which a share has two decimals


@dataclass(frozen=True)
class ClassRow:
    """The metrics of a class as text, and its most frequent wrong prediction."""

    name: str
    n: str
    precision: str
    recall: str
    f1: str
    share: float
    mistaken: str


@dataclass(frozen=True)
class Verdict:
    """The accuracy in words, how the model was selected, and notes; `interval_bar` is 0..1."""

    headline: str
    interval: str
    errors: str
    interval_bar: tuple[float, float, float]
    what: str
    printed: str
    chosen: str
    folds: str
    notes: list[str]
    model_file: str


@dataclass(frozen=True)
class CalibrationSection:
    """The reliability diagram, the calibration error, and what rejection would achieve."""

    chart: Markup
    note: str
    rejections: list[str]


def share(value: float, n: int) -> str:
    """A fraction of `n` images as a percentage, without superfluous digits."""
    return percent(value, 2 if n > FINE else 1)


def verdict(evaluation: Evaluation, run: Run, t: Translate, lang: str) -> Verdict:
    """The accuracy with its interval, how the model was selected, and notes."""
    result, n = evaluation.result, evaluation.result.n
    low, high = result.interval
    wrong = n - int(np.trace(np.array(result.confusion)))
    printed = run.read_recipe().printed_test_accuracy
    return Verdict(
        headline=t("headline", accuracy=share(result.accuracy, n), n=f"{n:,}"),
        interval=t("interval", low=share(low, n), high=share(high, n)),
        errors=t("errors", count=f"{wrong:,}") if wrong else "",
        interval_bar=(low, result.accuracy, high),
        what=t(
            "what",
            model=result.model,
            data=Path(result.data).name,
            recipe=result.recipe,
            date=run.read_environment().started[:10].replace("-", NO_BREAK),
        ),
        printed=t("printed", accuracy=short_percent(printed)) if printed else "",
        chosen=_chosen_by(result, run, t, lang),
        folds=_folds(result.folds, t) if result.folds else "",
        notes=[note.text(lang) for note in evaluation.notes],
        model_file=str(run.model_file),
    )


def classes(evaluation: Evaluation) -> tuple[list[ClassRow], bool]:
    """One row per class, and whether they are sorted by F1 because there are many."""
    result = evaluation.result
    names = evaluation.test.classes
    counts = np.array(result.confusion)
    wrong = counts - np.diag(np.diag(counts))
    rows = []
    for k, row in enumerate(result.per_class):
        most = int(wrong[k].argmax())
        rows.append(
            ClassRow(
                name=row.name,
                n=f"{row.n:,}",
                precision=percent(row.precision),
                recall=percent(row.recall),
                f1=f"{row.f1:.3f}",
                share=row.f1,
                mistaken=f"{names[most]} ({wrong[k, most]:,})" if wrong[k, most] else "",
            )
        )
    many = len(rows) > FEW_CLASSES
    return (sorted(rows, key=lambda r: r.share) if many else rows), many


def calibration(evaluation: Evaluation, t: Translate) -> CalibrationSection:
    """The reliability diagram, the calibration error, and what rejection would achieve."""
    probabilities, labels = evaluation.probabilities, evaluation.test.labels
    correct = probabilities.argmax(1) == labels
    claimed = np.nan_to_num(probabilities.max(1))  # NaN if training diverged
    bins = reliability_bins(claimed, correct)
    reads = [
        t(
            "bin",
            claimed=format_probability(b.probability),
            right=percent(b.accuracy),
            low=percent(b.interval[0]),
            high=percent(b.interval[1]),
            n=f"{b.n:,}",
        )
        for b in bins
    ]
    chart = charts.reliability(bins, (t("claimed"), t("right_share")), reads)
    error = percent(expected_calibration_error(bins))
    return CalibrationSection(
        chart,
        t("reliability_note", error=error, bins=BINS),
        [_rejection(row, t) for row in evaluation.result.rejection],
    )


def _rejection(row: Rejection, t: Translate) -> str:
    error = short_percent(row.error)
    if row.reason == "too_few_images":
        return t("too_few_to_reject", error=error, needed=f"{row.needed:,}")
    if row.threshold is None:
        return t("no_rejection", error=error)
    if not row.rejected:
        return t("rejects_none", error=error)
    return t("rejection", error=error, rejected=percent(row.rejected))


def _chosen_by(result: EvaluationRecord, run: Run, t: Translate, lang: str) -> str:
    by, sizes = result.selected_by, run.read_environment().data.sizes
    if by in CHOSEN:
        n, epoch, epochs = f"{sizes.validation:,}", result.selected_epoch, result.epochs
        return t(f"chosen_{by}", n=n, epoch=epoch, epochs=epochs)
    return t("chosen_head", by=result.selection().text(lang))


def _folds(folds: FoldStatistics, t: Translate) -> str:
    return t(
        "folds",
        n=folds.n,
        images=f"{folds.images:,}",
        mean=percent(folds.mean),
        std=f"{folds.std:.1%}",
        each=", ".join(percent(a) for a in folds.each),
    )
