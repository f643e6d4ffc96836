"""The ONNX file of a model file: found, or exported when it is first needed."""

import logging
from contextlib import suppress
from pathlib import Path

from neocog.engines.onnx_runtime import CARD_KEY, OnnxEngine, network_metadata
from neocog.errors import NeocogError
from neocog.model_card import ModelCard, network_digest
from neocog.runs import of_model_file
from neocog.storage import cache
from neocog.storage.atomic import make_folder, write_atomic

log = logging.getLogger(__name__)


def find_or_export(path: Path, card: ModelCard) -> OnnxEngine:
    """Open the ONNX file of a model file, which is exported first if there is none of it.

    It lies in the run folder, or in the cache for a model file outside a run or a folder that
    cannot be written. A file of other weights, or a damaged one, is replaced.
    """
    digest = network_digest(path, card)
    run = of_model_file(path)
    places = [cache.entry("onnx", f"{digest[:32]}.onnx")]
    if run:
        places.insert(0, run.onnx_file)
    for place in places:
        with suppress(NeocogError):
            engine = OnnxEngine.read(place)
            if engine.weights == digest:
                return engine
    content = _export(path, card, digest)
    for place in places:
        with suppress(OSError):
            make_folder(place.parent)
            write_atomic(place, content)
            break
    return OnnxEngine(content, path)


def _export(path: Path, card: ModelCard, digest: str) -> bytes:
    from neocog.engines.torch import network_facts
    from neocog.export.onnx import to_onnx
    from neocog.model_file import read_network
    from neocog.models.inference import InferenceModule

    module = InferenceModule(read_network(path), card.preprocessing, card.temperature)
    metadata = {CARD_KEY: card.to_json(), **network_metadata(network_facts(module), digest)}
    return to_onnx(module, metadata)
