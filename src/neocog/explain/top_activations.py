"""The images that excite a layer's maps most."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.inspection.hooks import as_maps, evaluating, layer_called, record_layers


@dataclass(frozen=True)
class Strongest:
    """For each map, the strongest first: values, images and places, all maps x count, CPU.

    `images` are numbers in the order in which the images came; `rows` and `columns` are the
    place in the map that was strongest there.
    """

    values: Tensor
    images: Tensor
    rows: Tensor
    columns: Tensor


def strongest(model: nn.Module, batches: Iterable[Tensor], layer: str, count: int = 9) -> Strongest:
    """The `count` images (or all) in which each map of `layer` reaches its highest values.

    `batches` are normalised, N x C x H x W each. Of a layer of single numbers each number is a map
    of one place. Raises UsageError for a layer that is not there.
    """
    layer_called(model, layer)
    seen: list[Tensor] = []

    def note(name: str, module: nn.Module, given: Tensor, output: Tensor) -> None:
        del module, given
        if name == layer:
            seen.append(output.detach().float().cpu())

    best: Strongest | None = None
    done = 0
    with torch.no_grad(), evaluating(model):
        for batch in batches:
            seen.clear()
            with record_layers(model, note):
                model(batch)
            best = _merged(best, _peaks(seen[0], done), count)
            done += len(batch)
    if best is None:
        raise UsageError("There are no images to look for the strongest in.")
    return best


def _peaks(activation: Tensor, done: int) -> Strongest:
    """Each image's highest value of each map, maps x N, and where it lies."""
    maps = as_maps(activation)
    if maps is None:
        maps = activation.flatten(1)[:, :, None, None]
    width = maps.shape[3]
    values, places = maps.flatten(2).max(2)
    images = torch.arange(done, done + len(maps)).expand(maps.shape[1], -1)
    places = places.T
    return Strongest(values.T, images, places // width, places % width)


def _merged(old: Strongest | None, new: Strongest, count: int) -> Strongest:
    """The best `count` of both."""
    parts = [new] if old is None else [old, new]
    joined = {
        name: torch.cat([getattr(part, name) for part in parts], 1)
        for name in ("values", "images", "rows", "columns")
    }
    values = joined["values"]
    order = values.argsort(dim=1, descending=True, stable=True)[:, :count]
    return Strongest(**{name: found.gather(1, order) for name, found in joined.items()})
