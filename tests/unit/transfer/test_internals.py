"""The versions of Python and aiohttp whose internals are known."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import aiohttp
import pytest

from collgs_async.transfer.internals import are_tested

PROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_the_versions_in_use_are_tested() -> None:
    """Otherwise all bodies would be read through the event loop, and no other test of speed would be one."""
    assert are_tested(sys.version_info[:2], sys.implementation.name, aiohttp.__version__)


def test_every_python_that_the_project_names_is_tested() -> None:
    named = re.findall(r"Python :: (3)\.(\d+)", PROJECT.read_text("utf-8"))

    assert named
    assert all(are_tested((int(major), int(minor)), "cpython", "3.14.4") for major, minor in named)


@pytest.mark.parametrize(
    ("python", "implementation", "aiohttp_version"),
    [
        ((3, 10), "cpython", "3.14.5"),
        ((3, 14), "cpython", "3.14.5"),
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
    assert not are_tested(python, implementation, aiohttp_version)
