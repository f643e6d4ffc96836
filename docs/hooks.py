"""MkDocs hooks: the command-line reference from typer, the Python reference, a check for requests.

MkDocs calls `on_page_markdown` for each page and `on_post_build` at the end.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMANDS, PYTHON = "<!-- the commands -->", "<!-- the public names -->"

# Whatever a browser fetches by itself. A link that a reader clicks may leave the site.
_TAG = re.compile(r"<(?:script|img|link|iframe|source|video|audio|embed|object)\b[^>]*>", re.I)
_ADDRESS = re.compile(r"""\b(?:src|srcset|href|data)\s*=\s*["']?\s*(?:https?:)?//[^"'\s>]+""", re.I)
_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?\s*(?:https?:)?//[^\"')\s]+", re.I)
_NO_FETCH = re.compile(r"""\brel\s*=\s*["']?(?:canonical|alternate|next|prev)\b""", re.I)


def external_requests(text: str) -> list[str]:
    """The addresses of other hosts that a browser would fetch to show this HTML or CSS."""
    tags = (tag for tag in _TAG.findall(text) if not _NO_FETCH.search(tag))
    return [a for tag in tags for a in _ADDRESS.findall(tag)] + _STYLE.findall(text)


def on_post_build(config: Any) -> None:
    """Fail the build if a page would fetch anything from another host."""
    for path in sorted(Path(config.site_dir).rglob("*")):
        if path.suffix in (".html", ".css"):
            found = external_requests(path.read_text("utf-8"))
            if found:
                raise SystemExit(f"{path} fetches from another host: {', '.join(found)}")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the placeholders of the two generated references."""
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, "\n".join(_commands()))
    if PYTHON in markdown:
        markdown = markdown.replace(PYTHON, "\n".join(_public_names()))
    return markdown


def _public_names() -> Iterator[str]:
    import neocog

    for name in neocog.__all__:
        if name == "__version__":
            continue
        value = getattr(neocog, name)
        if hasattr(value, "__qualname__"):
            yield f"::: {value.__module__}.{value.__qualname__}\n"


def _commands() -> Iterator[str]:
    import typer

    from neocog.cli.app import app

    for name, command in _tree(typer.main.get_command(app), "neocog"):
        yield f"## {name}\n"
        yield f"{_usage(name, command)}\n\n{_escaped(command.help)}\n"
        arguments = [p for p in command.params if p.param_type_name == "argument" and p.help]
        options = [p for p in command.params if p.param_type_name == "option"]
        for title, parameters in (("argument", arguments), ("option", options)):
            if parameters:
                yield f"| {title} | | default |\n|---|---|---|"
                yield "\n".join(map(_row, parameters)) + "\n"


def _tree(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    for key, child in command.commands.items():
        if hasattr(child, "commands"):
            yield from _tree(child, f"{name} {key}")
        else:
            yield f"{name} {key}", child


def _usage(name: str, command: Any) -> str:
    words = [
        parameter.metavar or (parameter.name.upper() if parameter.required else None)
        or f"[{parameter.name.upper()}]"
        for parameter in command.params
        if parameter.param_type_name == "argument"
    ]  # fmt: skip
    return f"```text\n{' '.join([name, *words, '[OPTIONS]'])}\n```"


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
    else:
        takes = "" if parameter.is_flag else f" {parameter.metavar or _kind(parameter)}"
        name = ", ".join(parameter.opts) + takes
    default = parameter.default
    if isinstance(parameter.show_default, str):
        default = parameter.show_default
    shown = "" if default in (None, False, ()) else f"{default}"
    return f"| `{name.replace('|', chr(92) + '|')}` | {_escaped(parameter.help)} | {shown} |"


def _kind(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    return {int: "N", float: "X", Path: "PATH"}.get(annotation, "TEXT")


def _escaped(text: str | None) -> str:
    """Help text as Markdown: only the characters that tables and HTML would take are escaped."""
    return re.sub(r"([|<*\[\]])", r"\\\1", text or "")
