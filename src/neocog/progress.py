"""The protocol by which long operations report progress."""

from typing import Protocol


class Progress(Protocol):
    """Called as work proceeds; a front end shows it as a bar or as lines, or ignores it."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that `done` of `total` units of a stage, such as `decode`, are finished."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Ignore progress: the default."""
