"""A summary of the networks in `MODELS`: input, parameters, FLOPs, layers."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from neocog.errors import UsageError
from neocog.inspection.layers import ImageShape, LayerSummary
from neocog.inspection.summary import summarize_layers
from neocog.models import MODELS, build, describe


@dataclass(frozen=True)
class NetworkSummary:
    """A network and its layers, for an `input` of (C, H, W) and `num_classes` classes."""

    name: str
    year: int | None
    paper: str
    input: ImageShape
    num_classes: int
    parameters: int
    flops: int
    layers: tuple[LayerSummary, ...]

    @property
    def input_text(self) -> str:
        """The input as text: "3 x 224 x 224"."""
        return " x ".join(map(str, self.input))

    def to_json(self, *, with_layers: bool) -> dict[str, Any]:
        """What `neocog models --json` prints for one network."""
        values: dict[str, Any] = {
            "name": self.name,
            "year": self.year,
            "paper": self.paper,
            "input": self.input_text,
            "num_classes": self.num_classes,
            "parameters": self.parameters,
            "flops": self.flops,
        }
        if with_layers:
            values["layers"] = [layer.to_json() for layer in self.layers]
        return values


def summarize_all() -> list[NetworkSummary]:
    """The summary of every network in `MODELS`, for the input that it was designed for."""
    return [summarize(name) for name in MODELS]


@cache
def summarize(name: str, size: ImageShape | None = None) -> NetworkSummary:
    """The summary of a network, or of a layer pattern.

    `size` is the input as (C, H, W); by default the one that the network was designed for, and
    (1, 28, 28) for a pattern. Raises UsageError for an unknown network, an invalid pattern, or an
    input that the network does not take.
    """
    network = describe(name)
    size = size or network.input
    with torch.device("meta"):  # no memory for the weights
        model = build(name, network.num_classes, size[0], size[1:]).to("meta")
    layers = summarize_layers(model, size)
    return NetworkSummary(
        name=name,
        year=network.year,
        paper=network.paper,
        input=size,
        num_classes=network.num_classes,
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        flops=sum(layer.flops for layer in layers),
        layers=tuple(layers),
    )


def parse_input(text: str) -> ImageShape:
    """(C, H, W) from "3x32x32". Raises UsageError for anything else."""
    parts = text.replace(" ", "").split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) for part in parts):
        raise UsageError(
            f"The input is channels x height x width, not {text!r}.",
            "For example: {settings}",
            [("input", "3x32x32")],
        )
    channels, height, width = map(int, parts)
    return channels, height, width
