"""The command line: parse, call one public function, print."""

from neocog.cli.app import main

__all__ = ["main"]
