"""The images with the highest activations of each feature map."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neocog.errors import UsageError
from neocog.inspection.hooks import as_feature_maps, evaluation_mode, get_layer, record_layers


@dataclass(frozen=True)
class TopActivations:
    """The highest activations of each feature map, in descending order: (M, count), on the CPU.

    Attributes:
        values: The activations.
        images: Index of the image, in the order in which the images were given.
        rows: Row of the activation in the feature map.
        columns: Column of the activation in the feature map.
    """

    values: Tensor
    images: Tensor
    rows: Tensor
    columns: Tensor


def top_activations(
    model: nn.Module, batches: Iterable[Tensor], layer: str, count: int = 9
) -> TopActivations:
    """The `count` images, at most one activation each, that activate each map of `layer` most.

    `batches` are normalised images (N, C, H, W). Each output of a layer without spatial dimensions
    counts as a map of 1 x 1. Raises UsageError for an unknown layer, or without images.
    """
    get_layer(model, layer)
    outputs: list[Tensor] = []

    def record(name: str, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        del module, inputs
        if name == layer:
            outputs.append(output.detach().float().cpu())

    top: TopActivations | None = None
    num_images = 0
    with torch.no_grad(), evaluation_mode(model):
        for batch in batches:
            outputs.clear()
            with record_layers(model, record):
                model(batch)
            peaks = _peaks(outputs[0], num_images)
            top = peaks if top is None else _concatenate(top, peaks)
            top = _highest(top, count)
            num_images += len(batch)
    if top is None:
        raise UsageError("There are no images to search for the highest activations.")
    return top


def _peaks(activation: Tensor, first_image: int) -> TopActivations:
    """The highest activation of each map in each image, (M, N), not sorted."""
    maps = as_feature_maps(activation)
    if maps is None:
        maps = activation.flatten(1)[:, :, None, None]
    width = maps.shape[3]
    values, positions = maps.flatten(2).max(2)
    images = torch.arange(first_image, first_image + len(maps)).expand(maps.shape[1], -1)
    return TopActivations(values.T, images, positions.T // width, positions.T % width)


def _concatenate(first: TopActivations, second: TopActivations) -> TopActivations:
    return TopActivations(
        torch.cat([first.values, second.values], 1),
        torch.cat([first.images, second.images], 1),
        torch.cat([first.rows, second.rows], 1),
        torch.cat([first.columns, second.columns], 1),
    )


def _highest(top: TopActivations, count: int) -> TopActivations:
    order = top.values.argsort(dim=1, descending=True, stable=True)[:, :count]
    return TopActivations(
        top.values.gather(1, order),
        top.images.gather(1, order),
        top.rows.gather(1, order),
        top.columns.gather(1, order),
    )
