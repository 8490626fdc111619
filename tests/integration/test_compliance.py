"""Products that were not asked for are found out, and right ones never are."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async import CatalogueError, Client, Config, Connection, Product, Query, Selection
from collgs_async.catalogue.compliance import outside
from collgs_async.models.product import RawTimes
from tests.support.servers import listening

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RecordedSleeps

NAME = "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718"


def box(west: float, south: float, east: float, north: float, *, clockwise: bool = False) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring[::-1] if clockwise else ring]}


PRODUCT = Product(
    NAME,
    "https://h.example/a.zip",
    collection="S2_MSIL2A",
    raw=RawTimes("2021-09-24T16:30:21.024Z", "2021-09-24T16:30:21.024Z"),
    footprint=box(5, 49, 6, 50),
    cloud_cover=3,
    orbit_direction="DESCENDING",
)


def found(product: Product, **parameters: object) -> list[str]:
    """Name the parameters that a product is clearly outside of."""
    query = Query.parse({"parentIdentifier": product.collection or "X", **parameters})
    return list(outside(query.parameters, [product]))


def anonymous(**facts: Any) -> Product:
    return replace(PRODUCT, identifier="P", **facts)


@pytest.mark.parametrize(
    ("asked", "of"),
    [
        *((same, same) for same in ("S2_MSIL2A", "urn:eop:S2")),
        ("S2_MSIL2A", None),
        ("S2_MSIL2A", "s2-msil2a"),
        ("S2_MSIL2A", "S2A_MSIL2A"),
        ("S2_MSIL2A", "urn:ogc:def:EOP:S2_MSIL2A:v2"),
        ("SENTINEL-2", "S2_MSIL2A"),
        ("S2_MSIL2A", "https://h.example/collections/SENTINEL2_L2A"),
        ("S2_MSIL2A", "Sentinel 2"),
    ],
)
def test_a_collection_that_may_be_the_same_is_no_evidence(asked: str, of: str | None) -> None:
    assert {} == outside({"parentIdentifier": asked}, [replace(PRODUCT, collection=of)])


@pytest.mark.parametrize(
    ("asked", "of"), [("S2_MSIL2A", "S1_SAR_GRD"), ("S2_MSIL2A", "S2_MSIL1C"), ("S2", "Landsat-8")]
)
def test_another_collection_is_evidence(asked: str, of: str) -> None:
    words = outside({"parentIdentifier": asked}, [replace(PRODUCT, collection=of)])

    assert {"parentIdentifier": f"{NAME} is of {of}"} == words


@pytest.mark.parametrize(
    ("asked", "name", "of"),
    [
        ("S2_MSIL2A", "S1A_IW_GRDH_1SDV_20210924T100000_20210924T100025_039800_04B500_ABCD", "S1"),
        ("SENTINEL-1", NAME, "S2"),
        ("S3_OLCI_L1", "S5P_OFFL_L2__NO2____20210924T095930_20210924T110230_39112_03_020800_20210925T012345", "S5"),
    ],
)
def test_a_name_of_another_mission_is_evidence_where_no_collection_is_named(asked: str, name: str, of: str) -> None:
    words = outside({"parentIdentifier": asked}, [replace(PRODUCT, identifier=name, collection=None)])

    assert {"parentIdentifier": f"{name} is of {of}"} == words


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("S2_MSIL2A", "P1"),
        ("X", NAME),
        ("S2A_MSIL1C", NAME),
        ("S1_S2_MOSAICS", NAME),
        ("S2_MSIL2A", "S24_7"),
        ("S3", "s3_x"),
    ],
)
def test_a_name_without_a_mission_is_no_evidence(asked: str, name: str) -> None:
    assert {} == outside({"parentIdentifier": asked}, [replace(PRODUCT, identifier=name, collection=None)])


@pytest.mark.parametrize(
    ("start", "asked", "which"),
    [
        ("2021-09-24T16:30:21.024Z", {"timeStart": "2021-09-24T16:30:21.024Z"}, []),
        ("2021-09-24T16:30:21.024Z", {"timeEnd": "2021-09-24T16:30:21.024Z"}, []),
        ("2021-09-24T16:30:21.024Z", {"timeStart": "2021-09-24T16:30:21.100Z"}, ["timeStart"]),
        ("2021-09-24T16:30:21Z", {"timeStart": "2021-09-24T16:30:21.900Z"}, []),
        ("2021-09-24T16:30:22Z", {"timeEnd": "2021-09-24T16:30:21.500Z"}, []),
        ("2021-09-24T16:30:24Z", {"timeEnd": "2021-09-24T16:30:21.500Z"}, ["timeEnd"]),
        ("2021-09-24", {"timeStart": "2021-09-24T23:00:00Z"}, []),
        ("2021-09-24", {"timeStart": "2021-09-26"}, ["timeStart"]),
        ("20210924T163021Z", {"timeStart": "2021-09-24T16:30:21Z"}, []),
        ("2021-09-24T16:30Z", {"timeStart": "2021-09-24T16:30:50Z"}, []),
        ("2021-09-24T18:30:21+02:00", {"timeEnd": "2021-09-24T16:30:21Z"}, []),
        ("2021-09-24T20:30:21", {"timeEnd": "2021-09-24T16:30:21Z"}, []),
        ("2021-09-26T20:30:21", {"timeEnd": "2021-09-24T16:30:21Z"}, ["timeEnd"]),
        ("2018-09-11T10:30:21Z", {"timeStart": "2021-01-01", "timeEnd": "2021-12-31"}, ["timeStart"]),
        ("2022-09-11T10:30:21Z", {"timeStart": "2021-01-01", "timeEnd": "2021-12-31"}, ["timeEnd"]),
        ("2018-09-11T10:30:21Z", {"timeStart": "2021-01-01", "timeRelation": "contains"}, ["timeStart"]),
        ("2018-09-11T10:30:21Z", {"timeStart": "2021-01-01", "timeRelation": "disjoint"}, []),
        ("2021-09-11T10:30:21Z", {"timeStart": "2021-01-01", "timeRelation": "disjoint"}, ["timeStart"]),
        (
            "2021-09-11T10:30:21Z",
            {"timeStart": "2021-01-01", "timeEnd": "2021-02-01", "timeRelation": "disjoint"},
            [],
        ),
        ("about noon", {"timeStart": "2021-01-01"}, []),
        ("0001-01-01", {"timeEnd": "2021-01-01"}, []),
        ("9999-12-31", {"timeStart": "2021-01-01"}, []),
        (None, {"timeStart": "2021-01-01"}, []),
    ],
)
def test_times_are_taken_as_precisely_as_they_are_written(
    start: str | None, asked: dict[str, str], which: list[str]
) -> None:
    assert which == found(anonymous(raw=RawTimes(start, start)), **asked)


def test_a_time_is_evidence_only_where_the_name_agrees() -> None:
    asked = {"timeStart": "2022-01-01"}
    later = "2022-03-01T00:00:00Z"  # perhaps when it was published

    assert [] == found(replace(PRODUCT, raw=RawTimes(later, later)), **asked)
    assert ["timeStart"] == found(replace(PRODUCT, raw=RawTimes()), **asked)
    assert [] == found(replace(PRODUCT, raw=RawTimes()), timeStart="2021-09-25T10:00:00Z")


@pytest.mark.parametrize(
    ("orbit", "relative", "asked", "outside_of_it"),
    [
        (5, None, "7", True),
        (5, 7, "7", False),
        (7, None, "7", False),
        (5, None, "[7,9]", True),
        (8, None, "[7,9]", False),
        (5, None, "[7", False),
        (5, None, "{7,9}", True),
        (9, None, "{7,9}", False),
        (39_800, None, "7", False),
        (7, None, "39800", False),
        (39_801, None, "39800", True),
        (None, 5, "7", False),
        (5, None, "seven", False),
    ],
)
def test_another_orbit_is_evidence(orbit: int | None, relative: int | None, asked: str, *, outside_of_it: bool) -> None:
    one = anonymous(orbit_number=orbit, relative_orbit=relative)

    assert (["orbitNumber"] if outside_of_it else []) == found(one, orbitNumber=asked)


def test_the_orbit_of_the_name_is_no_evidence() -> None:
    assert [] == found(replace(PRODUCT, orbit_number=5), orbitNumber="83")
    assert ["orbitNumber"] == found(replace(PRODUCT, orbit_number=5), orbitNumber="7")


@pytest.mark.parametrize("clockwise", [True, False])
@pytest.mark.parametrize(
    ("footprint", "asked", "outside_of_it"),
    [
        ((5, 49, 6, 50), "5.5,49.5,5.6,49.6", False),
        ((5, 49, 6, 50), "6,50,7,51", False),
        ((5, 49, 6, 50), "6.05,50.05,7,51", False),
        ((5, 49, 6, 50), "6.5,49,7,50", True),
        ((5, 49, 6, 50), "5,50.5,6,51", True),
        ((5, 49, 6, 50), "49,5,50,6", False),  # latitude before longitude
        ((5, 49, 6, 50), "170,33,-117,34", True),
        ((179, -19, 181, -16), "-179.8,-18,-179,-17", False),
        ((179, -19, 181, -16), "179,-18,-179,-17", False),
        ((179, -19, 181, -16), "176,-19,178,-16", True),
        ((-179.5, -19, 179.5, -16), "179.7,-18,179.9,-17", False),  # as drawn, or across the antimeridian
        ((-179.5, -19, 179.5, -16), "0,-18,1,-17", False),
        ((-179.5, -19, 179.5, -16), "0,20,1,21", True),
        ((-170, 70, 175, 80), "0,88,1,89", False),  # perhaps round the pole
        ((-170, 60, 175, 80), "0,0,1,1", True),
        ((-180, -90, 180, 90), "0,0,1,1", False),
    ],
)
def test_boxes_meet_as_a_server_tests_them(
    footprint: tuple[float, ...], asked: str, *, outside_of_it: bool, clockwise: bool
) -> None:
    west, south, east, north = footprint
    product = anonymous(footprint=box(west, south, east, north, clockwise=clockwise))

    assert (["box"] if outside_of_it else []) == found(product, box=asked)


def test_a_shape_is_compared_by_its_box() -> None:
    assert [] == found(PRODUCT, geometry="POLYGON((5.5 49.5, 7 49.5, 7 51, 5.5 49.5))")
    assert ["geometry"] == found(PRODUCT, geometry="POINT(20 10)")
    assert [] == found(PRODUCT, geometry="POINT(20 10)", geoRelation="disjoint")
    assert [] == found(PRODUCT, geometry="MULTIPOINT(-179 0, 179 1)")
    assert [] == found(PRODUCT, geometry="EMPTY")


@pytest.mark.parametrize(
    "footprint",
    [
        None,
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[[None, 1], [5, 6]]]},
        {"type": "Polygon", "coordinates": [[["a", "b"]]]},
        {"type": "Point", "coordinates": [1e999, 0]},
        {"type": "Point", "coordinates": [4_000_000, 3_000_000]},  # metres
        {"type": "GeometryCollection", "geometries": [{}]},
    ],
)
def test_a_footprint_that_says_nothing_is_no_evidence(footprint: dict[str, Any] | None) -> None:
    assert [] == found(anonymous(footprint=footprint), box="100,10,101,11")


def test_every_kind_of_geometry_has_a_place() -> None:
    point = {"type": "Point", "coordinates": [5.5, 49.5, 300]}
    for footprint in (point, {"type": "GeometryCollection", "geometries": [point]}):
        assert [] == found(anonymous(footprint=footprint), box="5,49,6,50")
        assert ["box"] == found(anonymous(footprint=footprint), box="8,49,9,50")


@pytest.mark.parametrize(
    ("cover", "asked", "outside_of_it"),
    [
        (None, "[0,20]", False),
        (20, "[0,20]", False),
        (20.4, "[0,20]", False),
        (0, "]0,20]", False),
        (95, "[0,20]", True),
        (95, "[30", False),
        (5, "[30", True),
        (95, "20]", True),
        (5, "20]", False),
        (5, "20[", False),
        (5, "]30", True),
    ],
)
def test_cloud_is_compared_in_every_way_to_write_it(cover: float | None, asked: str, *, outside_of_it: bool) -> None:
    assert (["cloudCover"] if outside_of_it else []) == found(anonymous(cloud_cover=cover), cloudCover=asked)


@pytest.mark.parametrize(
    ("direction", "asked", "outside_of_it"),
    [
        ("DESCENDING", "DESCENDING", False),
        ("descending", "Descending", False),
        ("DESCENDING", "ASCENDING", True),
        ("DESCENDING", "ASCENDING,DESCENDING", False),
        (None, "ASCENDING", False),
        ("unknown", "ASCENDING", False),
    ],
)
def test_directions_are_compared(direction: str | None, asked: str, *, outside_of_it: bool) -> None:
    assert (["orbitDirection"] if outside_of_it else []) == found(
        anonymous(orbit_direction=direction), orbitDirection=asked
    )


def test_names_are_compared_without_what_archives_have_at_the_end() -> None:
    assert [] == found(replace(PRODUCT, identifier=f"{NAME}.SAFE"), identifier=f"A,{NAME}")
    assert ["identifier"] == found(PRODUCT, identifier="A,B")
    assert ["uid"] == found(PRODUCT, uid="A")
    assert [] == found(PRODUCT, identifier="S2A*")


def test_what_is_not_known_is_never_evidence() -> None:
    assert [] == found(PRODUCT, orbitNumber="[1,2]", platform="Landsat", snowCover="[90,100]", colour="red")


degrees = st.floats(-180, 180)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


@settings(deadline=None)
@given(
    st.tuples(degrees, st.floats(-90, 80)),
    st.floats(0, 10),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.sampled_from([-360, 0, 360]),
    st.booleans(),
)
def test_no_footprint_that_meets_the_box_is_refused(
    corner: tuple[float, float], size: float, share: tuple[float, float], turn: int, clockwise: bool
) -> None:
    """Some point of the footprint is in the box; it may cross the antimeridian, in every habit of writing that."""
    west, south = corner
    x, y = west + share[0] * size, south + share[1] * size
    x = x - 360 if x > 180 else x
    asked = f"{max(-180, x - 0.5):f},{max(-90, y - 0.5):f},{min(180, x + 0.5):f},{min(90, y + 0.5):f}"
    ring = box(west + turn, south, west + turn + size, south + size, clockwise=clockwise)
    jumping = {
        "type": "Polygon",
        "coordinates": [[[(lon + 180) % 360 - 180, lat] for lon, lat in part] for part in ring["coordinates"]],
    }
    for footprint in (ring, jumping):
        assert [] == found(anonymous(footprint=footprint), box=asked)


@settings(deadline=None)
@given(moments, moments, st.timedeltas(timedelta(0), timedelta(hours=2)), st.sampled_from(["milliseconds", "seconds"]))
def test_no_time_that_meets_the_period_is_refused(
    start: datetime, edge: datetime, lasting: timedelta, precision: str
) -> None:
    end = start + lasting
    product = anonymous(raw=RawTimes(start.isoformat(timespec=precision), end.isoformat(timespec=precision)))

    assert [] == found(product, timeStart=min(edge, end).isoformat())
    assert [] == found(product, timeEnd=max(edge, start).isoformat())


class Deaf:
    """A catalogue that lists these entries, whatever is asked, and repeats the parameters or does not."""

    def __init__(self, *entries: dict[str, Any], echo: bool = False, without: frozenset[str] = frozenset()) -> None:
        self.entries, self.echo, self.without = entries, echo, without
        self.asked = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked += 1
        start, count = int(request.query["startIndex"]), int(request.query["count"])
        answer: dict[str, Any] = {
            "features": self.entries[start - 1 : start - 1 + count],
            "totalResults": len(self.entries),
        }
        if self.echo:
            said = {f"eo:{name}": value for name, value in request.query.items() if name not in self.without}
            answer["queries"] = {"request": said}
        return web.Response(text=json.dumps(answer))


def entry(name: str, day: str, **properties: Any) -> dict[str, Any]:
    links = {"data": [{"href": f"{name}.zip"}]}
    return {"properties": {"identifier": name, "parentIdentifier": "X", "date": day, "links": links, **properties}}


OLD = [entry(f"P{number}", "2018-09-11T10:30:21Z") for number in range(3)]
NEW = entry("N", "2021-06-01T00:00:00Z")
ASKED = {"timeStart": "2021-01-01", "timeEnd": "2021-12-31"}


async def search(server: Deaf, folder: Path, sleeps: RecordedSleeps, **parameters: Any) -> list[str]:
    async with listening(server) as origin:
        config = Config(
            base_url=f"{origin}/search",
            parameters={"parentIdentifier": "X", **parameters},
            output_directory=folder,
            connection=Connection(timeout=60),
        )
        async with Client(config, sleep=sleeps) as client:
            return [product.identifier async for product in client.catalogue.search()]


async def test_without_an_echo_one_product_outside_ends_the_search(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    server = Deaf(NEW, *OLD)
    with pytest.raises(CatalogueError) as caught:
        await search(server, tmp_path, sleeps, **ASKED)

    assert (
        "the catalogue does not go by timeStart: asked for timeStart 2021-01-01T00:00:00.000Z, but P0 was sensed "
        "2018-09-11T10:30:21Z; nothing that it lists can be taken for what was asked for"
    ) == str(caught.value)
    assert (1, []) == (server.asked, sleeps.seconds)


async def test_later_pages_are_looked_at_too(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    right = [entry(f"N{number}", "2021-06-01") for number in range(150)]
    with pytest.raises(CatalogueError, match="does not go by timeStart"):
        await search(Deaf(*right, *OLD), tmp_path, sleeps, **ASKED)


async def test_without_an_echo_right_products_are_taken(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    assert ["N"] == await search(Deaf(NEW), tmp_path, sleeps, **ASKED, box="1,2,3,4", cloudCover="[0,20]")


async def test_a_false_echo_is_told_once(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture
) -> None:
    many = [entry(f"P{number}", "2018-09-11T10:30:21Z") for number in range(150)]
    with caplog.at_level(logging.WARNING, "collgs_async"):
        assert 150 == len(await search(Deaf(*many, echo=True), tmp_path, sleeps, **ASKED))

    (warning,) = (record.getMessage() for record in caplog.records)
    assert warning.startswith("the catalogue says that it goes by timeStart (--start) and does not: asked for")


async def test_a_parameter_that_the_echo_lacks_is_told_as_ignored(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "collgs_async"):
        await search(Deaf(*OLD, echo=True, without=frozenset({"timeStart"})), tmp_path, sleeps, timeStart="2021-01-01")

    (warning,) = (record.getMessage() for record in caplog.records)
    assert warning.startswith("the catalogue ignored timeStart (--start):")


@pytest.mark.parametrize("echo", [True, False])
async def test_identifiers_that_are_ignored_end_the_search(
    tmp_path: Path, sleeps: RecordedSleeps, *, echo: bool
) -> None:
    async with listening(Deaf(*OLD, echo=echo)) as origin:
        config = Config(
            base_url=f"{origin}/search",
            parameters={"parentIdentifier": "X"},
            output_directory=tmp_path,
            selection=Selection(ids=("WANTED",)),
        )
        async with Client(config, sleep=sleeps) as client:
            with pytest.raises(CatalogueError, match="does not go by identifier"):
                await client.search().collect()


async def test_what_is_checked_on_this_side_needs_no_compliance(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    descending = entry("D", "2021-06-01", orbitDirection="DESCENDING")
    ascending = entry("A", "2021-06-01", orbitDirection="ASCENDING")
    async with listening(Deaf(descending, ascending)) as origin:
        config = Config(
            base_url=f"{origin}/search",
            parameters={"parentIdentifier": "X"},
            output_directory=tmp_path,
            selection=Selection(orbit_direction="ASCENDING"),
        )
        async with Client(config, sleep=sleeps) as client:
            assert ["A"] == [product.identifier for product in await client.search().collect()]


async def test_an_old_server_without_an_echo_is_asked_by_the_old_name(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async def old(request: web.BaseRequest) -> web.StreamResponse:
        found = [NEW] if "parentId" in request.query else [{"properties": {"identifier": name}} for name in ("W", "X")]
        return web.Response(text=json.dumps({"features": found, "totalResults": len(found)}))

    assert ["N"] == await search(old, tmp_path, sleeps)  # type: ignore[arg-type]  # a catalogue as good as any


@pytest.mark.parametrize("foreign", ["startRecord", "page"])
async def test_a_catalogue_of_other_names_is_named_before_its_second_page(
    tmp_path: Path, sleeps: RecordedSleeps, foreign: str
) -> None:
    asked = 0

    async def other(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        said = {"eo:parentIdentifier": "X", foreign: "1", "maximumRecords": "10"}
        return web.Response(text=json.dumps({"features": [NEW], "totalResults": 50, "queries": {"request": [said]}}))

    with pytest.raises(CatalogueError, match=rf"is asked by other names \(maximumRecords, {foreign}\)"):
        await search(other, tmp_path, sleeps)  # type: ignore[arg-type]  # a catalogue as good as any
    assert 1 == asked


async def test_products_by_other_names_are_not_called_collections(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    server = Deaf(NEW, echo=True, without=frozenset({"parentIdentifier", "parentId"}))
    with pytest.raises(CatalogueError, match="the collection that was asked for and lists products by parameters of"):
        await search(server, tmp_path, sleeps)


def test_numbers_and_dates_beyond_all_bounds_are_no_evidence() -> None:
    far = {"type": "Polygon", "coordinates": [[[10**400, 49], [6, 49], [6, 50], [10**400, 49]]]}
    name = "S2A_MSIL2A_99991231T235959_N0301_R008_T31UGR_99991231T235959"
    query = Query.parse({"parentIdentifier": "S2_MSIL2A", "box": "5,49,6,50", "timeStart": "2021-01-01T00:00:00Z"})

    assert {} == outside(query.parameters, [Product(name, "http://h/a", footprint=far)])
