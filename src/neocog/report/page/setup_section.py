"""The setup of a run: network, recipe, data, environment."""

import dataclasses
import shlex
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from neocog.classifier import Classifier
from neocog.engines.onnx_layers import recorded_table
from neocog.inspection.layers import LayerSummary
from neocog.recipes import Recipe
from neocog.rendering.numbers import format_count
from neocog.report.page import diagram
from neocog.report.page.diagram import DiagramBlock, shape_text
from neocog.report.phrases.report import Translate
from neocog.report.training_batch import as_carried_out
from neocog.runs import Run

# Fields of the recipe that are shown elsewhere on the page.
SHOWN_ELSEWHERE = (
    "name",
    "source",
    "data",
    "model",
    "seed",
    "printed_test_accuracy",
    "printed_train_accuracy",
)

# Prefixes of the fields that have no effect if only the head is fitted.
LOOP_FIELDS = (
    "epochs", "learning_rate", "augment_", "momentum", "nesterov", "weight_decay", "schedule",
    "warmup", "decay_", "norm_bias", "body_rate", "optimizer", "loss", "label_smoothing", "select",
    "look_every",
)  # fmt: skip


@dataclass(frozen=True)
class LayerRow:
    """A layer of the network as text."""

    name: str
    kind: str
    kernel: str
    output: str
    parameters: str
    flops: str
    receptive_field: int


@dataclass(frozen=True)
class TrainedSection:
    """The training setup: network, recipe and command.

    `frozen` is set if only the head was fitted; `values` are those of the recipe that differ from
    the defaults.
    """

    diagram: Markup
    note: str
    frozen: bool
    layers: list[LayerRow]
    recipe: str
    source: str
    values: list[tuple[str, str]]
    command: str


@dataclass(frozen=True)
class DataSection:
    """The dataset; each of `rows` is a split with its size and fingerprint."""

    name: str
    note: str
    rows: list[tuple[str, str, str]]


def network(classifier: Classifier) -> list[LayerSummary]:
    """The layers of the classifier's network, in order: recorded at its export, if it was."""
    recorded = recorded_table(classifier.engine)
    if recorded:
        return recorded
    from neocog.inspection.summary import summarize_layers  # it imports torch

    architecture = classifier.architecture
    size = (architecture.in_channels, *architecture.image_size)
    return summarize_layers(classifier.model, size)


def trained(
    run: Run,
    classifier: Classifier,
    layers: list[LayerSummary],
    blocks: list[DiagramBlock],
    t: Translate,
) -> TrainedSection:
    """Diagram, layers, recipe and command."""
    recipe = as_carried_out(run.read_recipe(), run.read_epochs()[0])
    architecture = classifier.architecture
    size = (architecture.in_channels, *architecture.image_size)
    parameters = sum(layer.parameters for layer in layers)
    flops = format_count(sum(layer.flops for layer in layers))
    return TrainedSection(
        diagram=diagram.draw(size, blocks, t),
        note=t("diagram_note", parameters=f"{parameters:,}", flops=flops),
        frozen=bool(recipe.feature_views) and not recipe.fine_tune,
        layers=[_layer_row(layer) for layer in layers],
        recipe=recipe.name,
        source=recipe.source,
        values=_differences(recipe),
        command=_command(run, recipe),
    )


def _layer_row(layer: LayerSummary) -> LayerRow:
    return LayerRow(
        name=layer.name,
        kind=layer.kind,
        kernel=layer.kernel.replace(" x ", " × "),
        output=shape_text(layer.output),
        parameters=f"{layer.parameters:,}" if layer.parameters else "",
        flops=format_count(layer.flops) if layer.flops else "",
        receptive_field=layer.receptive_field,
    )


def data(run: Run, t: Translate, lang: str) -> DataSection:
    """The splits of the dataset with sizes and fingerprints, and how they were made."""
    about = run.read_environment().data
    note = t(
        "data_note",
        classes=f"{len(about.classes):,}",
        shape=shape_text(about.image_shape),
        note=about.note.text(lang),
    )
    sizes, fingerprints = vars(about.sizes), vars(about.fingerprints)
    rows = [(t(name), f"{n:,}", fingerprints[name]) for name, n in sizes.items() if n]
    return DataSection(about.name, note, rows)


def environment(run: Run, t: Translate) -> list[tuple[str, str]]:
    """Versions, machine and seed of the run as (name, value) pairs."""
    info = run.read_environment()
    names = ("neocog", "torch", "onnxruntime", "python")
    versions = [(name, getattr(info, name)) for name in names]
    threads, cpus = ("?" if n is None else n for n in (info.threads, info.cpus))
    rows = [
        ("env_versions", ", ".join(f"{name} {version}" for name, version in versions if version)),
        ("env_machine", ", ".join(filter(None, (info.device, info.device_name, info.machine)))),
        ("env_system", info.system or ""),
        ("env_threads", f"{threads} / {cpus} CPU"),
        ("env_commit", (info.git_commit or "")[:12]),
        ("env_seed", "" if info.seed is None else str(info.seed)),
        ("env_started", info.started.replace("T", " ")),
    ]
    return [(t(key), value) for key, value in rows if value]


def _differences(recipe: Recipe) -> list[tuple[str, str]]:
    """The recipe's values that differ from the defaults and had an effect."""
    rows = []
    only_head = bool(recipe.feature_views) and not recipe.fine_tune
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if only_head and field.name.startswith(LOOP_FIELDS):
            continue
        if field.name not in SHOWN_ELSEWHERE and value != field.default:
            rows.append((field.name, _text(value)))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _command(run: Run, recipe: Recipe) -> str:
    """The recorded command; an equivalent one for a run that was started from Python."""
    recorded = run.read_command()
    if recorded:
        return recorded
    command = ["neocog", "train", recipe.data, "--recipe", recipe.name, "--seed", str(recipe.seed)]
    return shlex.join(command)
