"""Check an exported ONNX file again, without torch: its self-test, and the record of its run."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neocog.classifier import Classifier, load, model_path
from neocog.data import bare_name
from neocog.engines.onnx_runtime import HINT, OnnxEngine
from neocog.errors import DamagedFileError, NeocogError, UsageError
from neocog.evaluation.evaluate import splits_of
from neocog.export import parity, standalone
from neocog.export.parity import Parity
from neocog.model_card import network_digest, read_card_of
from neocog.runs import of_model_file, runs_folder


@dataclass(frozen=True)
class AccuracyCheck:
    """The accuracy on `n` images of `split`, and the recorded one, both 0..1."""

    split: str
    n: int
    accuracy: float
    recorded: float

    @property
    def passed(self) -> bool:
        """Whether as many predictions are right as on record."""
        return round(self.n * self.accuracy) == round(self.n * self.recorded)


@dataclass(frozen=True)
class ExportCheck:
    """The checks of an exported file; None for one that could not be made, as `notes` say.

    `selftest` compares the probabilities of the images in the file with those beside them.
    `labels` compares the run's test images with the recorded predictions: the labels must be the
    same; what was recorded on a GPU has other probabilities.
    """

    file: Path
    selftest: Parity | None
    labels: Parity | None
    accuracy: AccuracyCheck | None
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all checks that could be made passed."""
        parts = (self.selftest, self.accuracy)
        same = self.labels is None or self.labels.labels_differ == 0
        return same and all(part is None or part.passed for part in parts)

    def to_json(self) -> dict[str, Any]:
        """Return the value that `--json` prints."""
        return {**asdict(self), "file": str(self.file), "passed": self.passed}


def check_export(
    run: str | Path = "latest", *, int8: bool = False, runs_dir: Path | None = None
) -> ExportCheck:
    """Check the ONNX file of a run or of `latest`, or an ONNX file.

    The images of its self-test must give the probabilities beside them. If the run's test images
    are there, the accuracy and every label must be as recorded; int8 is not compared with the
    record, which is of the network before. Raises NeocogError if the file is missing, damaged or
    made of other weights, or if nothing of this can be checked.
    """
    path = model_path(str(run), runs_folder(runs_dir))
    file = path
    if path.suffix != ".onnx":
        file = path.with_suffix(".int8.onnx" if int8 else ".onnx")
    elif int8:
        raise UsageError(f"{path} is the file to check.", "Remove {int8}.", [("int8", None)])
    classifier = load(file, engine="onnx")
    engine = classifier.engine
    assert isinstance(engine, OnnxEngine), "it was asked for"
    if path != file:
        _check_weights(engine, file, path)
    selftest, labels, accuracy, notes = _selftest(classifier, engine, file), None, None, []
    if selftest is None:
        notes.append("The file has no self-test: `neocog export` adds one.")
    facts = classifier.facts.export
    if facts and facts.int8:
        notes.append("The recorded accuracy is that of the network before int8.")
    else:
        try:
            labels, accuracy = _compare_with_record(classifier, path)
        except NeocogError as error:
            notes.append(f"The run's own images were not used. {error.message}")
    if not (selftest or accuracy):
        raise NeocogError(f"There is nothing to check {file} with. {' '.join(notes)}", HINT)
    return ExportCheck(file, selftest, labels, accuracy, tuple(notes))


def _check_weights(engine: OnnxEngine, file: Path, model_file: Path) -> None:
    """Raise NeocogError if an ONNX file was made of other weights than those of the run."""
    made_of = engine.weights  # int8 does not say
    if made_of and made_of != network_digest(model_file, read_card_of(model_file)):
        raise NeocogError(
            f"{file} was exported from other weights than those in {model_file}.", HINT
        )


def _selftest(classifier: Classifier, engine: OnnxEngine, file: Path) -> Parity | None:
    """Run the self-test of a file; None if it has none."""
    text = engine.metadata.get(standalone.SELFTEST_KEY)
    if text is None:
        return None
    try:
        test = standalone.read_selftest(text, len(classifier.classes))
        images, files = parity.fit_files(test.files, classifier.preprocessing)
    except (ValueError, NeocogError) as error:
        raise DamagedFileError(f"{file} is damaged: its self-test {error}", HINT) from None
    if len(files) < len(test.files):
        raise DamagedFileError(f"{file} is damaged: its self-test has no images.", HINT)
    found = classifier.probabilities(images)
    return parity.compare(test.probabilities, found, "the self-test", test.tolerance)


def _compare_with_record(classifier: Classifier, path: Path) -> tuple[Parity | None, AccuracyCheck]:
    """Compare labels, if they are recorded, and accuracy with the record of a model file.

    Raises NeocogError if there is no record, or the test images are missing.
    """
    run = of_model_file(path)
    measured = (read_card_of(path) if run else classifier).facts.measured
    if measured is None or measured.split != "test":
        raise NeocogError("No accuracy on test images is recorded.")
    splits = splits_of(classifier, path)
    test, labels = splits.test, None
    probabilities = classifier.probabilities(test.images)
    right = float((probabilities.argmax(1) == test.labels).mean())
    recorded = run.read_probabilities() if run else None
    if recorded is not None and recorded.shape == probabilities.shape:
        name = f"test of {bare_name(splits.name)}"
        labels = parity.compare(recorded, probabilities, name, None)
    return labels, AccuracyCheck("test", len(test), right, measured.accuracy)
