"""What a report says of what was trained: the network, the recipe, the data, the environment."""

import dataclasses
import shlex
from typing import Any

from neocog.classifier import Classifier
from neocog.models.summary import Layer, layers
from neocog.recipes import Recipe
from neocog.report.page import diagram
from neocog.report.page.diagram import Block, shape_text, short
from neocog.report.training_batch import as_carried_out
from neocog.report.words.report import Say
from neocog.report.words.sentences import told
from neocog.runs import Run

# Of the recipe these are said elsewhere on the page.
SAID = (
    "name",
    "source",
    "data",
    "model",
    "seed",
    "printed_test_accuracy",
    "printed_train_accuracy",
)


# How the fields begin that mean nothing where a last layer is fitted, and nothing more.
OF_THE_LOOP = (
    "epochs", "learning_rate", "augment_", "momentum", "nesterov", "weight_decay", "schedule",
    "warmup", "decay_", "norm_bias", "body_rate", "optimizer", "loss", "label_smoothing", "select",
    "look_every",
)  # fmt: skip


def network(classifier: Classifier) -> list[Layer]:
    """The layers of the classifier's network, in the order in which an image meets them."""
    facts = classifier.architecture
    height, width = facts["image_size"]
    return layers(classifier.model, (facts["in_channels"], height, width))


def trained(
    run: Run, classifier: Classifier, found: list[Layer], blocks: list[Block], say: Say
) -> dict[str, Any]:
    """The network's blocks, its layers, the recipe and the command, as the page shows them."""
    recipe = as_carried_out(run.read_recipe(), run.read_metrics()[0])
    facts = classifier.architecture
    size = (facts["in_channels"], *facts["image_size"])
    parameters = sum(layer.parameters for layer in found)
    flops = short(sum(layer.flops for layer in found))
    return {
        "diagram": diagram.draw(size, blocks, say),
        "note": say("diagram_note", parameters=f"{parameters:,}", flops=flops),
        "frozen": bool(recipe.feature_views) and not recipe.fine_tune,
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "kernel": layer.kernel.replace(" x ", " × "),
                "output": shape_text(layer.output),
                "parameters": f"{layer.parameters:,}" if layer.parameters else "",
                "flops": short(layer.flops) if layer.flops else "",
                "sees": layer.receptive_field,
            }
            for layer in found
        ],
        "recipe": recipe.name,
        "source": recipe.source,
        "values": _differences(recipe),
        "command": _command(run, recipe),
    }


def data(run: Run, say: Say, lang: str) -> dict[str, Any]:
    """What the data were: their splits with sizes and fingerprints, and how they were made."""
    facts = run.read_environment()["data"]
    note = say(
        "data_note",
        classes=f"{len(facts['classes']):,}",
        shape=shape_text(facts["image_shape"]),
        note=told(facts["note"], lang),
    )
    rows = [
        (say(name), f"{facts['sizes'][name]:,}", facts["fingerprints"][name])
        for name in ("train", "validation", "test")
        if facts["sizes"][name]
    ]
    return {"name": facts["name"], "note": note, "rows": rows}


def environment(run: Run, say: Say) -> list[tuple[str, str]]:
    """Where and with what the run was made, a name and a value each."""
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
    return [(say(key), str(value)) for key, value in rows if value != ""]


def _differences(recipe: Recipe) -> list[tuple[str, str]]:
    """The recipe's values that are not those of every recipe, and that had an effect."""
    rows = []
    fitted = bool(recipe.feature_views) and not recipe.fine_tune
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if fitted and field.name.startswith(OF_THE_LOOP):
            continue
        if field.name not in SAID and value != field.default:
            rows.append((field.name, _text(value)))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _command(run: Run, recipe: Recipe) -> str:
    """The command line that gave the run; one that gives it, where it came from Python."""
    recorded = run.read_command()
    if recorded:
        return recorded
    words = ["neocog", "train", recipe.data, "--recipe", recipe.name, "--seed", str(recipe.seed)]
    return shlex.join(words)
