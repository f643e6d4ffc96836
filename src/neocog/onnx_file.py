"""The ONNX file of a model file: found, or exported when it is first needed."""

from contextlib import suppress
from pathlib import Path

from neocog.engines.onnx_layers import LAYERS_KEY
from neocog.engines.onnx_runtime import CARD_KEY, OnnxEngine, network_metadata
from neocog.errors import NeocogError
from neocog.model_card import ModelCard, network_digest
from neocog.runs import of_model_file
from neocog.storage import cache
from neocog.storage.atomic import make_folder, write_atomic

CHECK_IMAGES = 16  # that a new file is compared on; `neocog export` takes the run's own images


class ExportError(NeocogError):
    """A network cannot be exported, or gives other probabilities when it is."""


def find_or_export(path: Path, card: ModelCard) -> OnnxEngine:
    """Open the ONNX file of a model file, which is exported first if there is none of it.

    It lies in the run folder, or in the cache for a model file outside a run or a folder that
    cannot be written. A file of other weights, or a damaged one, is replaced.
    """
    digest = network_digest(path, card)
    run = of_model_file(path)
    found = _read(run.onnx_file, digest) if run else None
    if found:
        return found
    in_cache = cache.entry("onnx", f"{digest[:32]}.onnx")
    found = _read(in_cache, digest)
    if found:
        return found
    content = _export(path, card, digest)
    for place in (*([run.onnx_file] if run else []), in_cache):
        with suppress(OSError):
            make_folder(place.parent)
            write_atomic(place, content)
            cache.evict()
            break
    return OnnxEngine(content, path)


def _read(place: Path, digest: str) -> OnnxEngine | None:
    """Open an ONNX file; None if there is none, or it is damaged or of other weights."""
    with suppress(NeocogError):
        engine = OnnxEngine.read(place)
        if engine.weights == digest:
            return engine
    return None


def _export(path: Path, card: ModelCard, digest: str) -> bytes:
    """Export the network of a model file. Raises ExportError if the result is not the same."""
    from neocog.engines.torch import layer_table, network_facts
    from neocog.export import parity
    from neocog.export.images import stand_ins
    from neocog.export.onnx import to_onnx
    from neocog.export.torch import module_network
    from neocog.model_file import read_network
    from neocog.models.inference import InferenceModule

    module = InferenceModule(read_network(path), card.preprocessing, card.temperature)
    metadata = {CARD_KEY: card.to_json(), **network_metadata(network_facts(module), digest)}
    metadata[LAYERS_KEY] = layer_table(module)
    try:
        content = to_onnx(module, metadata)
        files, described = stand_ins(card.preprocessing, CHECK_IMAGES)
        images, _ = parity.fit_files(files, card.preprocessing)
        found = parity.compare(
            parity.run_in_batches(module_network(module), images),
            parity.run_in_batches(parity.onnx_network(content), images),
            described,
        )
    except (RuntimeError, ValueError) as error:  # of the exporter, or a NeocogError
        reason = str(error).strip().partition("\n")[0]
        raise ExportError(f"{path} cannot be exported to ONNX ({reason}).") from error
    if not found.passed:
        raise ExportError(f"The network exported to ONNX differs: {found.describe()}.")
    return content
