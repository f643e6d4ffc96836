"""The documents are true: commands exist, links lead somewhere, generated regions are current."""

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

from neocog.cli.app import app
from neocog.models import MODELS
from neocog.recipes import RECIPES

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
DOCS = ROOT / "docs"
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
TRANSLATED = sorted(DOCS.rglob("*.zh.md"))
BILINGUAL = [DOCS / "index.md", *sorted((DOCS / "tutorials").glob("[!.]*.md"))]


def script(name):
    """A script of `docs/`, which is no package, as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_every_path_of_the_tree_exists():
    tree = next(
        block for block in blocks(DOCS / "architecture.md") if block.startswith("src/neocog/")
    )
    for line in tree.splitlines():
        name = line.split()[0]
        parent = ROOT / "src" / "neocog" if line.startswith("  ") else ROOT
        assert (parent / name).exists(), name


def test_both_readmes_say_the_same():
    english, chinese = READMES
    assert commands(english) == commands(chinese)
    for mark in (r"^#+ ", r"^\|", r"^!\[", r"^- "):
        counts = [len(re.findall(mark, p.read_text("utf-8"), re.MULTILINE)) for p in READMES]
        assert counts[0] == counts[1], mark


@pytest.mark.parametrize("page", BILINGUAL, ids=lambda page: page.name)
def test_start_and_tutorials_are_in_both_languages(page):
    if page.name.endswith(".zh.md"):
        assert page.with_name(page.name.replace(".zh", "")).exists()
    else:
        assert page.with_suffix(".zh.md").exists()


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.name)
def test_a_translated_page_shows_the_same_commands_and_code(page):
    english = page.with_name(page.name.replace(".zh", ""))
    assert [c.replace(" --lang zh", "") for c in commands(page)] == commands(english)
    code = [re.findall(r"^```python\n(.*?)^```", p.read_text("utf-8"), re.DOTALL | re.MULTILINE)
            for p in (page, english)]  # fmt: skip
    assert code[0] == code[1]


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.name)
def test_a_chinese_page_links_to_chinese_pages_where_there_are_any(page):
    for target in re.findall(r"\]\(([^)#:]+)\.md", page.read_text("utf-8")):
        assert target.endswith(".zh") or not (page.parent / f"{target}.zh.md").exists(), target


def test_the_generated_regions_are_current():
    """Figures, networks, papers and recipes, in every page that has them."""
    generate = script("generate")
    for page in generate.pages():
        text = page.read_text("utf-8")
        assert generate.regenerated(page) == text, f"{page}: python docs/generate.py"


@pytest.mark.parametrize(
    ("page", "names"),
    [("recipes.md", RECIPES), ("networks.md", MODELS)],
    ids=["recipes", "networks"],
)
def test_everything_that_can_be_named_is_in_the_reference(page, names):
    text = (DOCS / "reference" / page).read_text("utf-8")
    assert not [name for name in names if f"| `{name}` |" not in text]


def test_every_network_is_among_the_papers():
    text = (DOCS / "papers.md").read_text("utf-8")
    assert not [name for name in MODELS if f"`{name}`" not in text]


def test_the_reference_of_commands_has_every_command():
    hooks = script("hooks")
    text = hooks.on_page_markdown((DOCS / "reference" / "commands.md").read_text("utf-8"))
    for command in app.registered_commands:
        assert f"## neocog {command.name or command.callback.__name__}\n" in text
    assert "## neocog demo convolution\n" in text
    assert "`--set FIELD=VALUE ...`" in text


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ('<script src="https://cdn.example/x.js"></script>', True),
        ("<script src=//cdn.example/x.js></script>", True),
        ('<link rel="stylesheet" href="https://fonts.example/css">', True),
        ('<img class=x src="http://example.org/a.png">', True),
        ("@import url('https://fonts.example/css');", True),
        ("body{background:url(//example.org/a.png)}", True),
        ('<link rel="canonical" href="https://example.org/">', False),
        ('<a href="https://example.org">a link</a>', False),
        ('<script src="assets/x.js"></script><img src="a.png">', False),
        ("body{background:url(a.png)} @import 'b.css';", False),
    ],
)
def test_a_page_that_asks_another_host_is_found(text, asks):
    assert bool(script("hooks").external_requests(text)) == asks


def test_the_version_is_in_the_changelog():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_file_is_an_address_book():
    """No registry's address, and nothing over a megabyte but images."""
    for path in ROOT.rglob("*"):
        if (
            path.is_file()
            and not {".git", ".venv", "site"} & set(path.parts)
            and path.suffix != ".png"
        ):
            assert path.stat().st_size < 1_000_000 or "cache" in str(path), path
