"""Grad-CAM without torch, for an exported network that ends in pooled maps and a linear head.

If logits are a linear function of globally averaged feature maps, the gradient of a logit to each
map is the head's weight divided by the map's size everywhere. Grad-CAM (Selvaraju et al., ICCV
2017) of these maps is then exactly the class activation map of Zhou et al., "Learning deep features
for discriminative localization", CVPR 2016, without its negative values.
"""

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from neocog.engines.onnx_layers import layer_name
from neocog.engines.onnx_runtime import open_session

BATCH = 32  # images: maps take memory
_SCALING = ("Cast", "Div", "Flatten")  # the temperature scales all heat maps alike


class PooledMaps:
    """The last feature maps of an ONNX file, and how much each class wants of them.

    `layer` is the name of the layer that makes the maps, `weights` `(K, M)` those of the head.
    """

    def __init__(self, model: bytes, layer: str, maps: str, weights: NDArray[np.float32]) -> None:
        self.layer, self.weights = layer, weights
        self._maps = maps
        self._session = open_session(model, Path(layer))

    @classmethod
    def of(cls, content: bytes) -> Self | None:
        """Find the maps in the content of an ONNX file that Neocog exported.

        None for a network of another form: fully connected, a transformer, or with two views.
        """
        import onnx

        model = onnx.load_from_string(content)
        made_by = {name: node for node in model.graph.node for name in node.output}
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        head = _skip(made_by, "logits", _SCALING)
        if head is None or head.op_type != "Gemm" or head.input[1] not in constants:
            return None
        if {a.name: a.i for a in head.attribute}.get("transB") != 1:
            return None
        pooling = _skip(made_by, head.input[0], _SCALING)
        if pooling is None or pooling.op_type != "GlobalAveragePool":
            return None
        weights = onnx.numpy_helper.to_array(constants[head.input[1]])
        maps = pooling.input[0]
        del model.graph.output[:]
        model.graph.output.append(onnx.ValueInfoProto(name=maps))
        return cls(model.SerializeToString(), layer_name(made_by[maps].name), maps, weights)

    def heat(self, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> NDArray[np.float32]:
        """Grad-CAM `(N, h, w)` >= 0 of uint8 images `(N, H, W, C)` for N class indices."""
        found = []
        for begin in range(0, len(images), BATCH):
            batch = np.ascontiguousarray(images[begin : begin + BATCH])
            (maps,) = self._session.run([self._maps], {"images": batch})  # (N, M, h, w)
            weights = self.weights[targets[begin : begin + BATCH]] / (maps.shape[2] * maps.shape[3])
            found.append(np.maximum(np.einsum("nm,nmhw->nhw", weights, maps), 0))
        return np.concatenate(found)


def _skip(made_by: dict[str, Any], name: str, kinds: tuple[str, ...]) -> Any:
    """The node that makes a tensor, before nodes of these kinds; None for an input."""
    node = made_by.get(name)
    while node is not None and node.op_type in kinds:
        node = made_by.get(node.input[0])
    return node
