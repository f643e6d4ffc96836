"""What the documents say is so: every command exists, both READMEs say the same."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from neocog.cli import app
from neocog.recipes import RECIPES

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page):
    return re.findall(r"^```\w*\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def commands(page):
    """What a reader may type, without its comment."""
    lines = [line.split("#")[0].strip() for block in blocks(page) for line in block.splitlines()]
    return [line for line in lines if line.startswith(("neocog ", "make ", "pip "))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_named_exists(page):
    known = {(c.name or c.callback.__name__) for c in app.registered_commands}
    known |= {group.name for group in app.registered_groups}
    text = page.read_text("utf-8")
    named = set(re.findall(r"`neocog (\w+)", text)) | {
        line.split()[1] for line in commands(page) if line.startswith("neocog ")
    }
    assert named <= known
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in commands(page) if line.startswith("make ")} <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_every_path_of_the_tree_exists(page):
    tree = next(block for block in blocks(page) if block.startswith("src/neocog/"))
    for line in tree.splitlines():
        name = line.split()[0]
        parent = ROOT / "src" / "neocog" if line.startswith("  ") else ROOT
        assert (parent / name).exists(), name


def test_both_readmes_say_the_same():
    english, chinese = READMES
    assert commands(english) == commands(chinese)
    for mark in (r"^#+ ", r"^\|", r"^!\["):
        counts = [len(re.findall(mark, p.read_text("utf-8"), re.MULTILINE)) for p in READMES]
        assert counts[0] == counts[1], mark
    for name in RECIPES:
        assert all(f"`{name}`" in page.read_text("utf-8") for page in READMES), name


def test_the_table_of_figures_is_what_the_results_give():
    script = ROOT / "benchmarks" / "figures.py"
    command = [sys.executable, str(script), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


def test_the_version_is_in_the_changelog():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_file_is_an_address_book():
    """No registry's address, and nothing over a megabyte but pictures."""
    for path in ROOT.rglob("*"):
        if path.is_file() and not {".git", ".venv"} & set(path.parts) and path.suffix != ".png":
            assert path.stat().st_size < 1_000_000 or "cache" in str(path), path
