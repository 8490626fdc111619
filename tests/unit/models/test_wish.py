"""Wishes: how they are read, written as JSON, and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.models.band_words import BAND_WORDS, band_words, canonical_word, wish_problems
from collgs_async.models.wish import Wish

checked = settings(deadline=None, derandomize=True, max_examples=100)

WORDS = sorted({word for table in BAND_WORDS.values() for word in table.words})


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ("B2", "B02"),
        ("b02", "B02"),
        ("B002", "B02"),
        (" b12 ", "B12"),
        ("b8a", "B8A"),
        ("B08A", "B8A"),
        ("scl", "SCL"),
        ("vV", "VV"),
        ("iw02", "IW2"),
        ("oa3", "Oa03"),
        ("OA21", "Oa21"),
        ("flags", "FLAGS"),
        ("B77", "B77"),
        ("NIR", "NIR"),
    ],
)
def test_words_in_any_spelling(written: str, word: str) -> None:
    assert canonical_word(written) == word


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_its_own_spelling(word: str) -> None:
    assert canonical_word(word) == word == canonical_word(word.lower())


@checked
@given(st.text(max_size=40))
def test_any_text_has_a_spelling(text: str) -> None:
    assert canonical_word(canonical_word(text)) == canonical_word(text)


@pytest.mark.parametrize(
    ("values", "wish"),
    [
        ({}, Wish()),
        ({"bands": ["b2", "SCL", "B02"]}, Wish(bands=("B02", "SCL"))),
        ({"resolution": [20, 10]}, Wish(resolutions=(20, 10))),
        ({"resolution": "20m, 10"}, Wish(resolutions=(20, 10))),
        ({"resolution": 60}, Wish(resolutions=(60,))),
        ({"resolution": "all"}, Wish(every_resolution=True)),
        ({"metadata_only": True, "members": ["*.png"]}, Wish(metadata_only=True, members=("*.png",))),
        ({"metadata_only": False, "bands": []}, Wish()),
        ({"members": "*_B02_*.jp2, MTD_*.xml"}, Wish(members=("*_B02_*.jp2", "MTD_*.xml"))),
        ({"members": ["a,b"]}, Wish(members=("a,b",))),
    ],
)
def test_wishes_are_read_and_written(values: dict[str, Any], wish: Wish) -> None:
    assert Wish.from_dict(values) == wish
    assert Wish.from_dict(json.loads(json.dumps(wish.as_dict()))) == wish


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"band": ["B02"]}, '"band": unknown key'),
        ({"": 1}, '"": unknown key'),
        ({"bands": [2]}, "bands: expected a list of bands such as B02, SCL, VV or Oa03, found [2]"),
        ({"bands": ["B02;B03"]}, 'bands: expected a list of bands such as B02, SCL, VV or Oa03, found ["B02;B03"]'),
        ({"bands": None}, "bands: expected a list of bands such as B02, SCL, VV or Oa03, found null"),
        ({"resolution": [15]}, "resolution: expected a list of resolutions of 10, 20 and 60, or all, found [15]"),
        ({"resolution": [True]}, "resolution: expected a list of resolutions of 10, 20 and 60, or all, found [true]"),
        (
            {"resolution": "10,all"},
            'resolution: expected a list of resolutions of 10, 20 and 60, or all, found "10,all"',
        ),
        ({"metadata_only": 1}, "metadata_only: expected true or false, found 1"),
        ({"metadata_only": True, "bands": ["B02"]}, 'metadata_only: expected no bands beside it, found ["B02"]'),
        ({"metadata_only": True, "resolution": "all"}, 'metadata_only: expected no resolution beside it, found "all"'),
        ({"members": ["/etc/*"]}, 'members: expected a pattern for the path below the top folder, found "/etc/*"'),
        ({"members": ["../*"]}, 'members: expected a pattern for the path below the top folder, found "../*"'),
        ({"members": ["*\n"]}, None),
        ({"members": ["a\x1bb"]}, r'members: expected a list of patterns such as *_B02_10m.jp2, found ["a\u001bb"]'),
        ({"members": ["*" * 2000]}, f'members: expected a list of patterns such as *_B02_10m.jp2, found ["{"*" * 78}…'),
    ],
)
def test_other_values_are_refused(values: dict[str, Any], problem: str | None) -> None:
    if problem is None:
        assert Wish.from_dict(values).members == ("*",)
        return
    with pytest.raises(ValueError, match=": ") as caught:
        Wish.from_dict(values)
    assert str(caught.value) == problem


@checked
@given(
    st.dictionaries(
        st.sampled_from(["bands", "resolution", "metadata_only", "members", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            st.lists,
            max_leaves=5,
        ),
    )
)
def test_any_json_is_read_or_refused_in_one_line(values: dict[str, Any]) -> None:
    problem, wish = "", None
    try:
        wish = Wish.from_dict(values)
    except ValueError as error:
        problem = str(error)

    assert problem.isprintable()
    assert wish is None or Wish.from_dict(wish.as_dict()) == wish


def test_only_a_wish_is_true() -> None:
    assert not Wish()
    assert all([Wish(bands=("B02",)), Wish(resolutions=(10,)), Wish(every_resolution=True), Wish(metadata_only=True)])
    assert Wish(members=("*",))


def test_a_wish_reads_as_its_flags() -> None:
    wish = Wish.from_dict({"bands": "B02,SCL", "resolution": "20,10", "members": "*.png"})

    assert str(wish) == "--bands B02,SCL --resolution 20,10 --members '*.png'"
    assert str(Wish(every_resolution=True)) == "--resolution all"
    assert str(Wish(metadata_only=True)) == "--metadata-only"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *[(name, "S2MSI1C") for name in ("S2_MSIL1C", "S2MSI1C", "MSIL1C", "L1C", "s2_l1c")],
        *[(name, "S2MSI2A") for name in ("S2_MSIL2A", "S2MSI2A")],
        *[(name, "GRD") for name in ("S1_SAR_GRD", "S1_GRD", "GRD", "GRDH", "IW_GRDH_1S", "GRD_COG", "EW_GRDM")],
        *[(name, "SLC") for name in ("S1_SAR_SLC", "IW_SLC__1S", "SLC")],
        *[(name, "OL_1") for name in ("S3_OL_1_EFR", "S3_OL_1_ERR___", "OL_1_EFR")],
    ],
)
def test_the_words_of_a_collection(name: str, known: str) -> None:
    assert band_words(name) is BAND_WORDS[known]


@pytest.mark.parametrize(
    "name", ["S1_SAR_RAW", "S1_SAR_OCN", "S3_OL_2_LFR", "S3_SL_1_RBT", "S5P_L2", "S6_P4", "S2_MSIL1B"]
)
def test_collections_without_words(name: str) -> None:
    table = band_words(name)

    assert table is not None
    assert not table.words


@pytest.mark.parametrize("name", ["LANDSAT_8", "", "S2", "EOP:TEST", "…"])
def test_collections_that_are_not_known(name: str) -> None:
    assert band_words(name) is None
    assert list(wish_problems(Wish(bands=("B10", "VV")), [name])) == []


L2A = "B01 to B09, B8A, B11, B12, AOT, WVP, SCL, TCI, CLD, SNW, PVI, MASKS"


@pytest.mark.parametrize(
    ("values", "collections", "problems"),
    [
        ({"bands": "B02,SCL"}, ["S2_MSIL2A"], []),
        ({"bands": "B10"}, ["S2_MSIL1C"], []),
        (
            {"bands": "B10"},
            ["S2_MSIL2A"],
            [("bands", f"expected bands of S2_MSIL2A ({L2A}), found B10; did you mean B09?")],
        ),
        (
            {"bands": "SLC,B02,CLOUD"},
            ["S2_MSIL2A"],
            [
                ("bands", f"expected bands of S2_MSIL2A ({L2A}), found SLC; did you mean SCL?"),
                ("bands", f"expected bands of S2_MSIL2A ({L2A}), found CLOUD; did you mean CLD?"),
            ],
        ),
        ({"bands": "B10"}, ["S2_MSIL2A", "S2_MSIL1C"], []),
        ({"bands": "B10"}, ["S2_MSIL2A", "OTHER"], []),
        (
            {"bands": "Oa22"},
            [],
            [("bands", "expected bands such as B02, SCL, VV or Oa03, found Oa22; did you mean Oa21?")],
        ),
        (
            {"bands": "IW2"},
            ["S1_SAR_GRD"],
            [("bands", "expected bands of S1_SAR_GRD (VV, VH, HH, HV, CAL, NOISE, RFI), found IW2")],
        ),
        (
            {"bands": "GEO"},
            ["S3_OL_2_LFR"],
            [("bands", "expected none for S3_OL_2_LFR, found GEO; --members chooses its files by pattern")],
        ),
        (
            {"bands": "B99"},
            ["S2_MSIL2A"],
            [("bands", f"expected bands of S2_MSIL2A ({L2A}), found B99")],
        ),
        (
            {"bands": "Oa23"},
            [],
            [("bands", "expected bands such as B02, SCL, VV or Oa03, found Oa23")],
        ),
        ({"members": "*.nc"}, ["S3_OL_2_LFR"], []),
        ({"metadata_only": True}, ["S3_OL_2_LFR"], []),
        ({"bands": "B02,B08", "resolution": "20,10"}, ["S2_MSIL2A"], []),
        ({"bands": "B02,B08", "resolution": "all"}, ["S2_MSIL2A"], []),
        ({"bands": "MASKS,PVI", "resolution": "20"}, ["S2_MSIL2A"], []),
        (
            {"bands": "B02,B08,B05", "resolution": "60"},
            ["S2_MSIL2A"],
            [("resolution", "expected 10 for B08 of S2_MSIL2A, found 60")],
        ),
        (
            {"bands": "B05", "resolution": "10"},
            ["S2_MSIL2A"],
            [("resolution", "expected 20 or 60 for B05 of S2_MSIL2A, found 10")],
        ),
        (
            {"bands": "VV", "resolution": "10"},
            ["S1_SAR_GRD"],
            [("resolution", "expected none for S1_SAR_GRD, whose images have one only, found 10")],
        ),
        (
            {"resolution": "all"},
            ["S3_SL_1_RBT"],
            [("resolution", "expected none for S3_SL_1_RBT, found all; --members chooses its files by pattern")],
        ),
    ],
)
def test_what_a_collection_cannot_have(
    values: dict[str, Any], collections: list[str], problems: list[tuple[str, str]]
) -> None:
    assert list(wish_problems(Wish.from_dict(values), collections)) == problems
