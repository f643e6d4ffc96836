"""`neocog models` and `neocog recipes`."""

from typing import Annotated

import typer

from neocog.cli.options import JsonOption
from neocog.escaping import to_json


def models(
    name: Annotated[
        str | None,
        typer.Argument(help="Show the layers of this network or layer pattern."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--input", metavar="CxHxW", help="Input size, for example 3x32x32."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""List the networks, or show the layers of one.

    A layer pattern defines a network, here and in `train --model`: "\[\[conv3-32 relu]*2 pool2]*3
    \[fc128 relu]*1 fc". Its words: conv3-32 (add s2 for stride 2, p0 for no padding), pool2,
    avgpool2, gap, bn, relu, tanh, sigmoid, gelu, drop0.5, fc128, and fc, which must come last.
    Limits: 2,000 layers, 250 million parameters and 100 million output values per layer and image.
    """
    from neocog.models import summary
    from neocog.terminal import make_console, tables

    if name:
        network = summary.summarize(name, summary.parse_input(size) if size else None)
        if as_json:
            print(to_json(network.to_json(with_layers=True)))
        else:
            tables.show_layers(make_console(stderr=False), network)
    elif as_json:
        rows = [network.to_json(with_layers=False) for network in summary.summarize_all()]
        print(to_json({"models": rows}))
    else:
        tables.show_models(make_console(stderr=False), summary.summarize_all())


def recipes(
    name: Annotated[str | None, typer.Argument(help="Show all fields of this recipe.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the recipes, or show one."""
    from neocog import recipes as all_recipes
    from neocog.terminal import make_console, tables

    if name:
        print(to_json(all_recipes.get(name).to_json(), indent=None if as_json else 2))
    elif as_json:
        print(to_json({"recipes": [r.to_json() for r in all_recipes.RECIPES.values()]}))
    else:
        tables.show_recipes(make_console(stderr=False))
