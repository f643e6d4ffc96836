"""The run folder: its files. `records` has what is in them; no other module knows their names."""

import csv
import errno
import io
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from neocog.errors import (
    BusyError,
    DamagedFileError,
    NeocogError,
    NotFoundError,
    UnknownNameError,
    UsageError,
    WriteError,
)
from neocog.escaping import csv_cell
from neocog.json_fields import FieldError, MissingFieldError, short
from neocog.recipes import Recipe
from neocog.records import EpochMetrics, EvaluationRecord, RunInfo
from neocog.storage.atomic import append, make_folder, sweep, write_atomic

MODEL_SUFFIX = ".safetensors"
MODEL_SUFFIXES = (MODEL_SUFFIX, ".onnx")

# What environment.json says of the data, but a model file need not.
REQUIRED_OF_DATA = ("note", "classes", "image_shape", "sizes")


def runs_folder(folder: Path | None = None) -> Path:
    """Return the folder that contains the runs: `folder`, else `NEOCOG_RUNS`, else `./runs`."""
    return folder or Path(os.environ.get("NEOCOG_RUNS") or "runs")


@dataclass(frozen=True)
class Run:
    """The folder of a run and the files in it."""

    path: Path

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe, and the command that started the run."""
        return self.path / "recipe.json"

    @property
    def environment_file(self) -> Path:
        """Versions, device, threads, git commit, seed and a description of the data."""
        return self.path / "environment.json"

    @property
    def split_file(self) -> Path:
        """The split of each image, for custom datasets."""
        return self.path / "split.csv"

    @property
    def metrics_file(self) -> Path:
        """One line of JSON per epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint_file(self) -> Path:
        """The state from which training resumes, bit for bit."""
        return self.path / "checkpoint.pt"

    @property
    def model_file(self) -> Path:
        """The weights of the best epoch, with the model card in their metadata."""
        return self.path / f"model{MODEL_SUFFIX}"

    @property
    def onnx_file(self) -> Path:
        """The same model for the inference engines; exported when it is first needed."""
        return self.path / "model.onnx"

    @property
    def evaluation_file(self) -> Path:
        """The results on the test split."""
        return self.path / "evaluation.json"

    @property
    def predictions_file(self) -> Path:
        """The prediction for each test image, if they have paths."""
        return self.path / "predictions.csv"

    @property
    def probabilities_file(self) -> Path:
        """The probabilities of all classes for each test image, bit for bit."""
        return self.path / "probabilities.safetensors"

    @property
    def plots_folder(self) -> Path:
        """The plots of the run."""
        return self.path / "plots"

    @property
    def report_file(self) -> Path:
        """The HTML report of the run."""
        return self.path / "report.html"

    @property
    def explanations_folder(self) -> Path:
        """The output of `neocog explain`."""
        return self.path / "explain"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run, so that no other process trains it at the same time.

        The operating system releases the lock when this process ends, even if it is killed. Raises
        NeocogError, which names the process that has the lock.
        """
        from filelock import FileLock, Timeout  # needed for training only

        lock = FileLock(self.path / ".lock", blocking=False)
        try:
            with suppress(NotImplementedError):  # a file system without locks
                lock.acquire()
        except Timeout:
            raise BusyError(
                f"{self.path} is being trained by {self._lock_owner()}.",
                "Wait until it ends, or stop that process first: the run then continues from its "
                "last checkpoint.",
            ) from None
        except OSError as error:
            raise WriteError(
                f"{self.path} cannot be written ({error.strerror or error})."
            ) from None
        try:
            with suppress(OSError):
                values = {"process": os.getpid(), "host": socket.gethostname()}
                _write_json(self._lock_owner_file, values)
            yield
        finally:
            with suppress(OSError):
                self._lock_owner_file.unlink()
            lock.release()

    @property
    def _lock_owner_file(self) -> Path:
        return self.path / ".lock.json"

    def _lock_owner(self) -> str:
        try:
            owner = _read_json(self._lock_owner_file)
        except NeocogError:  # the other process has not written it yet
            return "another process"
        return f"process {owner.get('process')} on {owner.get('host')}"

    def read_recipe(self) -> Recipe:
        """Return the recipe of the run. Raises NeocogError if it is missing or damaged."""
        values = _read_json(self.recipe_file).get("recipe")
        if not isinstance(values, dict):
            raise _damaged(self.recipe_file, "it holds no recipe", _RESTORE)
        try:
            return Recipe.from_json(values)
        except (TypeError, ValueError) as error:  # also UsageError: the file is wrong, not the user
            raise _damaged(self.recipe_file, str(error).rstrip("."), _RESTORE) from None

    def read_command(self) -> str:
        """Return the command line that started the run; empty if there was none."""
        return str(_read_json(self.recipe_file).get("command", ""))

    def write_recipe(self, recipe: Recipe, command: str) -> None:
        """Write the resolved recipe and the command line that started the run."""
        _write_json(self.recipe_file, {"command": command, "recipe": recipe.to_json()})

    def read_environment(self) -> RunInfo:
        """Read `environment.json`. Raises NeocogError if it is missing or damaged."""
        values = _read_json(self.environment_file)
        try:
            info = RunInfo.from_json(values)
            missing = [key for key in REQUIRED_OF_DATA if key not in values["data"]]
            if missing:
                raise MissingFieldError(missing[0])
        except FieldError as error:
            raise _with_wrong_value(self.environment_file, error) from None
        return info

    def write_environment(self, info: RunInfo) -> None:
        """Write the machine, the software versions and the data of the run."""
        _write_json(self.environment_file, info.to_json())

    def write_split(self, paths: Mapping[str, Sequence[str]]) -> None:
        """Write the split of each image; `paths` maps splits to paths relative to the dataset."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "split"])
        for split, members in paths.items():
            writer.writerows((csv_cell(path), split) for path in members)
        write_atomic(self.split_file, text.getvalue())

    def write_predictions(
        self,
        classes: Sequence[str],
        paths: Sequence[str],
        labels: Sequence[int],
        probabilities: Iterable[Sequence[float]],
    ) -> None:
        """Write the prediction for each test image with the probabilities of all classes.

        `labels` are class indices, and `probabilities` has shape `(N, K)`. Names are escaped by
        `escaping.csv_cell`.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = [csv_cell(name) for name in classes]
        writer.writerow(["path", "truth", "label", "probability", *names])
        for path, label, row in zip(paths, labels, probabilities, strict=True):
            predicted = max(range(len(classes)), key=row.__getitem__)
            numbers = [f"{probability:.6f}" for probability in row]
            cells = [csv_cell(path), names[label], names[predicted], numbers[predicted]]
            writer.writerow([*cells, *numbers])
        write_atomic(self.predictions_file, text.getvalue())

    def write_probabilities(self, probabilities: NDArray[np.float32]) -> None:
        """Write the probabilities, `(N, K)`, of the test images in their order."""
        content = save({"probabilities": np.ascontiguousarray(probabilities)})
        write_atomic(self.probabilities_file, content)

    def read_probabilities(self) -> NDArray[np.float32] | None:
        """Read the probabilities of the test images; None if they are not recorded.

        Raises NeocogError if the file is damaged.
        """
        path = self.probabilities_file
        if not path.exists():
            return None
        try:
            found = load(path.read_bytes())["probabilities"]
        except (OSError, SafetensorError, KeyError) as error:
            raise _damaged(path, str(error), _RESTORE) from None
        if found.dtype != np.float32 or found.ndim != 2:
            raise _damaged(path, f"it has {found.dtype} of {found.shape}", _RESTORE)
        return found

    def read_metrics(self) -> list[EpochMetrics]:
        """Return the metrics of each completed epoch, in order.

        An incomplete last line, left by a killed process, is ignored. Raises NeocogError if another
        line is damaged.
        """
        if not self.metrics_file.exists():
            return []
        try:
            text = self.metrics_file.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise _damaged(self.metrics_file, str(error), self._resume_hint()) from None
        lines = []
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                values = json.loads(line)
                if type(values["epoch"]) is not int:
                    raise TypeError
            except (ValueError, KeyError, TypeError):
                reason = f"line {number} does not describe an epoch"
                raise _damaged(self.metrics_file, reason, self._resume_hint()) from None
            lines.append(values)
        return [self._epoch_metrics(values) for values in lines]

    def _epoch_metrics(self, values: Mapping[str, Any]) -> EpochMetrics:
        try:
            return EpochMetrics.from_json(values)
        except FieldError as error:
            what = "number" if "number" in error.expected else "value"
            reason = f"epoch {values['epoch']} has no {what} {error.name!r}"
            raise _damaged(self.metrics_file, reason, self._resume_hint()) from None

    def read_epochs(self) -> list[EpochMetrics]:
        """Like `read_metrics`, but raise NeocogError if there is no epoch."""
        epochs = self.read_metrics()
        if not epochs:
            raise _damaged(self.metrics_file, "it contains no epochs", self._resume_hint())
        return epochs

    def _resume_hint(self) -> str:
        return f"It is restored from the checkpoint by: neocog train --resume {self.path}"

    def write_metrics(self, epochs: Sequence[EpochMetrics]) -> None:
        """Replace all lines; a resumed run drops the epochs after its checkpoint."""
        write_atomic(self.metrics_file, "".join(map(_line, epochs)))

    def append_metrics(self, epoch: EpochMetrics) -> None:
        """Append the line of an epoch and flush it to disk."""
        append(self.metrics_file, _line(epoch))

    def read_evaluation(self) -> EvaluationRecord | None:
        """Read the results on the test split; None if the run has not been evaluated.

        Raises NeocogError if the file is damaged.
        """
        if not self.evaluation_file.exists():
            return None
        try:
            return EvaluationRecord.from_json(_read_json(self.evaluation_file))
        except FieldError as error:
            raise _with_wrong_value(self.evaluation_file, error) from None

    def write_evaluation(self, record: EvaluationRecord) -> None:
        """Write the results on the test split."""
        _write_json(self.evaluation_file, record.to_json())


def create(base: str, folder: Path) -> Run:
    """Create an empty run folder `base`-N below `folder`, with the first N that is free.

    Raises NeocogError if the folder cannot be created.
    """
    number = 1
    while True:
        path = folder / f"{base}-{number}"
        try:
            make_folder(path, exist_ok=False)
            return Run(path)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise _cannot_make(path, error) from None


def create_named(name: str, folder: Path) -> Run:
    """Create a run folder called `name`.

    Raises UsageError if it exists or the name is not allowed, and NeocogError if the folder cannot
    be created.
    """
    check_name(name)
    path = folder / name
    try:
        make_folder(path, exist_ok=False)
    except FileExistsError:
        if not Run(path).recipe_file.is_file():
            raise UsageError(
                f"{path} exists, and is not a run that could be continued.",
                f"Choose another {{name}}, or delete it if nothing in it is needed: {path}",
                [("name", None)],
            ) from None
        raise UsageError(
            f"{path} exists, and runs are never overwritten.",
            f"Choose another {{name}}, or continue it: neocog train --resume {path}",
            [("name", None)],
        ) from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
            raise UsageError(
                f"No folder can be named {short(name)} ({error.strerror}).",
                "Choose a shorter {name}, of letters, digits and dashes.",
                [("name", None)],
            ) from None
        raise _cannot_make(path, error) from None
    return Run(path)


def check_name(name: str) -> None:
    """Raise UsageError for a name that is a path, or that commands would not take for a run."""
    if len(PurePath(name).parts) > 1 or "\\" in name:
        raise UsageError(
            f"A run's name is the name of one folder, not a path: {short(name)}.",
            "To put the run elsewhere: {settings}",
            [("runs_dir", "FOLDER")],
        )
    if name == "latest" or name.endswith(MODEL_SUFFIXES) or not name.strip(" ."):
        meaning = "the newest run" if name == "latest" else "something else"
        if name.endswith(MODEL_SUFFIXES):
            meaning = "a model file"
        raise UsageError(
            f"A run cannot be named {name!r}: every command takes that for {meaning}.",
            "Choose another {name}, or none.",
            [("name", None)],
        )


def sweep_leftovers(folder: Path) -> None:
    """Delete the temporary files that killed processes left in the runs below `folder`."""
    for run in map(Run, folder.glob("*")):
        if run.environment_file.is_file():
            for subfolder in (run.path, run.plots_folder, run.explanations_folder):
                sweep(subfolder)


def _cannot_make(path: Path, error: OSError) -> NeocogError:
    return WriteError(
        f"The run folder {path} cannot be created ({error.strerror}).",
        "Choose another place: {settings}",
        [("runs_dir", "FOLDER")],
    )


def find(run: str, folder: Path, with_model: bool = False) -> Run:
    """Find a run by its path, its name below `folder` or `latest`.

    With `with_model`, `latest` is the newest run that has a model, if any has one. Raises
    UsageError, which lists the existing runs.
    """
    known = sorted(
        (Run(path) for path in folder.glob("*") if Run(path).recipe_file.is_file()),
        key=lambda r: (r.recipe_file.stat().st_mtime_ns, r.path.name),
    )
    if run == "latest":
        if not known:
            raise UnknownNameError(f"There is no run in {folder} yet.", "Train one: neocog train")
        ready = [r for r in known if r.model_file.is_file()] if with_model else []
        return (ready or known)[-1]
    for candidate in (Run(Path(run)), Run(folder / run)):
        if os.path.isfile(candidate.recipe_file):  # noqa: PTH113 - a name may be too long
            return candidate
    for candidate in (Run(Path(run)), Run(folder / run)):
        if os.path.isfile(candidate.environment_file):  # noqa: PTH113
            raise NotFoundError(
                f"{candidate.path} has no recipe.json: it was stopped before training began, or "
                "the file was deleted.",
                "It cannot be continued. Train again with the same command and "
                f"another {{name}}; {candidate.path} can be deleted.",
                [("name", None)],
            )
    raise UnknownNameError(
        f"There is no run {short(run)}.",
        f"Runs in {folder}: {', '.join(r.path.name for r in known)}."
        if known
        else f"{folder} holds no runs yet. Train one: neocog train",
    )


def of_model_file(path: Path) -> Run | None:
    """Return the run that a model file belongs to, or None if it is not in a run folder."""
    run = Run(path.parent)
    return run if run.model_file == path and run.recipe_file.is_file() else None


def display_name(model_file: Path) -> str:
    """Return the name to show for a model file: the folder of its run, or else its own path."""
    run = of_model_file(model_file)
    return str(run.path if run else model_file)


def is_run(text: str, folder: Path) -> bool:
    """Whether `text` is a run or a model file, not an image."""
    if text == "latest" or text.endswith(MODEL_SUFFIXES):
        return True
    return any(os.path.isfile(Run(p).recipe_file) for p in (Path(text), folder / text))  # noqa: PTH113 - a name may be too long


def _line(epoch: EpochMetrics) -> str:
    return json.dumps(epoch.to_json(), ensure_ascii=False) + "\n"


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{path} is missing or damaged ({error}).", _RESTORE) from None
    except RecursionError:
        raise _damaged(path, "it is nested too deeply", _RESTORE) from None
    if not isinstance(values, dict):
        raise _damaged(path, "it contains no JSON object", _RESTORE)
    return values


_RESTORE = "Restore the file, or train again."


def _damaged(path: Path, reason: str, hint: str) -> NeocogError:
    return DamagedFileError(f"{path} is damaged: {reason}.", hint)


def _with_wrong_value(path: Path, error: FieldError) -> NeocogError:
    """Return the error for a file that lacks a value or has one of another type."""
    missing = isinstance(error, MissingFieldError)
    reason = f"it has no {error.name!r}" if missing else f"its {error.name!r} is {error.shown}"
    return _damaged(path, reason, _RESTORE)
