"""What the networks are made of, in numbers."""

from typing import Any

from neocog.models import MODELS, build


def rows() -> list[dict[str, Any]]:
    """One row a network: name, year, paper, input and the parameters it has at that input."""
    found = []
    for name, network in MODELS.items():
        channels, height, width = map(int, network.input.split(" x "))
        model = build(name, num_classes=10, in_channels=channels, image_size=(height, width))
        found.append(
            {
                "name": name,
                "year": network.year,
                "paper": network.paper,
                "input": network.input,
                "parameters": sum(p.numel() for p in model.parameters()),
            }
        )
    return found
