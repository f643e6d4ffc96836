"""The layers of an exported network: their table, and what each of them computes.

`neocog` records the table when it exports a network. The exporter names each node after its layer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from neocog.engines.onnx_runtime import OnnxEngine, open_session
from neocog.inspection.layers import LayerSummary, layers_from_json

LAYERS_KEY = "neocog_layers"
_NETWORK = "/module/network/"


class OnnxLayers:
    """The layers of the network in an ONNX file. `table` has all of them, in order."""

    def __init__(self, content: bytes, table: Sequence[LayerSummary]) -> None:
        import onnx

        self.table = table
        self._model: Any = onnx.load_from_string(content)
        self._tensors = _tensors(self._model, table)

    @classmethod
    def of(cls, engine: object) -> Self | None:
        """The layers of an engine's network; None if its file has no table of them."""
        table = recorded_table(engine)
        if table is None:
            return None
        assert isinstance(engine, OnnxEngine)
        return cls(engine.content, table)

    def can_output(self, names: Sequence[str]) -> bool:
        """Whether the graph has the outputs of all these layers."""
        return all(name in self._tensors for name in names)

    def outputs(
        self, images: NDArray[np.uint8], names: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """The outputs `(N, ...)` of layers by name, for uint8 images `(N, H, W, C)`."""
        import onnx

        tensors = [self._tensors[name] for name in names]
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        del model.graph.output[:]
        wanted = [onnx.ValueInfoProto(name=tensor) for tensor in dict.fromkeys(tensors)]
        model.graph.output.extend(wanted)
        session = open_session(model.SerializeToString(), Path("the exported network"))
        found = dict(
            zip(
                dict.fromkeys(tensors),
                session.run(None, {"images": np.ascontiguousarray(images)}),
                strict=True,
            )
        )
        return {name: found[tensor] for name, tensor in zip(names, tensors, strict=True)}


def recorded_table(engine: object) -> list[LayerSummary] | None:
    """The table of layers in an engine's file; None if it has none that can be read."""
    text = engine.metadata.get(LAYERS_KEY) if isinstance(engine, OnnxEngine) else None
    if text is None:
        return None
    try:
        return layers_from_json(text)
    except ValueError:  # the network is asked instead
        return None


def layer_name(node: str) -> str:
    """A layer's name: "a.2.relu" of the node "/module/network/a/a.2/relu/Relu"."""
    name, before = "", ""
    for part in node.removeprefix(_NETWORK).split("/")[:-1]:
        if before and part.startswith(f"{before}."):  # a child of a sequence has its name, too
            name = name.removesuffix(before) + part
        else:
            name = f"{name}.{part}" if name else part
        before = part
    return name


def _tensors(model: Any, table: Sequence[LayerSummary]) -> dict[str, str]:
    """The tensor that each layer outputs, where the graph has one.

    A convolution into which the batch norm after it was folded has no output of its own, and
    dropout has none.
    """
    last: dict[str, str] = {}
    for node in model.graph.node:
        if node.name.startswith(_NETWORK):
            last[layer_name(node.name)] = node.output[0]
    found: dict[str, str] = {}
    before = ""
    for layer in table:
        name, _, run = layer.name.partition(" (")  # "relu (2)" is relu_1 in the graph
        own = last.get(f"{name}_{int(run[:-1]) - 1}" if run else name)
        if own is None and layer.kind == "BatchNorm2d":
            own = found.pop(before, None)
        if own is not None:
            found[layer.name] = own
        before = layer.name
    return found
