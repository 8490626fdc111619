"""The area of interest: what `--aoi` names, and how much of it a footprint shows.

`reading` tells what kind of file it is and hands it to `geojson`, `wellknown` (WKT and WKB), `kml`, `geopackage` or
`shapefile`; each gives geometries with their `places`. `drawing` makes shapes of them, `globe` knows about the
antimeridian, the poles and the curvature, `outline` writes a shape in few words, and `interest` has what all this is
for: the `Area`.
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
        A file (GeoJSON, WKT, KML, KMZ, GeoPackage, shapefile, zipped shapefile; what it is, its content says) or WKT.

    Raises
    ------
    ConfigError
        In one line: where in it, what was expected, what was found; or that the extra ``geo`` is not installed.
    """
    try:
        reading = import_module("collgs_async.selection.aoi.formats")
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    area: Area = reading.read(source)
    return area


def __getattr__(name: str) -> object:
    """Import shapely only when an area is used: whoever has none need not install it."""
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
