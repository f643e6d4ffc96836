"""The run folder: its file names and formats, known here and nowhere else."""

import csv
import errno
import io
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neocog.errors import NeocogError, UsageError
from neocog.escaping import csv_cell
from neocog.recipes import Recipe
from neocog.storage.atomic import append, make_folder, sweep, write_atomic

MODEL_SUFFIX = ".safetensors"

# What commands rely on in environment.json, and in its "data".
ENVIRONMENT: dict[str, type | tuple[type, ...]] = {
    "device": str,
    "started": str,
    "read_seconds": (int, float),
    "data": dict,
}
DATA: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "note": str,
    "classes": list,
    "image_shape": list,
    "sizes": dict,
    "fingerprints": dict,
}


def runs_folder(named: Path | None = None) -> Path:
    """Where runs are kept: `named`, else `NEOCOG_RUNS`, else `./runs`."""
    return named or Path(os.environ.get("NEOCOG_RUNS") or "runs")


@dataclass(frozen=True)
class Run:
    """One run's folder and the files in it."""

    path: Path

    @property
    def recipe_file(self) -> Path:
        """The whole resolved recipe, with the command that gave it."""
        return self.path / "recipe.json"

    @property
    def environment_file(self) -> Path:
        """Versions, device, threads, git commit, seed, and what the data were."""
        return self.path / "environment.json"

    @property
    def split_file(self) -> Path:
        """Which image is in which split, for folders."""
        return self.path / "split.csv"

    @property
    def metrics_file(self) -> Path:
        """One JSON line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint_file(self) -> Path:
        """Everything needed to go on, bit for bit."""
        return self.path / "checkpoint.pt"

    @property
    def model_file(self) -> Path:
        """The best epoch's weights, which describe themselves."""
        return self.path / f"model{MODEL_SUFFIX}"

    @property
    def evaluation_file(self) -> Path:
        """What the test split said."""
        return self.path / "evaluation.json"

    @property
    def predictions_file(self) -> Path:
        """What the classifier says of each test image, where they have paths."""
        return self.path / "predictions.csv"

    @property
    def plots_folder(self) -> Path:
        """The images drawn from the run."""
        return self.path / "plots"

    @property
    def report_file(self) -> Path:
        """The page that shows all of the run."""
        return self.path / "report.html"

    @property
    def explanations_folder(self) -> Path:
        """What `neocog explain` draws."""
        return self.path / "explain"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run while it is trained, so that no other process trains it, too.

        The system releases it when this process dies, however it dies. Raises NeocogError that
        says which process holds it.
        """
        from filelock import FileLock, Timeout  # training alone needs it

        lock = FileLock(self.path / ".lock", blocking=False)
        try:
            with suppress(NotImplementedError):  # a file system without locks
                lock.acquire()
        except Timeout:
            raise NeocogError(
                f"{self.path} is being trained by {self._holder()}.",
                "Wait until it ends, or stop that process first: the run then goes on from its "
                "last checkpoint.",
            ) from None
        except OSError as error:
            raise NeocogError(
                f"{self.path} cannot be written ({error.strerror or error})."
            ) from None
        try:
            with suppress(OSError):
                values = {"process": os.getpid(), "host": socket.gethostname()}
                _write_json(self._holder_file, values)
            yield
        finally:
            with suppress(OSError):
                self._holder_file.unlink()
            lock.release()

    @property
    def _holder_file(self) -> Path:
        return self.path / ".lock.json"

    def _holder(self) -> str:
        try:
            found = _read_json(self._holder_file)
        except NeocogError:  # it has only just begun
            return "another process"
        return f"process {found.get('process')} on {found.get('host')}"

    def read_recipe(self) -> Recipe:
        """The recipe of the run. Raises NeocogError where it is missing or damaged."""
        values = _read_json(self.recipe_file).get("recipe")
        if not isinstance(values, dict):
            raise _damaged(self.recipe_file, "it holds no recipe", _ANEW)
        try:
            return Recipe.from_json(values)
        except (TypeError, ValueError) as error:  # UsageError is one: nobody typed this
            raise _damaged(self.recipe_file, str(error).rstrip("."), _ANEW) from None

    def read_command(self) -> str:
        """The command line that gave the run; empty where it was none."""
        return str(_read_json(self.recipe_file).get("command", ""))

    def write_recipe(self, recipe: Recipe, command: str) -> None:
        """Record the resolved recipe and the command line that gave it."""
        _write_json(self.recipe_file, {"command": command, "recipe": recipe.to_json()})

    def read_environment(self) -> dict[str, Any]:
        """What `write_environment` recorded. Raises NeocogError where it is missing or damaged."""
        values = _read_json(self.environment_file)
        _check_values(self.environment_file, values, ENVIRONMENT)
        _check_values(self.environment_file, values["data"], DATA)
        for facts, kind in (("sizes", int), ("fingerprints", str)):
            splits = dict.fromkeys(("train", "validation", "test"), kind)
            _check_values(self.environment_file, values["data"][facts], splits)
        return values

    def write_environment(self, values: Mapping[str, Any]) -> None:
        """Record where, with what and on which data the run was made."""
        _write_json(self.environment_file, values)

    def write_split(self, paths: Mapping[str, Sequence[str]]) -> None:
        """Record which image is in which split: `paths` are relative to their folder."""
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
        """Record the answer to each test image, with the probabilities of all classes.

        No cell is a formula: see `escaping.csv_cell`.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = [csv_cell(name) for name in classes]
        writer.writerow(["path", "truth", "label", "probability", *names])
        for path, label, row in zip(paths, labels, probabilities, strict=True):
            best = max(range(len(classes)), key=row.__getitem__)
            shares = [f"{share:.6f}" for share in row]
            cells = [csv_cell(path), names[label], names[best], shares[best]]
            writer.writerow([*cells, *shares])
        write_atomic(self.predictions_file, text.getvalue())

    def read_metrics(self) -> list[dict[str, Any]]:
        """One dictionary an epoch, in order; empty where no epoch has ended.

        A last line that a kill cut off is left out. Raises NeocogError where another is damaged.
        """
        if not self.metrics_file.exists():
            return []
        try:
            text = self.metrics_file.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise _damaged(self.metrics_file, str(error), self._rebuilt()) from None
        found = []
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                values = json.loads(line)
                if type(values["epoch"]) is not int:
                    raise TypeError
            except (ValueError, KeyError, TypeError):
                reason = f"line {number} does not describe an epoch"
                raise _damaged(self.metrics_file, reason, self._rebuilt()) from None
            found.append(values)
        return found

    def read_epochs(self) -> list[dict[str, Any]]:
        """As `read_metrics`, of a run with a model. Raises NeocogError where no epoch is there."""
        lines = self.read_metrics()
        if not lines or not all(_is_number(line.get("time_seconds")) for line in lines):
            reason = "an epoch has no time_seconds" if lines else "it holds no epoch"
            raise _damaged(self.metrics_file, reason, self._rebuilt())
        return lines

    def _rebuilt(self) -> str:
        return f"It is restored from the checkpoint by: neocog train --resume {self.path}"

    def write_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Replace the epochs' lines: a resumed run drops those after its checkpoint."""
        write_atomic(self.metrics_file, "".join(_line(line) for line in lines))

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Add the line of one more epoch; it is on disk afterwards."""
        append(self.metrics_file, _line(line))

    def read_evaluation(self) -> dict[str, Any] | None:
        """What `write_evaluation` recorded, None where the run was not evaluated yet."""
        return _read_json(self.evaluation_file) if self.evaluation_file.exists() else None

    def write_evaluation(self, values: Mapping[str, Any]) -> None:
        """Record what the test split said."""
        _write_json(self.evaluation_file, values)


def create(base: str, folder: Path) -> Run:
    """A new, empty run folder `base`-N below `folder`; an existing one is never taken.

    Raises NeocogError where the folder cannot be made.
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
    """A new run folder called exactly `name`.

    Raises UsageError where it exists or no folder can be called so, NeocogError where it cannot be
    made.
    """
    check_name(name)
    path = folder / name
    try:
        make_folder(path, exist_ok=False)
    except FileExistsError:
        if not Run(path).recipe_file.is_file():
            raise UsageError(
                f"{path} exists, and it holds no run that could go on.",
                f"Choose another --name, or delete it if nothing in it is needed: {path}",
            ) from None
        raise UsageError(
            f"{path} exists, and a run is never overwritten.",
            f"Choose another --name, or go on with it: neocog train --resume {path}",
        ) from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.EINVAL):
            raise UsageError(
                f"No folder can be named {shortened(name)} ({error.strerror}).",
                "Choose a shorter --name, of letters, digits and dashes.",
            ) from None
        raise _cannot_make(path, error) from None
    return Run(path)


def check_name(name: str) -> None:
    """Raise UsageError for a run's name that commands would take for something else."""
    if name == "latest" or name.endswith(MODEL_SUFFIX) or not name.strip(" ."):
        meaning = "the newest run" if name == "latest" else "something else"
        if name.endswith(MODEL_SUFFIX):
            meaning = "a model file"
        raise UsageError(
            f"A run cannot be named {name!r}: every command takes that for {meaning}.",
            "Choose another --name, or leave it out.",
        )


def sweep_leftovers(folder: Path) -> None:
    """Delete the temporary files that killed processes left in the runs below `folder`."""
    for run in map(Run, folder.glob("*")):
        if run.environment_file.is_file():
            for below in (run.path, run.plots_folder, run.explanations_folder):
                sweep(below)


def shortened(name: str, length: int = 60) -> str:
    """A name as an error shows it, quoted, its middle left out where it is long."""
    half = length // 2
    return repr(name if len(name) <= length else f"{name[:half]}...{name[-half:]}")


def _cannot_make(path: Path, error: OSError) -> NeocogError:
    return NeocogError(
        f"The run folder {path} cannot be made ({error.strerror}).",
        "Choose another place: --runs FOLDER",
    )


def find(run: str, folder: Path, with_model: bool = False) -> Run:
    """The run that was typed: a folder, a run's name below `folder`, or `latest`.

    `with_model` makes `latest` the newest run that has a model, where there is one. Raises
    UsageError naming the runs there are.
    """
    known = sorted(
        (Run(path) for path in folder.glob("*") if Run(path).recipe_file.is_file()),
        key=lambda r: (r.recipe_file.stat().st_mtime_ns, r.path.name),
    )
    if run == "latest":
        if not known:
            raise UsageError(f"There is no run in {folder} yet.", "Train one: neocog train")
        ready = [r for r in known if r.model_file.is_file()] if with_model else []
        return (ready or known)[-1]
    for candidate in (Run(Path(run)), Run(folder / run)):
        if os.path.isfile(candidate.recipe_file):  # noqa: PTH113 - a name may be too long
            return candidate
    for candidate in (Run(Path(run)), Run(folder / run)):
        if os.path.isfile(candidate.environment_file):  # noqa: PTH113
            raise NeocogError(
                f"{candidate.path} has no recipe.json: it was stopped before training began, or "
                "the file was deleted.",
                "There is nothing to go on with. Train anew with the command that you used, and "
                f"another --name; {candidate.path} can be deleted.",
            )
    raise UsageError(
        f"There is no run {shortened(run)}.",
        f"Runs in {folder}: {', '.join(r.path.name for r in known)}."
        if known
        else f"{folder} holds no runs yet. Train one: neocog train",
    )


def of_model_file(path: Path) -> Run | None:
    """The run that a model file is the model of, None where it lies elsewhere."""
    run = Run(path.parent)
    return run if run.model_file == path and run.recipe_file.is_file() else None


def display_name(model_file: Path) -> str:
    """What a model file is called to people: its run's folder, or where it has none itself."""
    run = of_model_file(model_file)
    return str(run.path if run else model_file)


def is_run(text: str, folder: Path) -> bool:
    """Whether `text` names a run or a model file, rather than an image."""
    if text == "latest" or text.endswith(MODEL_SUFFIX):
        return True
    return any(os.path.isfile(Run(p).recipe_file) for p in (Path(text), folder / text))  # noqa: PTH113 - a name may be too long


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    write_atomic(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise NeocogError(f"{path} is missing or damaged ({error}).", _ANEW) from None
    except RecursionError:
        raise _damaged(path, "it is nested too deeply", _ANEW) from None
    if not isinstance(values, dict):
        raise _damaged(path, "it holds no JSON object", _ANEW)
    return values


_ANEW = "Put back the file as it was, or train anew."


def _damaged(path: Path, reason: str, hint: str) -> NeocogError:
    return NeocogError(f"{path} is damaged: {reason}.", hint)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_values(
    path: Path, values: dict[str, Any], kinds: Mapping[str, type | tuple[type, ...]]
) -> None:
    """Raise NeocogError where one of `values` is missing or of another kind."""
    for name, kind in kinds.items():
        if name not in values:
            raise _damaged(path, f"it has no {name!r}", _ANEW)
        if not isinstance(values[name], kind):
            raise _damaged(path, f"its {name!r} is {values[name]!r:.60}", _ANEW)
