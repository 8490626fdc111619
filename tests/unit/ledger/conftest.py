"""A ledger of an empty folder."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from collgs_async import Config
from collgs_async.ledger.paths import LedgerPaths
from collgs_async.ledger.schema import create_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def paths(tmp_path: Path) -> LedgerPaths:
    return LedgerPaths.of(Config(output_directory=tmp_path / "mirror"))


@pytest.fixture
def tables() -> Iterator[sqlite3.Connection]:
    """The tables in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    create_schema(connection)
    yield connection
    connection.close()
