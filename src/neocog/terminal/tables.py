"""Tables of networks, recipes and published results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from neocog.errors import SpellSettings
from neocog.escaping import rich_escape
from neocog.recipes import RECIPES
from neocog.rendering.numbers import format_count, format_duration
from neocog.wording import counted, percent

if TYPE_CHECKING:  # these import torch
    from neocog.inspection.layers import LayerSummary
    from neocog.models.summary import NetworkSummary
    from neocog.reproduce import Measurement, Reproduction


def show_recipes(console: Console) -> None:
    """The recipes: the network and data of each, and the accuracy printed in its source."""
    table = Table(title="Recipes: neocog train --recipe NAME")
    for name in ("name", "network", "data", "epochs", "printed", "source"):
        table.add_column(name, justify="right" if name in ("epochs", "printed") else "left")
    for recipe in RECIPES.values():
        printed = recipe.printed_test_accuracy
        table.add_row(
            recipe.name,
            recipe.model,
            recipe.data,
            "" if recipe.feature_views and not recipe.fine_tune else str(recipe.epochs),
            f"{printed:.5g}" if printed else "",
            recipe.source,
        )
    console.print(table)


def show_models(console: Console, rows: Sequence["NetworkSummary"]) -> None:
    """The networks with input, parameters, FLOPs, year and paper."""
    table = Table(title="Networks: neocog train --model NAME; their layers: neocog models NAME")
    for name in ("name", "input", "parameters", "FLOPs", "year", "paper"):
        left = name in ("name", "input", "paper")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "paper")
    for row in rows:
        parameters, flops = f"{row.parameters:,}", format_count(row.flops)
        table.add_row(row.name, row.input_text, parameters, flops, str(row.year or ""), row.paper)
    console.print(table)
    console.print(
        "With 10 classes, or 1,000 for ImageNet networks (3 x 224 x 224 and larger). One "
        "multiplication and one addition count as two FLOPs.",
        highlight=False,
    )


def show_layers(console: Console, network: "NetworkSummary") -> None:
    """The layers of a network, and the parameters of its convolutions if fully connected."""
    year = f" ({network.year})" if network.year else ""
    title = f"{network.name}{year}, input {network.input_text}"
    table = Table(title=rich_escape(title))
    heads = (
        "layer",
        "kind",
        "kernel",
        "output",
        "parameters",
        "FLOPs",
        "receptive field",
        "if fully connected",
    )
    for name in heads:
        table.add_column(name, justify="left" if name in heads[:4] else "right")
    for layer in network.layers:
        full = layer.fully_connected_parameters
        table.add_row(
            layer.name,
            layer.kind,
            layer.kernel,
            " x ".join(map(str, layer.output)),
            f"{layer.parameters:,}" if layer.parameters else "",
            format_count(layer.flops) if layer.flops else "",
            str(layer.receptive_field),
            format_count(full) if full else "",
        )
    console.print(table)
    total = f"{counted(network.parameters, 'parameter')}, {format_count(network.flops)} FLOPs"
    console.print(f"[bold]{total} per image.[/bold]", highlight=False)
    _explain_sharing(console, network.layers)


def _explain_sharing(console: Console, layers: Sequence["LayerSummary"]) -> None:
    """The parameters that weight sharing saves in the first convolution."""
    console.print(
        "Receptive field: side, in pixels, of the input window that affects a unit. If fully "
        "connected: the layer's parameters if every output were connected to every input.",
        highlight=False,
    )
    convolutions = [c for c in layers if c.fully_connected_parameters and c.parameters]
    if not convolutions:
        return
    first = convolutions[0]
    full, local = first.fully_connected_parameters or 0, first.locally_connected_parameters
    console.print(
        f"{first.name}: {counted(full, 'parameter')} if fully connected, {local:,} if locally "
        f"connected, {first.parameters:,} with shared weights.",
        highlight=False,
    )


def show_reproduction(
    console: Console, rows: Sequence["Reproduction"], spell: SpellSettings
) -> None:
    """Printed and measured accuracies; `spell` writes the settings in hints."""
    table = Table(title="Printed and measured accuracy on the official test images")
    heads = (
        "recipe",
        "source",
        "printed",
        "measured (seeds)",
        "95% interval",
        "honest",
        "time",
        "",
    )
    for name in heads:
        table.add_column(name, justify="left" if name in heads[:2] else "right")
    for row in rows:
        measured, recipe = row.published, row.recipe
        if measured is None:
            continue
        low, high = measured.interval
        verdict = {"PASS": "[green]PASS[/green]", "FAIL": "[red]FAIL[/red]", None: "-"}
        printed = recipe.printed_test_accuracy
        table.add_row(
            recipe.name,
            rich_escape(recipe.source),
            f"{100 * printed:.5g}%" if printed else "none",
            _figure(measured) + (", as published" if row.as_published else ""),
            f"{percent(low, 2)} to {percent(high, 2)}",
            _figure(row.honest) if row.honest else "",
            format_duration(measured.time_seconds, decimals=0),
            verdict[row.verdict],
        )
    console.print(table)
    for row in rows:
        if row.error:
            console.print(rich_escape(f"{row.recipe.name} was not run: {row.error_text(spell)}"))
    notes = "FAIL: the whole interval is below the printed accuracy."
    if any(row.honest for row in rows):
        notes += (
            " honest: the epoch is selected on 5,000 held-out training images; 'as published': "
            "as in the source."
        )
    console.print(notes, highlight=False)


def figure(mean: float, std: float | None, n: int) -> str:
    """Mean and standard deviation over n seeds: 98.85% ± 0.05 (3)."""
    spread = f" ± {100 * std:.2f}" if std is not None else ""
    return f"{percent(mean, 2)}{spread} ({n})"


def _figure(measured: "Measurement") -> str:
    return figure(measured.mean, measured.std, len(measured.runs))
