"""A run's report: one self-contained page, from the verdict to where the seconds went."""

from pathlib import Path
from typing import Any

import numpy as np

import neocog
from neocog.data import DATASETS, ImageSet
from neocog.evaluation.evaluate import Evaluation
from neocog.metrics.calibration import format_probability, uncertainty
from neocog.recipes import Recipe
from neocog.rendering import html
from neocog.rendering.sprites import sprite
from neocog.report.page import (
    curves_section,
    diagram,
    metrics_section,
    model_section,
    setup_section,
)
from neocog.report.page.confusions import confusion
from neocog.report.training_batch import as_carried_out, first_training_batch
from neocog.report.words import translator
from neocog.report.words.report import CHANGES, REPORT, Say
from neocog.report.words.sentences import told
from neocog.runs import Run
from neocog.storage.atomic import write_atomic
from neocog.wording import percent

# In the order of the page; each is its place's name and its heading's phrase.
SECTIONS = (
    "trained", "curves", "confusion", "per_class", "reliability", "mistakes", "unsure", "seen",
    "filters", "maps", "findings", "timings",
)  # fmt: skip
MOST = 12  # of the worst mistakes, and of the least sure


def write(evaluation: Evaluation, lang: str) -> Path:
    """Write the report of a run on its own test split, in English or Chinese (en, zh)."""
    run = evaluation.run
    assert run is not None, "a report is of a run's own test split"
    say = translator(REPORT, lang)
    lines = run.read_metrics()
    recipe = as_carried_out(run.read_recipe(), lines[0])
    network = setup_section.network(evaluation.classifier)
    blocks = diagram.blocks(network)
    rows, many = metrics_section.classes(evaluation)
    within = _inside(evaluation, blocks)
    page = html.render(
        "report.html",
        REPORT,
        lang,
        name=run.path.name,
        sections=[s for s in SECTIONS if s not in within or within[s]],
        format_probability=format_probability,
        percent=percent,
        version=neocog.__version__,
        verdict=metrics_section.verdict(evaluation, run, say, lang),
        trained=setup_section.trained(run, evaluation.classifier, network, blocks, say),
        data=setup_section.data(run, say, lang),
        environment=setup_section.environment(run, say),
        curves=curves_section.curves(recipe, lines, evaluation.result["selected_epoch"], say),
        curves_note=curves_section.curves_note(recipe, lines, say),
        penalties=curves_section.penalties(lines[0], say),
        penalties_note=curves_section.penalties_note(lines[0], say),
        head_notes=curves_section.head_notes(lines[0], evaluation.test.classes, say),
        classes=evaluation.test.classes,
        confusion=confusion(evaluation.test, evaluation.probabilities),
        per_class=rows,
        many_classes=many,
        calibration=metrics_section.calibration(evaluation, say),
        **_looks(evaluation),
        seen=_seen(recipe, evaluation.train, translator(CHANGES, lang), say),
        **within,
        findings=_findings(run, lang),
        timings=curves_section.timings(evaluation.result, lines, _trained_on(run), say),
    )
    write_atomic(run.report_file, page)
    return run.report_file


def _looks(evaluation: Evaluation) -> dict[str, Any]:
    """The worst mistakes, the least sure, and the layer that says where the network looks."""
    probabilities, labels = evaluation.probabilities, evaluation.test.labels
    doubts = uncertainty(probabilities)
    wrong = np.nonzero(probabilities.argmax(1) != labels)[0]
    worst = wrong[np.argsort(doubts[wrong], kind="stable")][:MOST]
    least = np.argsort(-doubts, kind="stable")[:MOST]
    layer = model_section.layer_to_look_at(evaluation.classifier, evaluation.test.images[:1])
    both = model_section.looks(evaluation, np.concatenate([worst, least]), layer)
    return {"mistakes": both[: len(worst)], "unsure": both[len(worst) :], "cam_layer": layer}


def _inside(evaluation: Evaluation, blocks: list[diagram.Block]) -> dict[str, Any]:
    """The first layer's filters, and a few images' ways through the network."""
    chosen = model_section.clear_ones(evaluation)
    passages, layers = (
        model_section.passages(evaluation, chosen, blocks) if len(chosen) else ([], 0)
    )
    return {
        "filters": model_section.filters(evaluation.classifier, evaluation.test.images[:1]),
        "maps": passages,
        "layers": layers,
        "most_maps": model_section.MOST_MAPS,
    }


def _seen(recipe: Recipe, train: ImageSet | None, say_change: Say, say: Say) -> dict[str, Any]:
    """The first images of training, changed as the recipe says, and what it changes."""
    assert train is not None, "a run's own evaluation has its training images"
    shown, labels = first_training_batch(recipe, train)
    changes = _changes(recipe, say_change)
    joined = say("list_comma").join(changes)
    note = say("seen_changed", changes=joined) if changes else say("seen_plain")
    return {"sprite": sprite(shown.numpy()), "labels": labels, "note": note}


def _changes(recipe: Recipe, say: Say) -> list[str]:
    """The random changes that the recipe makes to an image, in words."""
    if recipe.feature_views and not recipe.fine_tune:
        views = recipe.feature_views
        return [say("mirrored" if views == 2 else "views")] if views > 1 else []
    changes = []
    for field in CHANGES:
        value = getattr(recipe, field, 0)
        if value and value != "none":
            share = field in ("augment_scale_fraction", "augment_shear_fraction")
            changes.append(say(field, n=f"{value:.0%}" if share else value))
    return changes


def _findings(run: Run, lang: str) -> list[str] | None:
    """What the doctor found, a sentence each; None for a published data set."""
    facts = run.read_environment()["data"]
    if facts["name"] in DATASETS:
        return None
    return [told(finding["message"], lang) for finding in facts.get("findings", [])]


def _trained_on(run: Run) -> int:
    return int(run.read_environment()["data"]["sizes"]["train"])
