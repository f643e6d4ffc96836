"""The layers of a network as values, which are written and read without torch."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from neocog.json_fields import JsonValue, parse, read_fields

ImageShape = tuple[int, int, int]  # (C, H, W)


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a network, for one image.

    Attributes:
        name: As in `named_modules`; "name (2)" for the second run of a layer.
        kind: The layer's class.
        kernel_size: Side of the kernel or pooling window; None for layers without one.
        stride: Distance between windows, 1 for layers without one.
        output: Shape of the output, without the batch dimension.
        parameters: Trainable parameters; 0 for the second run of a layer.
        flops: A multiplication and an addition count as two. Only layers with weights are counted;
            normalisation, activations and pooling add about a hundredth.
        receptive_field: Side, in pixels, of the window of the image that a unit depends on, borders
            included.
        fully_connected_parameters: Parameters if every output were connected to every input; None
            for layers that are not convolutions.
        locally_connected_parameters: Parameters if every output had its own window of weights, that
            is, without weight sharing; None for layers that are not convolutions.
    """

    name: str
    kind: str
    kernel_size: int | None
    stride: int
    output: tuple[int, ...]
    parameters: int
    flops: int
    receptive_field: int
    fully_connected_parameters: int | None = None
    locally_connected_parameters: int | None = None

    @property
    def kernel(self) -> str:
        """Kernel and stride as text: "3 x 3 / 2", "3 x 3", or empty without a kernel."""
        if self.kernel_size is None:
            return ""
        stride = f" / {self.stride}" if self.stride > 1 else ""
        return f"{self.kernel_size} x {self.kernel_size}{stride}"

    def to_json(self) -> dict[str, JsonValue]:
        """The fields as JSON values, with `kernel` as text."""
        return {**asdict(self), "kernel": self.kernel, "output": list(self.output)}


def layers_to_json(layers: Sequence[LayerSummary]) -> str:
    """The layers as JSON for `layers_from_json`."""
    return json.dumps([asdict(layer) for layer in layers])


def layers_from_json(text: str) -> list[LayerSummary]:
    """Read what `layers_to_json` wrote. Raises ValueError for anything else."""
    try:
        return [LayerSummary(**read_fields(LayerSummary, row)) for row in parse(text)]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no list of layers ({error})") from None
