"""The area of interest of ``--aoi``: parsing, geometry, and comparison with footprints.

`formats` detects the file format and calls `geojson`, `wellknown` (WKT and WKB), `kml`, `geopackage` or `shapefile`,
which return geometries with their `places` in the file; `systems` checks their coordinate system. `geometry` builds
shapes of them, `antimeridian` handles the antimeridian, the poles and the curvature, `crossings` bounds the cost,
`outline` simplifies a shape for a request, and `area` has the result: `Area`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from collgs_async.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.selection.aoi.area import Area

__all__ = ["Area", "read_area"]


def read_area(source: str | Path) -> Area:
    """Read an area of interest.

    Parameters
    ----------
    source
        A file (GeoJSON, WKT, KML, KMZ, GeoPackage, shapefile, zipped shapefile; detected by content) or WKT itself.

    Raises
    ------
    ConfigError
        In one line: the place in the file, what was expected, what was found; or the extra ``geo`` is not installed.
    """
    try:
        reading = import_module("collgs_async.selection.aoi.formats")
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    area: Area = reading.read(source)
    return area


def __getattr__(name: str) -> object:
    """Import shapely on first use of an area, since it is an optional dependency."""
    if name != "Area":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return import_module("collgs_async.selection.aoi.area").Area
    except ModuleNotFoundError as error:
        raise _missing(error) from error


def _missing(error: ModuleNotFoundError) -> ConfigError:
    return ConfigError(
        f"an area of interest needs the Python package {error.name}: python -m pip install 'collgs-async[geo]'"
    )
