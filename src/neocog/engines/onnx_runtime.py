"""The default engine: an ONNX file, run by ONNX Runtime on the CPU."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from neocog.data.images import Images
from neocog.engines import NetworkFacts
from neocog.errors import DamagedFileError, NeocogError, NotFoundError
from neocog.json_fields import parse, read_fields
from neocog.progress import Progress, no_progress

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

CARD_KEY, NETWORK_KEY, WEIGHTS_KEY = "neocog", "neocog_network", "neocog_weights"
MAX_BYTES = 2**31  # protobuf reads no larger message
HINT = "Export it again: neocog export RUN --to onnx"


class OnnxEngine:
    """Runs an exported network.

    The graph maps `images`, uint8 `(N, H, W, C)`, to `logits` and `probabilities`, `(N, K)`. It is
    read from memory, so that it cannot name further files; `path` is for error messages. Raises
    NeocogError if the content is damaged or was not exported by Neocog.
    """

    name = "onnx"

    def __init__(self, content: bytes, path: Path) -> None:
        self.content = content
        self.session = open_session(content, path)
        self.metadata: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        self.facts = _read_facts(path, self.metadata)
        inputs = [(i.name, i.type, len(i.shape)) for i in self.session.get_inputs()]
        outputs = {o.name for o in self.session.get_outputs()}
        if inputs != [("images", "tensor(uint8)", 4)] or not {"logits"} <= outputs:
            raise _foreign(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Open a file. Raises NeocogError as the class does."""
        try:
            if path.stat().st_size > MAX_BYTES:
                raise _damaged(path, "it is larger than 2 GB")
            return cls(path.read_bytes(), path)
        except FileNotFoundError:
            raise NotFoundError(f"There is no model file {path}.", HINT) from None
        except OSError as error:
            raise NeocogError(f"{path} cannot be read ({error.strerror or error}).") from None

    @property
    def weights(self) -> str:
        """The digest of the model file that was exported, as `model_card.network_digest`."""
        return self.metadata.get(WEIGHTS_KEY, "")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images."""
        height, width, channels = self.session.get_inputs()[0].shape[1:]
        return height, width, channels

    def logits(self, images: Images, progress: Progress = no_progress) -> NDArray[np.float32]:
        """Logits `(N, K)` of uint8 images `(N, H, W, C)`, as `Engine.logits`."""
        batches = []
        for begin in range(0, len(images), self.facts.batch_size):
            batch = np.ascontiguousarray(images[begin : begin + self.facts.batch_size])
            batches.append(self.session.run(["logits"], {"images": batch})[0])
            progress("predict", begin + len(batch), len(images))
        return np.concatenate(batches) if batches else np.empty((0, 0), np.float32)


def network_metadata(facts: NetworkFacts, weights: str) -> dict[str, str]:
    """The metadata that an exported file needs to be run: facts and the digest of the weights."""
    return {NETWORK_KEY: json.dumps(asdict(facts)), WEIGHTS_KEY: weights}


def open_session(content: bytes, path: Path) -> "InferenceSession":
    """Open a graph for the CPU; `path` is for error messages. Raises NeocogError if damaged."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors come as exceptions
    options.intra_op_num_threads = thread_count()
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class
        raise _damaged(path, str(error).strip().partition("\n")[0][:200]) from None


def thread_count() -> int:
    """The number of threads that `OMP_NUM_THREADS` asks for; 0: one for each core."""
    number = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(number) if number.isdecimal() else 0


def _read_facts(path: Path, metadata: Mapping[str, str]) -> NetworkFacts:
    if NETWORK_KEY not in metadata:
        raise _foreign(path)
    try:
        facts = NetworkFacts(**read_fields(NetworkFacts, parse(metadata[NETWORK_KEY])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, str(error)) from None
    if facts.batch_size < 1 or facts.temperature <= 0:
        raise _damaged(path, f"its metadata are wrong: {metadata[NETWORK_KEY][:80]}")
    return facts


def _foreign(path: Path) -> NeocogError:
    return NeocogError(
        f"{path} is not an ONNX file that Neocog exported: it does not say how images become its "
        "input.",
        HINT,
    )


def _damaged(path: Path, reason: str) -> NeocogError:
    return DamagedFileError(f"{path} is damaged or no ONNX file ({reason.rstrip('.')}).", HINT)
