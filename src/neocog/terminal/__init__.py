"""What people read in the terminal: tables, progress, and what to type next."""

import os

from rich.console import Console


def make_console(stderr: bool) -> Console:
    """A console that wraps nowhere but at a terminal's edge, and honours NO_COLOR."""
    console = Console(stderr=stderr, soft_wrap=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 160
    return console
