"""The versions of Python and aiohttp whose internals are known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collgs_async.transfer.internals import are_known

PROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_every_python_that_the_project_names_is_known() -> None:
    named = re.findall(r"Python :: (3)\.(\d+)", PROJECT.read_text("utf-8"))

    assert named
    assert all(are_known((int(major), int(minor)), "cpython", "3.14.4") for major, minor in named)


@pytest.mark.parametrize(
    ("python", "implementation", "aiohttp_version"),
    [
        ((3, 10), "cpython", "3.14.5"),
        ((3, 15), "cpython", "3.14.5"),
        ((4, 0), "cpython", "3.14.5"),
        ((3, 11), "pypy", "3.14.5"),
        ((3, 11), "cpython", "3.13.9"),
        ((3, 11), "cpython", "3.15.0"),
        ((3, 11), "cpython", "3.140.0"),
        ((3, 11), "cpython", "4.0.0a1"),
        ((3, 11), "cpython", ""),
    ],
)
def test_other_versions_are_not(python: tuple[int, int], implementation: str, aiohttp_version: str) -> None:
    assert not are_known(python, implementation, aiohttp_version)
