"""Areas given as objects of other programs: whatever has ``__geo_interface__``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pyproj
import pytest
import shapely

from collgs_async import Config, ConfigError, Product, Products, Selection
from collgs_async.selection.aoi import Area

SHAPE = shapely.box(5, 49, 6, 50)
SQUARE = {"type": "Polygon", "coordinates": [[[5, 49], [6, 49], [6, 50], [5, 50], [5, 49]]]}


def frame(shape: Any, crs: object) -> Any:
    """What a GeoDataFrame looks like from here."""
    feature = {"type": "Feature", "properties": {"a": object()}, "geometry": shapely.geometry.mapping(shape)}
    return SimpleNamespace(__geo_interface__={"type": "FeatureCollection", "features": [feature]}, crs=crs)


@pytest.mark.parametrize(
    "given",
    [
        SHAPE,
        Product("A", None, footprint=SQUARE),
        Products([Product("A", None, footprint=SQUARE)]),
        SimpleNamespace(geometry=SHAPE, name="a row"),
        frame(SHAPE, None),
        frame(SHAPE, pyproj.CRS("EPSG:4326")),
        frame(shapely.box(0, 0, 1, 1), pyproj.CRS(proj="longlat", datum="WGS84", lon_0=0)),
    ],
    ids=["shape", "product", "products", "row", "frame", "frame in 4326", "frame without code"],
)
def test_an_object_is_an_area(given: object) -> None:
    config = Config.create(collection="S2_MSIL2A", aoi=given)

    assert isinstance(config.selection.aoi, dict)
    assert Area.of(config.selection.aoi).box in [(5, 49, 6, 50), (0, 0, 1, 1)]


def test_the_system_of_a_frame_is_honoured() -> None:
    box = shapely.box(70_000, 90_000, 90_000, 110_000)

    own = (
        "+proj=tmerc +lat_0=49.8333333333333 +lon_0=6.16666666666667 +x_0=80000 +y_0=100000 +ellps=intl "
        "+towgs84=-189.681,18.3463,-42.7695,-0.33746,-3.09264,2.53861,0.4598 +units=m"
    )
    (luref, unnamed) = (Selection(aoi=frame(box, pyproj.CRS(system))).aoi for system in (2169, own))

    assert isinstance(luref, dict)
    assert isinstance(unnamed, dict)
    assert {"type": "name", "properties": {"name": "EPSG:2169"}} == luref["crs"]
    for written in (luref, unnamed):
        assert shapely.box(6, 49.7, 6.4, 50).contains(Area.of(written).shapes[0])


@pytest.mark.parametrize(
    "given",
    [
        7,
        SimpleNamespace(geometry=7),
        SimpleNamespace(__geo_interface__={"type": "Feature"}),
        SimpleNamespace(__geo_interface__={"type": "Feature", "geometry": None}),
        SimpleNamespace(__geo_interface__={"type": "FeatureCollection", "features": 7}),
        SimpleNamespace(__geo_interface__=SQUARE, crs=7),
        Product("A", None),
    ],
)
def test_an_object_without_a_geometry_is_refused(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^selection\.aoi: expected a file, WKT or a GeoJSON object, found "):
        Selection(aoi=given)
