"""GeoPackage: the geometries of every layer of an SQLite database (OGC 12-128r19, §2.1)."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from collgs_async.area.places import refusal
from collgs_async.area.wellknown import parse_wkb
from collgs_async.query import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from collgs_async.area.places import Found

__all__ = ["read"]

_LAYERS = """
    SELECT g.table_name, g.column_name, g.srs_id, s.srs_name, upper(s.organization) || ':' || s.organization_coordsys_id
    FROM gpkg_geometry_columns AS g LEFT JOIN gpkg_spatial_ref_sys AS s ON s.srs_id = g.srs_id
"""
_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
"""How many bytes stand between header and geometry, by the kind of envelope."""


def read(path: Path, place: str, biggest: int) -> Iterator[Found]:
    """Read each geometry of each layer; `biggest` is the most bytes, for a view can be longer than its file."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            layers = database.execute(_LAYERS).fetchall()
            for table, column, srs_id, srs_name, code in layers:
                layer = f"{place}, layer {shown(table)}"
                if code != "EPSG:4326":
                    found = f"{code or f'srs_id {srs_id}'} ({srs_name or 'not described'})"
                    raise refusal(layer, "EPSG:4326 (WGS 84)", found)
                for number, blob in enumerate(_blobs(database, table, column), 1):
                    biggest -= len(blob)
                    if biggest < 0:
                        raise refusal(layer, "an area of interest", "more bytes of geometry than a file may have")
                    yield from _geometry(blob, f"{layer}, feature {number}")
    except sqlite3.Error as error:
        raise refusal(place, "a GeoPackage", f"a database that is none: {error}") from None


def _blobs(database: sqlite3.Connection, table: object, column: object) -> Iterator[bytes]:
    column, table = ('"' + str(name).replace('"', '""') + '"' for name in (column, table))
    for (blob,) in database.execute(f"SELECT {column} FROM {table}"):  # noqa: S608  (names cannot be bound, so quoted)
        yield blob if isinstance(blob, bytes) else b"" if blob is None else str(blob).encode()


def _geometry(blob: bytes, place: str) -> Iterator[Found]:
    if not blob:  # a feature may have no geometry
        return
    start = 8 + _ENVELOPES.get(blob[3] >> 1 & 7, 0) if len(blob) > 8 else 0
    if blob[:2] != b"GP" or not start:
        raise refusal(place, "a GeoPackage geometry", f"{len(blob)} bytes that are none")
    yield from parse_wkb(blob[start:], place)
