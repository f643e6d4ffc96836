"""Terminal output: tables, progress, and the commands to type next."""

import os
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from neocog.escaping import visible_block


class _SafeConsole(Console):
    """A console where no text acts on the terminal, whoever wrote it."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of what is printed, with hidden characters as escapes."""
        for segment in super().render(renderable, options):
            if segment.control is None:
                segment = segment._replace(text=visible_block(segment.text))
            yield segment


def make_console(stderr: bool) -> Console:
    """A console that wraps nowhere but at a terminal's edge, and honours NO_COLOR.

    What is printed on it cannot act on the terminal: hidden characters are shown as escapes.
    """
    console = _SafeConsole(stderr=stderr, soft_wrap=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 160
    return console
