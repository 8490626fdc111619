# ruff's SIM300 knows only the other order; here the expected value stands first
from __future__ import annotations

import csv
import io
import json
import logging
import math
import re
import shutil
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.errors import CatalogueError, ConfigError
from collgs_async.models.product import Product, RawTimes
from collgs_async.models.width import text_width
from collgs_async.reporting.formats import FORMATS
from collgs_async.reporting.listing import write_listing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path
    from typing import TextIO

S2 = "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718"
S3 = "S3A_OL_1_EFR____20210924T163021_20210924T163321_20210925T203100_0179_076_354_1980_LN1_O_NT_002.SEN3"
CLOCKWISE = [[0.0, 0.0], [0.0, 2.0], [2.0, 2.0], [2.0, 0.0], [0.0, 0.0]]
FULL = Product(
    identifier=S2,
    url="https://store.example/a/S2A.zip",
    collection="S2MSI2A",
    raw=RawTimes("2021-09-24T16:30:21.024Z", "2021-09-24T16:30:21.024Z"),
    footprint={"type": "Polygon", "coordinates": [CLOCKWISE]},
    cloud_cover=12.34,
    orbit_direction="DESCENDING",
    orbit_number=83,
    platform="Sentinel-2A",
    size=1_100_000_000,
    quicklook="https://store.example/a/S2A.jpg",
)
BARE = Product("bare", None, problem="the entry has no download link")
KEYS = [
    "identifier",
    "collection",
    "url",
    "start",
    "end",
    "cloud_cover",
    "orbit_direction",
    "orbit_number",
    "platform",
    "size",
    "overlap",
    "quicklook",
    "wanted",
    "footprint",
    "problem",
]
FLAT_KEYS = [key for key in KEYS if key not in {"footprint", "wanted"}] + ["wanted"]
JSON_FORMATS = ("json", "geojson")


async def stream(*products: Product) -> AsyncIterator[Product]:
    for product in products:
        yield product


async def listing(format_name: str, *products: Product, **options: Any) -> str:
    out = io.StringIO()
    await write_listing(stream(*products), format_name, out, **options)
    return out.getvalue()


def output_of(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


@contextmanager
def head_of_one_line() -> Iterator[tuple[TextIO, TextIO]]:
    """Give both ends of a `head` that reads one line."""
    with subprocess.Popen(["head", "-1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as head:
        assert head.stdin is not None
        assert head.stdout is not None
        into = io.TextIOWrapper(head.stdin)
        yield into, io.TextIOWrapper(head.stdout)
        with suppress(BrokenPipeError):  # the unread rest is still in its buffer
            into.close()


def area(ring: list[list[float]]) -> float:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))


class LineByLine(io.StringIO):
    """What a reader at the other end of the pipe has seen by now."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = ""

    def flush(self) -> None:
        super().flush()
        self.seen = self.getvalue()


@pytest.mark.parametrize("format_name", sorted({*FORMATS} - {"table"}))  # a table has its columns chosen first
async def test_every_product_is_seen_before_the_next_one_is_asked_for(format_name: str) -> None:
    out = LineByLine()
    seen: list[str] = []

    async def products() -> AsyncIterator[Product]:
        for number in range(3):
            raw = RawTimes("2021-09-24T16:30:21Z")
            yield Product(f"product-{number}", f"https://store.example/product-{number}", raw=raw)
            seen.append(out.seen)

    assert 3 == await write_listing(products(), format_name, out)
    assert [True] * 3 == [f"product-{number}" in text for number, text in enumerate(seen)]
    assert out.getvalue() == out.seen


@pytest.mark.parametrize("format_name", ["csv", "urls", "jsonl"])
async def test_a_line_is_whole_before_the_next_product_is_asked_for(format_name: str) -> None:
    out = LineByLine()

    async def products() -> AsyncIterator[Product]:
        yield FULL
        assert out.seen.endswith("\n")

    assert 1 == await write_listing(products(), format_name, out)


async def test_an_unknown_format_is_refused_by_name() -> None:
    expected = r"^--format: expected one of table, json, jsonl, geojson, stac, csv, urls, found 'xml'$"
    with pytest.raises(ConfigError, match=expected):
        await listing("xml")


async def test_a_reader_that_has_had_enough_ends_the_listing() -> None:
    async def endless() -> AsyncIterator[Product]:
        while True:
            yield FULL

    with head_of_one_line() as (into, out_of):
        with pytest.raises(BrokenPipeError):
            await write_listing(endless(), "urls", into)
        assert f"{FULL.url}\n" == out_of.read()


# --- JSON and GeoJSON


async def test_json_has_every_field_in_order_and_null_where_unknown() -> None:
    full, bare = json.loads(await listing("json", FULL, BARE))
    assert KEYS == list(full)
    assert KEYS == list(bare)
    assert [FULL.cloud_cover, FULL.size, FULL.raw.start] == [full["cloud_cover"], full["size"], full["start"]]
    expected = dict.fromkeys(KEYS) | {"identifier": "bare", "problem": "the entry has no download link"}
    assert expected == bare


async def test_an_empty_json_listing_is_an_empty_array() -> None:
    assert "[]\n" == await listing("json")


async def test_an_empty_geojson_listing_is_an_empty_collection() -> None:
    assert {"type": "FeatureCollection", "features": []} == json.loads(await listing("geojson"))


async def test_json_has_one_product_a_line() -> None:
    lines = (await listing("json", FULL, BARE)).splitlines()
    assert ["[", "]"] == [lines[0], lines[-1]]
    assert [S2, "bare"] == [json.loads(line.rstrip(","))["identifier"] for line in lines[1:-1]]


async def test_jsonl_has_the_objects_of_json_one_in_each_line() -> None:
    lines = (await listing("jsonl", FULL, BARE)).splitlines()
    assert json.loads(await listing("json", FULL, BARE)) == [json.loads(line) for line in lines]
    assert "" == await listing("jsonl")


async def test_stac_is_a_collection_of_the_items_of_the_products() -> None:
    collection = json.loads(await listing("stac", FULL))
    assert {"type": "FeatureCollection", "features": [FULL.to_stac()]} == collection


async def test_a_product_without_sensing_time_is_left_out_of_stac_and_named(caplog: pytest.LogCaptureFixture) -> None:
    (item,) = json.loads(await listing("stac", BARE, FULL))["features"]
    assert S2 == item["id"]
    assert ["bare is left out: a STAC item needs a sensing time, and none is known"] == caplog.messages


@pytest.mark.parametrize("format_name", ["geojson", "stac", "json", "jsonl", "csv"])
async def test_a_footprint_is_cut_at_the_antimeridian_in_every_format(format_name: str) -> None:
    ring = [[179.0, 0.0], [-179.0, 0.0], [-179.0, 1.0], [179.0, 1.0], [179.0, 0.0]]
    text = await listing(format_name, replace(FULL, footprint={"type": "Polygon", "coordinates": [ring]}))
    assert "-179.0" in text
    assert "180.0" in text
    assert "multipolygon" in text.lower()


async def test_a_geojson_feature_has_id_geometry_and_flat_properties() -> None:
    collection = json.loads(await listing("geojson", FULL, BARE))
    full, bare = collection["features"]
    assert ["FeatureCollection", "Feature", S2, "bare"] == [
        collection["type"],
        full["type"],
        full["id"],
        bare["id"],
    ]
    assert FLAT_KEYS == list(full["properties"])
    assert {"type": "Polygon", "coordinates": [CLOCKWISE[::-1]]} == full["geometry"]
    assert bare["geometry"] is None


@pytest.mark.parametrize("format_name", JSON_FORMATS)
@pytest.mark.parametrize("found", [(), (FULL,), (FULL, BARE)])
async def test_json_is_closed_when_the_search_fails_halfway(format_name: str, found: tuple[Product, ...]) -> None:
    async def products() -> AsyncIterator[Product]:
        for product in found:
            yield product
        raise CatalogueError("HTTP 500")

    out = io.StringIO()
    with pytest.raises(CatalogueError):
        await write_listing(products(), format_name, out)
    document = json.loads(out.getvalue())
    assert len(found) == len(document if format_name == "json" else document["features"])


@pytest.mark.parametrize("format_name", JSON_FORMATS)
async def test_numbers_that_json_cannot_say_become_null(format_name: str) -> None:
    geometry = {"type": "Point", "coordinates": [math.nan, 1.0]}
    text = await listing(format_name, Product("a", None, cloud_cover=math.nan, footprint=geometry))
    document = json.loads(text, parse_constant=pytest.fail)
    if format_name == "json":
        assert [None, None] == [document[0]["cloud_cover"], document[0]["footprint"]]
    else:
        (feature,) = document["features"]
        assert [None, None] == [feature["properties"]["cloud_cover"], feature["geometry"]]


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": None},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": [[1.0, 2.0]]},
        {"type": "MultiPolygon", "coordinates": [[["a", "b"]]]},
    ],
)
async def test_a_footprint_that_is_no_geometry_costs_only_the_geometry(geometry: dict[str, Any]) -> None:
    (product,) = json.loads(await listing("json", Product("a", None, footprint=geometry)))
    assert ["a", None] == [product["identifier"], product["footprint"]]


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="GDAL is not installed")
async def test_gdal_opens_the_geojson(tmp_path: Path) -> None:
    file = tmp_path / "found.geojson"
    file.write_text(await listing("geojson", FULL, BARE, action=lambda _: "fetch"))
    shown = output_of("ogrinfo", "-al", str(file))
    for expected in (
        "Feature Count: 2",
        f"identifier (String) = {S2}",
        "cloud_cover (Real) = 12.34",
        "orbit_number (Integer) = 83",
        "start (DateTime) = 2021/09/24 16:30:21.024+00",
        "POLYGON ((0 0,2 0,2 2,0 2,0 0))",
    ):
        assert expected in shown


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="GDAL is not installed")
async def test_gdal_finds_the_footprints_in_csv(tmp_path: Path) -> None:
    file = tmp_path / "found.csv"
    file.write_text(await listing("csv", FULL, BARE, action=lambda _: "fetch"))
    shown = output_of("ogrinfo", "-al", str(file))
    assert f"identifier (String) = {S2}" in shown
    assert "POLYGON ((0 0,2 0,2 2,0 2,0 0))" in shown


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="GDAL is not installed")
async def test_gdal_opens_an_empty_geojson(tmp_path: Path) -> None:
    file = tmp_path / "found.geojson"
    file.write_text(await listing("geojson"))
    assert "Feature Count: 0" in output_of("ogrinfo", "-al", "-so", str(file))


# --- winding


# --- CSV and URLs


async def test_csv_has_a_header_and_empty_cells_where_unknown() -> None:
    text = await listing("csv", FULL, BARE)
    header, full, bare = csv.reader(io.StringIO(text))
    assert "\r" not in text
    assert [*FLAT_KEYS, "WKT"] == header
    assert [S2, "S2MSI2A", "12.34"] == [full[0], full[1], full[5]]
    assert "POLYGON ((0.0 0.0, 2.0 0.0, 2.0 2.0, 0.0 2.0, 0.0 0.0))" == full[-1]
    assert ["bare", *[""] * 11, "the entry has no download link", "", ""] == bare


async def test_csv_quotes_what_needs_it_and_has_no_formulas() -> None:
    (_, cells) = csv.reader(io.StringIO(await listing("csv", Product('=1+1,"a"', None, problem="one\ntwo"))))
    assert ['\'=1+1,"a"', "one\ntwo"] == [cells[0], cells[-3]]


async def test_an_empty_csv_listing_is_its_header() -> None:
    assert ",".join([*FLAT_KEYS, "WKT"]) + "\n" == await listing("csv")


async def test_urls_are_one_a_line() -> None:
    other = Product("b", "https://store.example/b.zip?x=1&y=2")
    assert f"{FULL.url}\nhttps://store.example/b.zip?x=1&y=2\n" == await listing("urls", FULL, other)


async def test_urls_come_out_of_xargs_as_they_went_in() -> None:
    awkward = Product("b", 'https://store.example/it\'s a "b"\\c\nd%20e;f=(1)*.zip')
    text = await listing("urls", awkward, FULL)
    assert ["https://store.example/it%27s%20a%20%22b%22%5Cc%0Ad%20e;f=(1)*.zip", FULL.url] == (
        output_of("xargs", "-n1", "echo", stdin=text).splitlines()
    )


async def test_a_product_without_url_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    out = io.StringIO()
    assert 1 == await write_listing(stream(BARE, FULL), "urls", out)
    assert f"{FULL.url}\n" == out.getvalue()
    assert [
        ("collgs_async", logging.WARNING, "bare is left out, it has no URL: the entry has no download link")
    ] == caplog.record_tuples


# --- the table


async def test_the_table_shows_what_one_chooses_by() -> None:
    header, line = (await listing("table", FULL)).splitlines()
    assert ["identifier", "sensing", "start", "cloud", "%", "orbit", "size"] == header.split()
    assert [S2, "2021-09-24T16:30:21Z", "12.3", "DESC", "83", "1.1", "GB"] == line.split()


async def test_columns_stand_below_their_titles() -> None:
    ascending = Product("short", None, raw=RawTimes("2021-09-24"), orbit_direction="ASCENDING", orbit_number=7)
    header, *lines = (await listing("table", FULL, ascending)).splitlines()
    assert ["2021-09-24T", "2021-09-24 "] == [line[header.index("sensing") :][:11] for line in lines]
    assert ["DESC 83 ", "ASC 7   "] == [line[header.index("orbit") :][:8] for line in lines]


async def test_what_is_unknown_is_a_dash() -> None:
    _, *lines = (await listing("table", BARE, FULL)).splitlines()
    assert ["bare", "-", "-", "-", "-"] == lines[0].split()


@pytest.mark.parametrize("width", [None, 80, 200])
async def test_no_column_is_all_dashes(width: int | None) -> None:
    only_cloud = replace(BARE, cloud_cover=5.0)
    assert ["identifier  cloud %", "bare            5.0", "bare              -"] == (
        await listing("table", only_cloud, BARE, width=width)
    ).splitlines()
    assert ["identifier", "bare"] == (await listing("table", BARE, width=width)).splitlines()


@pytest.mark.parametrize("width", [None, 50, 80])
async def test_wide_characters_take_their_columns(width: int | None) -> None:
    wide = replace(BARE, identifier="漢字" * 10, cloud_cover=5.0)
    lines = (await listing("table", wide, replace(BARE, cloud_cover=7.0), width=width)).splitlines()
    ends = {text_width(line) for line in lines if line.endswith(("%", ".0"))}
    assert 1 == len(ends)
    assert max(map(text_width, lines)) <= (width or 99)


async def test_nothing_is_cut_when_it_is_no_terminal() -> None:
    _, line = (await listing("table", Product(S3, None))).splitlines()
    assert S3 == line.split()[0]


@pytest.mark.parametrize("width", [1, 40, 80, 100, 132, 200])
async def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    lines = (await listing("table", FULL, Product(S3, None, size=10), width=width)).splitlines()
    assert 3 == len(lines)
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (69, "identifier, cloud %"),
        (79, "identifier, cloud %, size"),
        (80, "identifier, cloud %, size"),
        (89, "identifier, cloud %, orbit, size"),
        (111, "identifier, sensing start, cloud %, orbit, size"),
    ],
)
async def test_a_narrow_terminal_shows_the_whole_identifier_and_what_it_does_not_say(width: int, expected: str) -> None:
    header, line = (await listing("table", FULL, width=width)).splitlines()

    assert expected == ", ".join(re.split(r"\s{2,}", header))
    assert S2 == line.split()[0]


async def test_what_no_product_has_takes_no_column_of_a_terminal() -> None:
    radar = replace(FULL, cloud_cover=None, size=None, overlap=97.25)

    header, line = (await listing("table", radar, width=200)).splitlines()

    assert "identifier, sensing start, orbit, area %" == ", ".join(re.split(r"\s{2,}", header))
    assert ["97.2"] == line.split()[-1:]


@pytest.mark.parametrize("found", [1, 19, 20, 21, 50])
async def test_a_terminal_gets_every_product_before_and_after_the_columns_are_chosen(found: int) -> None:
    products = [replace(FULL, identifier=f"S2A_{number}") for number in range(found)]

    _, *lines = (await listing("table", *products, width=100)).splitlines()

    assert [product.identifier for product in products] == [line.split()[0] for line in lines]


@pytest.mark.parametrize("found", [0, 3, 30])
async def test_a_terminal_gets_what_was_found_before_the_search_failed(found: int) -> None:
    async def products() -> AsyncIterator[Product]:
        for number in range(found):
            yield replace(FULL, identifier=f"S2A_{number}")
        raise CatalogueError("HTTP 500")

    out = io.StringIO()
    with pytest.raises(CatalogueError, match="HTTP 500"):
        await write_listing(products(), "table", out, width=100)

    assert found == len(out.getvalue().splitlines()[1:])


async def test_a_long_identifier_loses_its_middle_at_a_very_narrow_terminal() -> None:
    _, line = (await listing("table", FULL, width=50)).splitlines()
    head, tail = line.split()[0].split("…")

    assert S2.startswith(head)
    assert S2.endswith(tail)


async def test_a_wide_terminal_cuts_no_identifier() -> None:
    _, line = (await listing("table", Product(S3, None), width=160)).splitlines()
    assert S3 == line.split()[0]


async def test_control_characters_neither_break_the_line_nor_reach_the_terminal() -> None:
    lines = (await listing("table", Product("a\n\x1b[31mb", None, raw=RawTimes("\x07")))).splitlines()
    assert 2 == len(lines)
    assert lines[1].startswith("a??[31mb ")
    assert lines[1].isprintable()


# --- the action


async def test_an_action_leads_every_format_that_has_fields() -> None:
    def action(product: Product) -> str:
        return "fetch" if product.url else "skip"

    table = (await listing("table", FULL, BARE, action=action, width=120)).splitlines()
    assert ["action", "fetch", "skip"] == [line.split()[0] for line in table]
    rows = csv.reader(io.StringIO(await listing("csv", FULL, BARE, action=action)))
    assert ["action", "fetch", "skip"] == [row[0] for row in rows]
    objects = json.loads(await listing("json", FULL, BARE, action=action))
    assert [("action", "fetch"), ("action", "skip")] == [next(iter(item.items())) for item in objects]
    features = json.loads(await listing("geojson", FULL, action=action))["features"]
    assert [("action", "fetch")] == [next(iter(item["properties"].items())) for item in features]


async def test_urls_ignore_the_action() -> None:
    assert f"{FULL.url}\n" == await listing("urls", FULL, action=lambda _: "fetch")
