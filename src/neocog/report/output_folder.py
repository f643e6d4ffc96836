"""The folder for the images and pages about a model."""

from pathlib import Path

from neocog.errors import UsageError
from neocog.runs import of_model_file


def make_output_folder(out: Path | None, model: Path) -> Path:
    """Create `out`, by default the folder `explain` of the run that `model` belongs to.

    Raises UsageError if it cannot be created.
    """
    run = of_model_file(model)
    folder = out or (run.explanations_folder if run else Path("explain"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"The folder {folder} cannot be created ({error.strerror}).",
            "Choose another one: {settings}",
            [("out", "DIR")],
        ) from None
    return folder
