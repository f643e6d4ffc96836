"""The run folder: its file names and formats, known here and nowhere else."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neocog.errors import NeocogError, UsageError
from neocog.escaping import csv_cell
from neocog.files import write_atomic
from neocog.recipes import Recipe

MODEL_SUFFIX = ".safetensors"


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
        """Which picture is in which split, for folders."""
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
        """What the classifier says of each test picture, where they have paths."""
        return self.path / "predictions.csv"

    @property
    def plots_folder(self) -> Path:
        """The pictures drawn from the run."""
        return self.path / "plots"

    @property
    def report_file(self) -> Path:
        """The page that shows all of the run."""
        return self.path / "report.html"

    @property
    def explanations_folder(self) -> Path:
        """What `neocog explain` draws."""
        return self.path / "explain"

    def read_recipe(self) -> Recipe:
        """The recipe of the run. Raises NeocogError where it is missing or damaged."""
        return Recipe.from_json(_read_json(self.recipe_file)["recipe"])

    def read_command(self) -> str:
        """The command line that gave the run; empty where it was none."""
        return str(_read_json(self.recipe_file).get("command", ""))

    def write_recipe(self, recipe: Recipe, command: str) -> None:
        """Record the resolved recipe and the command line that gave it."""
        _write_json(self.recipe_file, {"command": command, "recipe": recipe.to_json()})

    def read_environment(self) -> dict[str, Any]:
        """What `write_environment` recorded."""
        return _read_json(self.environment_file)

    def write_environment(self, values: Mapping[str, Any]) -> None:
        """Record where, with what and on which data the run was made."""
        _write_json(self.environment_file, values)

    def write_split(self, paths: Mapping[str, Sequence[str]]) -> None:
        """Record which picture is in which split: `paths` are relative to their folder."""
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
        """Record the answer to each test picture, with the probabilities of all classes.

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

        A last line that a kill cut off is left out.
        """
        if not self.metrics_file.exists():
            return []
        lines = self.metrics_file.read_text("utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def write_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Replace the epochs' lines: a resumed run drops those after its checkpoint."""
        write_atomic(self.metrics_file, "".join(_line(line) for line in lines))

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        """Add the line of one more epoch."""
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(_line(line))

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
            path.mkdir(parents=True)
            return Run(path)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise NeocogError(
                f"The run folder {path} cannot be made ({error.strerror}).",
                "Choose another place: --runs FOLDER",
            ) from None


def claim(name: str, folder: Path) -> Run:
    """A new run folder called exactly `name`. Raises UsageError where it exists."""
    try:
        (folder / name).mkdir(parents=True)
    except FileExistsError:
        raise UsageError(
            f"{folder / name} exists, and a run is never overwritten.",
            f"Choose another --name, or go on with it: neocog train --resume {folder / name}",
        ) from None
    return Run(folder / name)


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
        if candidate.recipe_file.is_file():
            return candidate
    raise UsageError(
        f"There is no run {run!r}.",
        f"Runs in {folder}: {', '.join(r.path.name for r in known)}."
        if known
        else f"{folder} holds no runs yet. Train one: neocog train",
    )


def of_model_file(path: Path) -> Run | None:
    """The run that a model file is the model of, None where it lies elsewhere."""
    run = Run(path.parent)
    return run if run.model_file == path and run.recipe_file.is_file() else None


def shown_as(model_file: Path) -> str:
    """What a model file is called to people: its run's folder, or where it has none itself."""
    run = of_model_file(model_file)
    return str(run.path if run else model_file)


def is_run(text: str, folder: Path) -> bool:
    """Whether `text` names a run or a model file, rather than a picture."""
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
        raise NeocogError(f"{path} is missing or damaged ({error}).") from None
    if not isinstance(values, dict):
        raise NeocogError(f"{path} is damaged: it holds no JSON object.")
    return values
