"""The report of a run: one self-contained HTML page."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import neocog
from neocog.data import DATASETS, ImageSet
from neocog.evaluation.evaluate import Evaluation
from neocog.metrics.calibration import uncertainty
from neocog.recipes import Recipe
from neocog.rendering import html
from neocog.rendering.i18n import translator
from neocog.rendering.numbers import format_probability
from neocog.rendering.sprites import Sprite, make_sprite
from neocog.report.page import (
    curves_section,
    diagram,
    metrics_section,
    model_section,
    setup_section,
)
from neocog.report.page.confusions import confusion
from neocog.report.phrases.report import CHANGES, REPORT, Translate
from neocog.report.training_batch import as_carried_out, first_training_batch
from neocog.runs import Run
from neocog.storage.atomic import write_atomic
from neocog.wording import percent

# In the order of the page. Each is the id of a section and the key of its heading.
SECTIONS = (
    "trained", "curves", "confusion", "per_class", "reliability", "mistakes", "unsure", "seen",
    "filters", "maps", "findings", "timings",
)  # fmt: skip
MAX_EXAMPLES = 12  # of the worst mistakes, and of the least certain predictions


@dataclass(frozen=True)
class Examples:
    """The worst mistakes, the least certain predictions, and the layer of their Grad-CAM."""

    mistakes: list[model_section.HeatmapExample]
    unsure: list[model_section.HeatmapExample]
    cam_layer: str | None


@dataclass(frozen=True)
class Inside:
    """The filters of the first layer, and the outputs of some of the `layers` for some images."""

    filters: model_section.FiltersImage | None
    maps: list[model_section.LayerTrace]
    layers: int


@dataclass(frozen=True)
class Seen:
    """The first training batch, and the random changes that the recipe makes."""

    sprite: Sprite
    labels: list[str]
    note: str


def write(evaluation: Evaluation, lang: str) -> Path:
    """Write the report of a run on its own test split, in English (en) or Chinese (zh)."""
    run = evaluation.run
    assert run is not None, "a report needs a run"
    t = translator(REPORT, lang)
    lines = run.read_epochs()
    recipe = as_carried_out(run.read_recipe(), lines[0])
    network = setup_section.network(evaluation.classifier)
    blocks = diagram.blocks(network)
    rows, many = metrics_section.classes(evaluation)
    inside = vars(_inside(evaluation, blocks))
    page = html.render(
        "neocog.report",
        "report.html",
        REPORT,
        lang,
        name=run.path.name,
        sections=[s for s in SECTIONS if s not in inside or inside[s]],
        format_probability=format_probability,
        percent=percent,
        version=neocog.__version__,
        verdict=metrics_section.verdict(evaluation, run, t, lang),
        trained=setup_section.trained(run, evaluation.classifier, network, blocks, t),
        data=setup_section.data(run, t, lang),
        environment=setup_section.environment(run, t),
        curves=curves_section.curves(recipe, lines, evaluation.result.selected_epoch or 0, t),
        curves_note=curves_section.curves_note(recipe, lines, t),
        penalties=curves_section.penalties(lines[0].head, t),
        penalties_note=curves_section.penalties_note(lines[0].head, t),
        head_notes=curves_section.head_notes(lines[0].head, evaluation.test.classes, t),
        classes=evaluation.test.classes,
        confusion=confusion(evaluation.test, evaluation.probabilities),
        per_class=rows,
        many_classes=many,
        calibration=metrics_section.calibration(evaluation, t),
        **vars(_examples(evaluation)),
        seen=_seen(recipe, evaluation.train, translator(CHANGES, lang), t),
        **inside,
        max_maps=model_section.MAX_MAPS,
        findings=_findings(run, lang),
        timings=curves_section.timings(evaluation.result, lines, _trained_on(run), t, lang),
    )
    write_atomic(run.report_file, page)
    return run.report_file


def _examples(evaluation: Evaluation) -> Examples:
    probabilities, labels = evaluation.probabilities, evaluation.test.labels
    doubts = uncertainty(probabilities)
    wrong = np.nonzero(probabilities.argmax(1) != labels)[0]
    worst = wrong[np.argsort(doubts[wrong], kind="stable")][:MAX_EXAMPLES]
    unsure = np.argsort(-doubts, kind="stable")[:MAX_EXAMPLES]
    indices = np.concatenate([worst, unsure])
    examples, layer = model_section.heatmap_examples(evaluation, indices)
    return Examples(examples[: len(worst)], examples[len(worst) :], layer)


def _inside(evaluation: Evaluation, blocks: list[diagram.DiagramBlock]) -> Inside:
    indices = model_section.select_correct(evaluation)
    traces, layers = (
        model_section.layer_traces(evaluation, indices, blocks) if len(indices) else ([], 0)
    )
    filters = model_section.filters_image(evaluation)
    return Inside(filters, traces, layers)


def _seen(recipe: Recipe, train: ImageSet | None, t_change: Translate, t: Translate) -> Seen:
    assert train is not None, "the evaluation of a run has its training images"
    images, labels = first_training_batch(recipe, train)
    changes = _changes(recipe, t_change)
    joined = t("list_comma").join(changes)
    note = t("seen_changed", changes=joined) if changes else t("seen_plain")
    return Seen(make_sprite(images), labels, note)


def _changes(recipe: Recipe, t: Translate) -> list[str]:
    """The random changes that the recipe makes to an image, as phrases."""
    if recipe.feature_views and not recipe.fine_tune:
        views = recipe.feature_views
        return [t("mirrored" if views == 2 else "views")] if views > 1 else []
    changes = []
    for field in CHANGES:
        value = getattr(recipe, field, 0)
        if value and value != "none":
            is_fraction = field in ("augment_scale_fraction", "augment_shear_fraction")
            changes.append(t(field, n=f"{value:.0%}" if is_fraction else value))
    return changes


def _findings(run: Run, lang: str) -> list[str] | None:
    """The findings of the dataset check as sentences; None for a published dataset."""
    about = run.read_environment().data
    if about.name in DATASETS:
        return None
    return [finding.message.text(lang) for finding in about.findings]


def _trained_on(run: Run) -> int:
    return run.read_environment().data.sizes.train
