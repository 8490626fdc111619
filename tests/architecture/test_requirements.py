"""What the package needs is what `pyproject.toml` asks for, each with its lowest version."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import collgs_async

PACKAGE = Path(collgs_async.__file__).parent
ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def imported_packages() -> set[str]:
    """Every package that ours imports and that is neither ours nor Python's."""
    names = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"collgs_async"}


def requirements() -> dict[str, str]:
    """Each requirement of the package and of its extras, with what is said of its version."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    found = (re.match(r"([A-Za-z0-9_-]+)(?:\[.*?\])?\s*([^;]*)", line) for lines in lists for line in lines)
    return {match[1].replace("-", "_"): match[2].strip() for match in found if match}


def test_what_is_imported_is_asked_for() -> None:
    assert set() == imported_packages() - set(requirements())


def test_each_requirement_of_a_run_names_its_lowest_version() -> None:
    asked = requirements()

    assert [] == [name for name in imported_packages() & set(asked) if not re.match(r">=[0-9]", asked[name])]


def test_ci_runs_the_suite_with_the_lowest_versions() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")

    assert "--resolution lowest-direct" in script
