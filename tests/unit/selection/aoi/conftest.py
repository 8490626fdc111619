"""What the tests of coordinate systems share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from collgs_async.selection.aoi import reprojection

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def without_pyproj(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation without the package."""
    reprojection._transformer.cache_clear()
    monkeypatch.setitem(sys.modules, "pyproj", None)
    yield
    reprojection._transformer.cache_clear()
