"""Read GeoPackage: the geometries of every layer of an SQLite database (OGC 12-128r19, §2.1)."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.text import plural
from collgs_async.selection.aoi.places import check_count, refusal
from collgs_async.selection.aoi.reprojection import MissingPyprojError, reprojected
from collgs_async.selection.aoi.systems import read_system
from collgs_async.selection.aoi.wellknown import parse_wkb

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from collgs_async.selection.aoi.places import ParsedGeometry, ParseNotes
    from collgs_async.selection.aoi.reprojection import Reprojection

__all__ = ["SIDE_FILES", "read"]

SIDE_FILES: Final = ("-wal", "-journal")
"""Suffixes of SQLite's files beside a database, which hold changes to apply or to roll back."""

_LAYERS = """
    SELECT g.table_name, g.column_name, g.srs_id, s.srs_name,
        upper(s.organization) || ':' || s.organization_coordsys_id, s.definition
    FROM gpkg_geometry_columns AS g LEFT JOIN gpkg_spatial_ref_sys AS s ON s.srs_id = g.srs_id
"""
_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
"""Size of the envelope between header and geometry in bytes, by its code."""

_EXTENDED: Final = 0x20
_STEPS_EACH: Final = 10**6
_MOST_STEPS: Final = 500
"""Limit per layer in millions of SQLite instructions, some seconds of work, since a view may never end."""


def read(content: Mapping[str, bytes], place: str, biggest: int, notes: ParseNotes) -> Iterator[ParsedGeometry]:
    """Yield each geometry of each layer in longitude and latitude.

    A copy is opened, since SQLite would write into the user's folder, or fail where that is read-only.

    Parameters
    ----------
    content
        The database under the empty string, and its `SIDE_FILES` by suffix.
    place
        Its name, for messages.
    biggest
        Limit on bytes of geometry, since a view can be longer than its file.
    notes
        Receives the names of skipped layers.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder, "area.gpkg")
        for suffix, data in content.items():
            path.with_name(path.name + suffix).write_bytes(data)
        try:
            with contextlib.closing(sqlite3.connect(path)) as database:
                yield from _layers(database, place, biggest, notes)
        except sqlite3.Error as error:
            raise refusal(place, "a GeoPackage", f"a database that is none: {error}") from None


def _layers(database: sqlite3.Connection, place: str, biggest: int, notes: ParseNotes) -> Iterator[ParsedGeometry]:
    for pragma in ("trusted_schema = OFF", "temp_store = FILE", "query_only = ON"):
        database.execute(f"PRAGMA {pragma}")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, biggest)
    refused: dict[str, str] = {}
    layers = database.execute(_LAYERS).fetchall()
    for table, column, *system in layers:
        layer = f"{place}, layer {quote_value(table)}"
        steps = itertools.count(1)
        database.set_progress_handler(partial(_is_enough, steps), _STEPS_EACH)
        try:
            reprojection = _layer_system(system, layer, notes)
            rows = database.execute(_select(table, column))
        except (ConfigError, sqlite3.OperationalError) as error:
            if _is_enough(steps):
                raise _endless(layer) from None
            refused[layer] = str(error).removeprefix(f"{layer}: ")
            continue
        try:
            for number, (value,) in enumerate(rows, 1):
                blob = value if isinstance(value, bytes) else b"" if value is None else str(value).encode()
                biggest -= len(blob)
                if biggest < 0:
                    raise refusal(layer, "an area of interest", "more bytes of geometry than a file may have")
                check_count(number, layer, "features")
                yield from reprojected(_geometry(blob, f"{layer}, feature {number}", notes), reprojection)
        except sqlite3.OperationalError:
            if _is_enough(steps):
                raise _endless(layer) from None
            raise
    if refused and len(refused) == len(layers):
        raise ConfigError("; ".join(f"{layer}: {reason}" for layer, reason in refused.items()))
    for layer, reason in refused.items():
        notes.add(layer, f"is left out: {reason}")


def _is_enough(steps: Iterator[int]) -> bool:
    """Count a million steps; return True to interrupt the query at the limit."""
    return next(steps) > _MOST_STEPS


def _endless(layer: str) -> ConfigError:
    return refusal(layer, "rows that come to an end", f"a view that takes more than {_MOST_STEPS} million steps")


def _layer_system(system: list[Any], layer: str, notes: ParseNotes) -> Reprojection | None:
    """Read the system of a layer, by its definition or else its code.

    0 is undefined geographic, -1 Cartesian (OGC 12-128r19 §1.1.2.1.2).
    """
    srs_id, name, code, definition = system
    if srs_id == 0:
        return read_system("", layer, notes)
    if code == "EPSG:4326":
        return None
    for text in ([str(definition)] if "[" in str(definition) else []) + [str(code)]:
        try:
            return read_system(text, layer, notes)
        except MissingPyprojError:
            raise
        except ConfigError:
            pass  # a definition that is none may have a code that is one
    found = f"{code or f'srs_id {srs_id}'} ({name or 'not described'})"
    raise refusal(layer, "EPSG:4326 (WGS 84)", found)


def _select(table: object, column: object) -> str:
    column, table = ('"' + str(name).replace('"', '""') + '"' for name in (column, table))
    return f"SELECT {column} FROM {table}"  # noqa: S608  (names cannot be bound, so they are quoted)


def _geometry(blob: bytes, place: str, notes: ParseNotes) -> Iterator[ParsedGeometry]:
    if not blob:  # a feature may have no geometry
        return
    flags = blob[3] if len(blob) > 8 else -1
    start = 8 + _ENVELOPES.get(flags >> 1 & 7, -8)
    if blob[:2] != b"GP" or flags < 0 or flags & _EXTENDED or start < 8:
        raise refusal(place, "a GeoPackage geometry", f"{plural(len(blob), 'byte')} of something else")
    yield from parse_wkb(blob[start:], place, notes)
