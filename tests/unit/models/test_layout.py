"""In which folder a product's files lie, for any template and any catalogue's entry."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.models.layout import LAYOUT_WORDS, Layout
from collgs_async.models.product import Product, RawTimes

TILE = "S2A_MSIL2A_20210924T103021_N0301_R108_T31UGR_20210924T131718"
RADAR = "S1A_IW_GRDH_1SDV_20210924T172344_20210924T172409_039825_04B5D2_5F1C"
COLOUR = "S3A_OL_1_EFR____20210924T100143_20210924T100443_20210925T150443_0179_076_293_1980_LN1_O_NT_002"
EVERYTHING = "/".join(f"{{{word}}}" for word in LAYOUT_WORDS)


def folder(template: str, identifier: str, **entry: object) -> str:
    return Layout.parse(template).folder(Product(identifier, None, **entry))  # type: ignore[arg-type]  # any field


@pytest.mark.parametrize(
    ("template", "identifier", "expected"),
    [
        ("{collection}/{platform}/{year}/{month}/{tile}", TILE, "S2_MSIL2A/S2A/2021/09/31UGR"),
        ("{collection}/{platform}/{year}/{month}/{tile}", RADAR, "S1_SAR_GRD/S1A/2021/09"),
        (EVERYTHING, TILE, "S2_MSIL2A/S2A/2021/09/24/267/31UGR/108/0301/S2MSI2A/2A"),
        (EVERYTHING, RADAR, "S1_SAR_GRD/S1A/2021/09/24/267/028/GRD/1"),
        ("{platform}/{type}/{doy}/{orbit}/{baseline}", COLOUR, "S3A/OL_1_EFR/267/293/002"),
        ("{year}-{month}/R{orbit}/T{tile}", TILE, "2021-09/R108/T31UGR"),
        ("{year}-{month}/T{tile}", RADAR, "2021-09"),
        ("archive of {year}/", TILE, "archive of 2021"),
        ("Données/{year}", TILE, "Données/2021"),
    ],
)
def test_values_come_from_the_name(template: str, identifier: str, expected: str) -> None:
    assert folder(template, identifier) == expected


def test_what_the_name_does_not_say_comes_from_the_entry() -> None:
    entry = {"collection": "X", "platform": "Sentinel-2A", "tile": "T31UGR", "relative_orbit": 8, "product_type": "L3"}

    found = folder(EVERYTHING, "mosaic-7", raw=RawTimes("2020-02-29T01:00:00+02:00"), **entry)

    assert found == "X/S2A/2020/02/28/059/31UGR/008/L3"


def test_the_entry_s_collection_goes_before_the_usual_one() -> None:
    assert folder("{collection}", TILE, collection="MINE") == "MINE"


def test_nothing_known_is_the_output_folder_itself() -> None:
    assert not folder(EVERYTHING, "unknown")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{colection}/{year}", '"{colection}"; did you mean {collection}?'),
        ("{Year}", '"{Year}"; did you mean {year}?'),
        ("{}/{year}", 'found "{}"'),
        ("archive", "expected at least one word in braces"),
        ("", "expected at least one word in braces"),
        ("/data/{year}", "expected names of folders"),
        ("../{year}", 'found ".."'),
        ("{year}/./{month}", 'found "."'),
        ("{year}//{month}", 'found ""'),
        (".collgs/{year}", 'found ".collgs"'),
        ("{year}\\{month}", "expected names of folders"),
        ("{year", "expected at least one word"),
        ("{year}/{month", 'found "{month"'),
        ("{year}\n", ""),
        ("{year}/a\nb", "expected names of folders"),
        ("{year}/x.parts", 'found "x.parts"'),
        ("{year}/con", 'found "con"'),
        ("{year}/-x", 'found "-x"'),
        ("/".join(["{year}"] * 13), "at most 12 folders"),
    ],
)
def test_wrong_templates_are_refused_by_name(template: str, words: str) -> None:
    if not words:
        assert str(Layout.parse(template)) == "{year}"
        return
    with pytest.raises(ValueError, match=re.escape(words)):
        Layout.parse(template)


TEXTS = st.text(st.characters(), max_size=300) | st.sampled_from(
    [
        "..",
        ".",
        "/",
        "../../etc",
        "CON",
        "nul.txt",
        "x.parts",
        "a/b",
        "\0",
        "-rf",
        " ",
        ".collgs",
        "aux",
        "lpt1",
        "a.zip",
    ]
)


@given(
    st.lists(TEXTS, min_size=4, max_size=4),
    st.sampled_from([EVERYTHING, "a.{type}", "{type}{platform}", "{collection} x"]),
)
def test_any_value_is_safe_as_the_name_of_a_folder(values: list[str], template: str) -> None:
    identifier, collection, kind, tile = values
    found = folder(template, identifier, collection=collection, product_type=kind, tile=tile, platform=kind)

    path = PurePosixPath(found)
    assert not path.is_absolute()
    assert str(path) == (found or ".")
    for name in path.parts:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._ -]{0,120}", name)
        assert not re.match(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)", name)
        assert name[-1] not in ". "
        assert not name.lower().endswith((".parts", ".zip", ".part", ".lease"))
