"""The setup of a run: network, recipe, data, environment."""

import dataclasses
import shlex
from typing import Any

from neocog.classifier import Classifier
from neocog.inspection.summary import LayerSummary, summarize_layers
from neocog.messages import Message
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


def network(classifier: Classifier) -> list[LayerSummary]:
    """The layers of the classifier's network, in order."""
    architecture = classifier.architecture
    height, width = architecture["image_size"]
    return summarize_layers(classifier.model, (architecture["in_channels"], height, width))


def trained(
    run: Run,
    classifier: Classifier,
    layers: list[LayerSummary],
    blocks: list[DiagramBlock],
    t: Translate,
) -> dict[str, Any]:
    """Diagram, layers, recipe and command, for the template."""
    recipe = as_carried_out(run.read_recipe(), run.read_epochs()[0])
    architecture = classifier.architecture
    size = (architecture["in_channels"], *architecture["image_size"])
    parameters = sum(layer.parameters for layer in layers)
    flops = format_count(sum(layer.flops for layer in layers))
    return {
        "diagram": diagram.draw(size, blocks, t),
        "note": t("diagram_note", parameters=f"{parameters:,}", flops=flops),
        "frozen": bool(recipe.feature_views) and not recipe.fine_tune,
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "kernel": layer.kernel.replace(" x ", " × "),
                "output": shape_text(layer.output),
                "parameters": f"{layer.parameters:,}" if layer.parameters else "",
                "flops": format_count(layer.flops) if layer.flops else "",
                "receptive_field": layer.receptive_field,
            }
            for layer in layers
        ],
        "recipe": recipe.name,
        "source": recipe.source,
        "values": _differences(recipe),
        "command": _command(run, recipe),
    }


def data(run: Run, t: Translate, lang: str) -> dict[str, Any]:
    """The splits of the dataset with sizes and fingerprints, and how they were made."""
    facts = run.read_environment()["data"]
    note = t(
        "data_note",
        classes=f"{len(facts['classes']):,}",
        shape=shape_text(facts["image_shape"]),
        note=Message.from_json(facts["note"]).text(lang),
    )
    rows = [
        (t(name), f"{facts['sizes'][name]:,}", facts["fingerprints"][name])
        for name in ("train", "validation", "test")
        if facts["sizes"][name]
    ]
    return {"name": facts["name"], "note": note, "rows": rows}


def environment(run: Run, t: Translate) -> list[tuple[str, str]]:
    """Versions, machine and seed of the run as (name, value) pairs."""
    facts = run.read_environment()
    known = [name for name in ("neocog", "torch", "python") if facts.get(name)]
    machine = (facts.get(key) for key in ("device", "device_name", "machine"))
    rows = [
        ("env_versions", ", ".join(f"{name} {facts[name]}" for name in known)),
        ("env_machine", ", ".join(filter(None, machine))),
        ("env_system", facts.get("system", "")),
        ("env_threads", f"{facts.get('threads', '?')} / {facts.get('cpus', '?')} CPU"),
        ("env_commit", (facts.get("git_commit") or "")[:12]),
        ("env_seed", facts.get("seed", "")),
        ("env_started", facts.get("started", "").replace("T", " ")),
    ]
    return [(t(key), str(value)) for key, value in rows if value != ""]


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
