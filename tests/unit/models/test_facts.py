"""Filters where the name does not tell: they go by the catalogue's entry; and types as people call them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.catalogue.response import read_page
from collgs_async.models.criteria import BestOf, Criteria
from collgs_async.models.facts import facts_of, platform_of
from collgs_async.models.product import Product
from collgs_async.models.product_types import kind, kinds
from collgs_async.models.sentinel import recognise
from collgs_async.selection.filters import rejection

ETAD = "S1A_IW_ETA__AXDV_20230806T211729_20230806T211757_049760_05FBCB_9DD6"
BACKSCATTER = "S1A_IW_GRDH_1SDV_20211221T180507_20211221T180532_041110_04E247_9DF2_CARD_BS"
GASES = "S5P_OFFL_L2__NO2____20250101T021045_20250101T035215_37430_03_020800_20250102T181515"
SEA_LEVEL = "S6A_P4_2__LR______20250101T021045_20250101T035215_20250102T181515_5580_152_018_009_EUM__OPE_NT_F08"
PILOT = "S2A_MSIL2Ap_20170705T105031_N0205_R051_T31TDJ_20170705T105605"
SMALL = "s2a_msil1c_20250501t103021_n0511_r008_t31ugr_20250501t120000.safe"
RADAR = "S1B_IW_GRDH_1SDV_20211224T063752_20211224T063817_030130_00B9CD_2770"
CLOUD_OPTIMISED = f"{RADAR}_COG"
FRAME = "S3A_OL_1_EFR____20210810T081245_20210810T081545_20210810T100954_0179_075_078_2340_LN1_O_NR_002"


def entry(
    identifier: str = "X_1", *, information: object = None, parameters: object = None, **properties: Any
) -> Product:
    """A product of the catalogue, by way of its own JSON."""
    feature = {
        "type": "Feature",
        "properties": {
            "identifier": identifier,
            "productInformation": information,
            "acquisitionInformation": [
                {"acquisitionParameters": parameters, "platform": properties.pop("platform", None)}
            ],
            **properties,
        },
    }
    body = json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()
    (product,) = read_page(200, body, download_base="http://127.0.0.1/").products
    return product


def is_wanted(product: Product, **criteria: object) -> bool:
    return rejection(product, Criteria.parse(criteria)) is None


def test_nothing_of_these_is_told_by_the_name() -> None:
    assert [None] * 5 == [recognise(name) for name in (ETAD, BACKSCATTER, GASES, SEA_LEVEL, PILOT)]


@pytest.mark.parametrize(
    ("name", "said", "wanted", "others"),
    [
        (ETAD, "ETA", ["ETA", "ETAD", "eta"], "GRD,SLC"),
        (ETAD, "IW_ETA__AX", ["ETA", "ETAD", "IW_ETA__AX"], "GRD,SLC"),
        (BACKSCATTER, "CARD_BS", ["CARD_BS", "card-bs", "CARD-BS"], "GRD,GRDH"),
        (GASES, "L2__NO2___", ["L2__NO2___", "L2__NO2", "no2"], "L2__SO2___,CO"),
        (SEA_LEVEL, "P4_2__LR_____", ["P4_2__LR_____", "P4_2__LR"], "P4_1B_LR_____"),
        (PILOT, "S2MSI2Ap", ["S2MSI2Ap", "MSIL2Ap", "L2Ap"], "L2A,S2MSI2A,L1C"),
        ("X_1", "S2MSI1C", ["L1C", "MSIL1C", "MSI1C", "Level-1C"], "L2A"),
        ("X_1", "IW_GRDH_1S-COG", ["GRD", "GRDH", "IW_GRDH_1S-COG"], "GRDM,SLC"),
        ("X_1", "GRD_HD", ["GRD", "GRDH", "GRD-HD"], "GRDM,GRD_MD"),
    ],
)
def test_the_type_is_told_by_the_entry(name: str, said: str, wanted: list[str], others: str) -> None:
    for product in (entry(name, information={"productType": said}), entry(name, productType=said)):
        assert [True] * len(wanted) == [is_wanted(product, product_type=one) for one in wanted]
        dropped = rejection(product, Criteria.parse({"product_type": others}))
        assert dropped is not None
        assert "another product type" == dropped.kind
        assert dropped.reason.startswith(f"its product type is {said}, not ")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        *((SMALL, wanted) for wanted in ("L1C", "MSIL1C", "S2MSI1C", "MSI1C", "s2_msil1c", "1c")),
        *((RADAR, wanted) for wanted in ("GRD", "grdh", "IW_GRDH_1S", "S1_SAR_GRD", "IW_GRD", "GRD_HD")),
        *((CLOUD_OPTIMISED, wanted) for wanted in ("GRD", "GRDH", "IW_GRDH_1S-COG", "GRD-COG")),
        *((FRAME, wanted) for wanted in ("OL_1_EFR", "OL_1_EFR___", "ol_1_efr", "S3_OL_1_EFR", "EFR")),
    ],
)
def test_a_type_has_many_names(name: str, wanted: str) -> None:
    assert is_wanted(Product(name, None), product_type=wanted)
    assert is_wanted(Product(name, None), product_type=f"XX_9_YYY,{wanted}")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [(SMALL, "L2A"), (RADAR, "GRD-COG"), (RADAR, "GRDM"), (RADAR, "SLC"), (RADAR, "EW_GRDH_1S"), (FRAME, "OL_1_ERR")],
)
def test_another_type_is_another(name: str, wanted: str) -> None:
    assert not is_wanted(Product(name, None), product_type=wanted)


@given(st.text(max_size=60))
def test_any_word_of_a_catalogue_is_found_by_itself(word: str) -> None:
    assert not word or not kind(word) or kind(word) in kinds(None, word)


@pytest.mark.parametrize(
    "said", ["VV, VH", "VH,VV", "VV VH", "VV/VH", "VV+VH", "vv&vh", "VVVH", ["VV", "VH"], ["VH", "VV"], "DV", ["VV VH"]]
)
@pytest.mark.parametrize("key", ["polarisationChannels", "polarizationChannels"])
def test_channels_are_told_by_the_entry(said: object, key: str) -> None:
    product = entry(ETAD, parameters={key: said})

    for wanted in ("VV", "VH", "vv,vh", "VH,VV", "DV", "SV,DV"):
        assert is_wanted(product, polarisation=wanted)
    for wanted in ("HH", "HH,HV", "SV", "DH"):
        assert not is_wanted(product, polarisation=wanted)


def test_unreadable_channels_are_unknown() -> None:
    odd: list[object] = [None, "", "Q", "left", 5, [], [[]], {}]
    for said in odd:
        dropped = rejection(
            entry(ETAD, parameters={"polarisationChannels": said}), Criteria.parse({"polarisation": "VV"})
        )
        assert dropped is not None
        assert ("its polarisation is not known", "polarisation not known") == (dropped.reason, dropped.kind)


@pytest.mark.parametrize("said", ["31TDJ", "T31TDJ", "t31tdj"])
def test_the_tile_is_told_by_the_entry(said: str) -> None:
    for product in (entry(PILOT, parameters={"tileId": said}), entry(PILOT, tileId=said), entry(PILOT, mgrsTile=said)):
        assert is_wanted(product, tile="31TDJ")
        assert not is_wanted(product, tile="32ULV")
        assert ("31TDJ",) == BestOf(("tile",)).group(product)


def test_a_tile_that_is_none_is_not_known() -> None:
    dropped = rejection(entry("S2A_OTHER", parameters={"tileId": "somewhere"}), Criteria.parse({"tile": "31TDJ"}))

    assert dropped is not None
    assert "tile not known" == dropped.kind


@pytest.mark.parametrize(
    ("platform", "known"),
    [
        ({"platformShortName": "Sentinel-1", "platformSerialIdentifier": "A"}, "S1A"),
        ({"platformShortName": "SENTINEL-2", "platformSerialIdentifier": "S2B"}, "S2B"),
        ({"platformShortName": "Sentinel-2", "platformSerialIdentifier": "2B"}, None),
        ({"platformShortName": "Sentinel-5P", "platformSerialIdentifier": ""}, "S5P"),
        ({"platformShortName": "Sentinel-5P"}, "S5P"),
        ({"platformShortName": "Sentinel-5 Precursor"}, "S5P"),
        ({"platformShortName": "S6A"}, "S6A"),
        ({"platformShortName": "sentinel_6", "platformSerialIdentifier": "b"}, "S6B"),
        ({"platformShortName": "Sentinel-1"}, None),
        ({"platformShortName": "LANDSAT-8"}, None),
    ],
)
def test_the_platform_is_told_by_the_entry(platform: dict[str, str], known: str | None) -> None:
    assert known == facts_of(entry(platform=platform)).platform


def test_the_platform_is_told_by_the_beginning_of_a_name() -> None:
    assert ["S1A", "S5P", "S6A", "S2A"] == [
        facts_of(Product(one, None)).platform for one in (ETAD, GASES, SEA_LEVEL, PILOT)
    ]


@pytest.mark.parametrize(
    ("wanted", "platforms"),
    [("S5P", {"S5P"}), ("sentinel-5p", {"S5P"}), ("S5", {"S5P"}), ("S6", {"S6A", "S6B"}), ("Sentinel-6A", {"S6A"})],
)
def test_further_missions_can_be_selected(wanted: str, platforms: set[str]) -> None:
    assert platforms == Criteria.parse({"platform": wanted}).platforms


@pytest.mark.parametrize(
    "parameters",
    [
        {"orbitNumber": 51},
        {"orbitNumber": "51"},
        {"orbitNumber": 10642, "relativeOrbitNumber": 51},
        {"orbitNumber": 10642, "track": "51"},
    ],
)
def test_the_track_is_told_by_the_entry(parameters: dict[str, object]) -> None:
    product = entry(PILOT, parameters=parameters)

    assert is_wanted(product, relative_orbit="51")
    assert not is_wanted(product, relative_orbit="52")


@pytest.mark.parametrize("said", ["DESCENDING", "descending", "Desc", " D "])
def test_the_direction_may_be_short(said: str) -> None:
    product = entry(PILOT, parameters={"orbitDirection": said})

    assert is_wanted(product, orbit_direction="DESCENDING")
    assert not is_wanted(product, orbit_direction="ASCENDING")


def test_the_name_goes_before_the_entry() -> None:
    lying = entry(
        RADAR,
        information={"productType": "SLC"},
        parameters={"polarisationChannels": "HH", "relativeOrbitNumber": 9},
        platform={"platformShortName": "Sentinel-1", "platformSerialIdentifier": "A"},
    )

    assert is_wanted(lying, product_type="GRD", polarisation="VV,VH", platform="S1B", relative_orbit="4")


def test_small_letters_of_a_name_are_read() -> None:
    product = Product(SMALL, None)

    assert is_wanted(product, tile="31UGR", platform="S2A", relative_orbit="8", months="5")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.dictionaries(st.sampled_from(["polarisationChannels", "tileId", "track", "orbitNumber"]), ANYTHING), ANYTHING)
def test_whatever_an_entry_says_no_filter_breaks(parameters: dict[str, object], kind_of: object) -> None:
    product = entry(PILOT, parameters=parameters, information={"productType": kind_of})
    criteria = {"tile": "31TDJ", "polarisation": "VV", "product_type": "L1C", "relative_orbit": "51", "platform": "S1A"}

    for name, value in criteria.items():
        rejection(product, Criteria.parse({name: value}))


@given(st.text(max_size=40))
def test_a_platform_is_one_or_none(text: str) -> None:
    known = platform_of(text)

    assert known is None or Criteria.parse({"platform": known}).platforms == {known}


@pytest.mark.parametrize(
    "name",
    [
        PILOT,
        PILOT.lower(),
        f"{PILOT}.SAFE",
        "S2A_MSIL3A_20170705_T31TDJ",
        "S2A_MSIL2B_T31TDJ_BIOPHYSICAL_T31TDJ",
        "SENTINEL2A_20170705-105031-457_L2A_T31TDJ_D_V1-4",
    ],
)
@pytest.mark.parametrize("told", [None, "31UGR"])
def test_tile_in_a_sentinel_2_name_of_another_form_is_evidence(name: str, told: str | None) -> None:
    product = entry(name, information=None if told is None else {"tileIdentifier": told})

    assert is_wanted(product, tile="31TDJ")
    assert not is_wanted(product, tile="31UGR")


@pytest.mark.parametrize(
    "name",
    [
        "S2A_MSIL3A_20170705_T31TDJ_T31UGR",
        "S2A_MSIL2Ap_20170705T105031_N0205_R051_T31TDJX_20170705T105605",
        "S2A_MSIL2Ap_20170705T105031_N0205_R051_31TDJ_20170705T105605",
        "S1A_IW_ETA_T31TDJ_20230806T211729",
        "X_T31TDJ",
    ],
)
def test_what_may_be_a_tile_or_something_else_is_not_taken_for_one(name: str) -> None:
    assert not is_wanted(entry(name), tile="31TDJ")
    assert not is_wanted(entry(name), tile="31UGR")
