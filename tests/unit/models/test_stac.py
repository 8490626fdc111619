"""Products as STAC items: only what is known, in the fields of the extensions that are named."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async import Product, Products, RawTimes

S1 = "S1A_IW_GRDH_1SDV_20210924T172432_20210924T172457_039831_04B5E1_8B4F"
S2 = "S2A_MSIL2A_20210924T103021_N0301_R108_T31UGR_20210924T132718"
S3 = "S3A_OL_1_EFR____20210924T163021_20210924T163321_20210925T203100_0179_076_354_1980_LN1_O_NT_002.SEN3"
SQUARE = {"type": "Polygon", "coordinates": [[[5, 49], [6, 49], [6, 50], [5, 50], [5, 49]]]}


def extensions(item: dict[str, Any]) -> list[str]:
    return [address.split("/")[3] for address in item["stac_extensions"]]


def test_an_item_of_sentinel_2_has_cloud_orbit_tile_and_size() -> None:
    product = Product(
        S2,
        "https://me:secret@h/a.zip",
        "S2_MSIL2A",
        RawTimes("2021-09-24T12:30:21.024+02:00", "2021-09-24T10:31:00Z"),
        SQUARE,
        cloud_cover=12.5,
        orbit_direction="DESCENDING",
        size=1000,
        quicklook="https://me:secret@h/a.JPG?x=1",
    )

    item = product.to_stac()

    assert ("Feature", "1.1.0", S2, [5, 49, 6, 50]) == (item["type"], item["stac_version"], item["id"], item["bbox"])
    assert "collection" not in item  # STAC wants a link beside it
    assert {
        "datetime": "2021-09-24T10:30:21.024000Z",
        "start_datetime": "2021-09-24T10:30:21.024000Z",
        "end_datetime": "2021-09-24T10:31:00Z",
        "platform": "sentinel-2a",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "collection": "S2_MSIL2A",
        "eo:cloud_cover": 12.5,
        "grid:code": "MGRS-31UGR",
        "processing:level": "L2A",
        "processing:version": "03.01",
        "sat:orbit_state": "descending",
        "sat:relative_orbit": 108,
    } == item["properties"]
    assert ["eo", "file", "grid", "processing", "sat"] == extensions(item)
    assert ("https://h/a.zip", "application/zip", 1000) == tuple(
        item["assets"]["data"][name] for name in ("href", "type", "file:size")
    )
    assert ("https://h/a.JPG?x=1", "image/jpeg") == tuple(
        item["assets"]["thumbnail"][name] for name in ("href", "type")
    )


def test_an_item_of_a_radar_has_the_fields_that_its_extension_requires() -> None:
    item = Product(S1, "https://h/a.zip").to_stac()

    assert ["processing", "sar", "sat"] == extensions(item)
    assert ("IW", "C", ["VH", "VV"], "GRD") == tuple(
        item["properties"][f"sar:{name}"]
        for name in ("instrument_mode", "frequency_band", "polarizations", "product_type")
    )
    assert (39831, ["c-sar"]) == (item["properties"]["sat:absolute_orbit"], item["properties"]["instruments"])
    assert "2021-09-24T17:24:57Z" == item["properties"]["end_datetime"]  # of the name, where the entry has none


def test_what_is_unknown_is_left_out() -> None:
    item = Product("a", None, raw=RawTimes("2021-09-24"), problem="no link").to_stac()

    assert {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": "a",
        "geometry": None,
        "properties": {"datetime": "2021-09-24T00:00:00Z"},
        "links": [],
        "assets": {},
    } == item
    assert ["olci"] == Product(S3, None).to_stac()["properties"]["instruments"]


def test_the_box_of_a_footprint_across_the_antimeridian_begins_in_the_east() -> None:
    """RFC 7946 §5.2."""
    ring = [[179, 0], [181, 0], [181, 1], [179, 1], [179, 0]]
    item = Product(S2, None, footprint={"type": "Polygon", "coordinates": [ring]}).to_stac()

    assert ("MultiPolygon", [179, 0, -179, 1]) == (item["geometry"]["type"], item["bbox"])


@pytest.mark.parametrize("raw", [RawTimes(), RawTimes("yesterday", ""), RawTimes("2021-13-01")])
def test_without_any_sensing_time_there_is_no_item(raw: RawTimes) -> None:
    with pytest.raises(ValueError, match=r"^a STAC item needs a sensing time, and none is known$"):
        Product("a", None, raw=raw).to_stac()
    with pytest.raises(ValueError, match=r"^a: a STAC item needs a sensing time"):
        Products([Product(S2, None), Product("a", None, raw=raw)]).to_stac()


def test_times_in_the_wrong_order_are_no_range() -> None:
    item = Product("a", None, raw=RawTimes("2021-09-24T10:00:00Z", "2021-09-23T10:00:00Z")).to_stac()

    assert {"datetime": "2021-09-24T10:00:00Z"} == item["properties"]


numbers = st.none() | st.floats() | st.integers()
texts = st.none() | st.text(max_size=12) | st.sampled_from([S1, S2, "http://[", "https://h/x.png", "DESCENDING"])


@given(st.sampled_from([S1, S2, S3, "", "x"]), texts, texts, texts, numbers, numbers, texts)
def test_whatever_a_catalogue_writes_is_an_item_that_json_can_hold(
    identifier: str, url: Any, quicklook: Any, direction: Any, cloud: Any, size: Any, platform: Any
) -> None:
    raw = RawTimes("2021-09-24")
    size = size if isinstance(size, int) else None
    facts = {"orbit_direction": direction, "cloud_cover": cloud, "size": size, "platform": platform}
    item = Product(identifier, url, raw=raw, quicklook=quicklook, **facts).to_stac()

    assert item == json.loads(json.dumps(item, allow_nan=False))
    assert math.isfinite(item["properties"].get("eo:cloud_cover", 0))
    assert None not in item["properties"].values()
