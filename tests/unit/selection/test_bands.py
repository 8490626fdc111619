"""Members chosen by wishes: of real products, of those that lack a band, and of hostile archives."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.errors import NotAvailableError
from collgs_async.models.band_words import BAND_WORDS
from collgs_async.models.wish import Wish
from collgs_async.selection.bands import MemberFacts, check_wish, choose_members, describe_member
from tests.support.golden import GOLDEN

checked = settings(deadline=None, derandomize=True, max_examples=100)


def chosen(kind: str, **values: Any) -> tuple[str, ...]:
    """Return the paths of the chosen members of a real product, below its top folder."""
    product = GOLDEN[kind]
    names = choose_members(product.names, Wish.from_dict(values), identifier=product.identifier)
    return tuple(name.partition("/")[2] for name in names)


def files(names: tuple[str, ...]) -> list[str]:
    return sorted(name.rpartition("/")[2] for name in names)


ALL_L1C = ", ".join(BAND_WORDS["S2MSI1C"].words)
ALL_L2A = ", ".join(BAND_WORDS["S2MSI2A"].words)
METADATA = "MTD_*.xml,*/MTD_*.xml,manifest.safe"


@pytest.mark.parametrize(
    ("kind", "values", "count"),
    [
        ("L2A", {"bands": "B02,B03,B04,B08,SCL", "members": f"{METADATA},INSPIRE.xml"}, 10),
        ("L2A", {"bands": "B02,B03,B04,B8A,SCL", "resolution": "20"}, 7),
        ("L2A", {"resolution": "20", "bands": ""}, 14 + 2),
        ("L2A", {"members": f"*_20m.jp2,{METADATA}"}, 20),
        ("L2A", {"bands": "SCL"}, 3),
        ("L2A", {"metadata_only": True}, 19),
        ("L1C", {"bands": "B02,B03,B04,B08", "members": METADATA}, 8),
        ("GRD", {"bands": "VV"}, 5),
        ("COG", {"bands": "VV"}, 5),
        ("SLC", {"bands": "VV,IW2"}, 6),
        ("SLC", {"metadata_only": True}, 25),
        ("OLCI", {"bands": "Oa03,Oa08,Oa17,GEO,TIE,FLAGS"}, 9),
    ],
)
def test_the_number_of_members(kind: str, values: dict[str, Any], count: int) -> None:
    assert len(chosen(kind, **values)) == count


def test_bands_with_what_gdal_needs() -> None:
    assert files(chosen("L2A", bands="b2,SCL")) == [
        "MTD_MSIL2A.xml",
        "MTD_TL.xml",
        "T01KAB_20230821T221941_B02_10m.jp2",
        "T01KAB_20230821T221941_SCL_20m.jp2",
    ]
    assert files(chosen("L1C", bands="B8A")) == ["MTD_MSIL1C.xml", "MTD_TL.xml", "T46RER_20210908T042701_B8A.jp2"]
    date = "20210809t173953-20210809t174018-039156-049f13-001"
    assert chosen("GRD", bands="VV") == (
        "manifest.safe",
        f"annotation/s1a-iw-grd-vv-{date}.xml",
        f"annotation/calibration/noise-s1a-iw-grd-vv-{date}.xml",
        f"annotation/calibration/calibration-s1a-iw-grd-vv-{date}.xml",
        f"measurement/s1a-iw-grd-vv-{date}.tiff",
    )
    assert chosen("OLCI", bands="Oa03,GEO") == ("xfdumanifest.xml", "Oa03_radiance.nc", "geo_coordinates.nc")


@pytest.mark.parametrize(
    ("resolution", "images"),
    [
        ("", ["B02_10m", "B05_20m", "B09_60m", "SCL_20m"]),
        ("20,10,60", ["B02_20m", "B05_20m", "B09_60m", "SCL_20m"]),
        ("60", ["B02_60m", "B05_60m", "B09_60m", "SCL_60m"]),
        ("10,60", ["B02_10m", "B05_60m", "B09_60m", "SCL_60m"]),
        ("all", ["B02_10m", "B02_20m", "B02_60m", "B05_20m", "B05_60m", "B09_60m", "SCL_20m", "SCL_60m"]),
    ],
)
def test_resolutions(resolution: str, images: list[str]) -> None:
    names = files(chosen("L2A", bands="B02,B05,B09,SCL", resolution=resolution))

    assert [name[-11:-4] for name in names if name.endswith(".jp2")] == images


def test_a_resolution_alone_takes_every_image_of_it() -> None:
    assert [name[-7:-4] for name in chosen("L1C", resolution="60") if name.endswith("jp2")] == ["B01", "B09", "B10"]
    first_of = files(chosen("L2A", resolution="10,20"))
    assert "T01KAB_20230821T221941_B02_10m.jp2" in first_of
    assert "T01KAB_20230821T221941_B05_20m.jp2" in first_of
    assert not [name for name in first_of if "60m" in name or "B09" in name or name.startswith("MSK")]
    assert len(first_of) == 7 + 8 + 2  # all of 10 m; of 20 m B01, B05 to B07, B8A, B11, B12, SCL
    assert len(chosen("L2A", resolution="all")) == 7 + 14 + 15 + 2


def test_masks_and_previews() -> None:
    assert len(chosen("L2A", bands="MASKS")) == 1 + 13 + 13 + 2 + 2
    assert len(chosen("L2A", bands="MASKS", resolution="10")) == 1 + 13 + 13 + 2
    assert len(chosen("L2A_N0214", bands="MASKS")) == 66 + 2 + 2
    assert [name[-11:] for name in chosen("L2A", bands="CLD,SNW", resolution="60") if "MSK" in name] == [
        "DPRB_60m.jp2"[-11:],
        "WPRB_60m.jp2"[-11:],
    ]
    assert files(chosen("L1C", bands="PVI", resolution="20"))[-1] == "T46RER_20210908T042701_PVI.jp2"


def test_names_of_early_level_2a_products() -> None:
    folder = (
        "S2A_MSIL2A_20170605T105031_N0205_R051_T31UGR_20170605T105303.SAFE/GRANULE/L2A_T31UGR_A010200_20170605T105303"
    )
    start = "L2A_T31UGR_20170605T105031"
    names = [
        f"{folder}/IMG_DATA/R10m/{start}_B02_10m.jp2",
        f"{folder}/IMG_DATA/R20m/{start}_B02_20m.jp2",
        f"{folder}/IMG_DATA/R20m/{start}_SCL_20m.jp2",
        f"{folder}/QI_DATA/{start}_CLD_20m.jp2",
        f"{folder}/QI_DATA/{start}_SNW_60m.jp2",
        f"{folder}/QI_DATA/{start}_PVI.jp2",
    ]

    got = choose_members(names, Wish(bands=("B02", "SCL", "CLD", "SNW", "PVI")), identifier=names[0].partition("/")[0])

    assert got == (names[0], *names[2:])


def test_channels_swaths_and_layers_of_a_radar() -> None:
    of_one = chosen("SLC", bands="VH,IW3")
    assert len(of_one) == 6
    assert all("-iw3-slc-vh-" in name for name in of_one[1:])
    assert len(chosen("SLC", bands="VV")) == 1 + 3 * 5
    assert len(chosen("SLC", bands="IW1")) == 1 + 2 * 5
    assert len(chosen("SLC", bands="IW1,IW2,VV,VH")) == 1 + 4 * 5
    assert chosen("SLC", bands="VV,IW2,CAL") == chosen("SLC", bands="VV,IW2")
    assert len(chosen("SLC", bands="RFI")) == 1 + 6
    assert files(chosen("GRD", bands="NOISE")) == [
        "manifest.safe",
        "noise-s1a-iw-grd-vh-20210809t173953-20210809t174018-039156-049f13-002.xml",
        "noise-s1a-iw-grd-vv-20210809t173953-20210809t174018-039156-049f13-001.xml",
    ]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("GRD", {"bands": "HH"}, "the archive has no HH; it has VV, VH, CAL, NOISE"),
        ("GRD", {"bands": "VV,RFI"}, "the archive has no RFI; it has VV, VH, CAL, NOISE"),
        ("GRD_EW", {"bands": "VV,HH,EW1"}, "the archive has no VV of EW1, HH of EW1; it has HH, HV, CAL, NOISE, RFI"),
        ("SLC", {"bands": "EW1"}, "the archive has no EW1; it has VV, VH, IW1, IW2, IW3, CAL, NOISE, RFI"),
        ("SLC", {"bands": "B02,VV"}, "the archive has no B02; it has VV, VH, IW1, IW2, IW3, CAL, NOISE, RFI"),
        (
            "L1C",
            {"bands": "B02,SCL,AOT"},
            f"the archive has no SCL, AOT; it has {ALL_L1C}",
        ),
        (
            "L2A_N0214",
            {"bands": "B01", "resolution": "20"},
            f"the archive has no B01 of 20 m (only of 60 m); it has {ALL_L2A}",
        ),
        ("GRD", {"resolution": "10"}, "the archive has no image with a resolution of 10 m; it has VV, VH, CAL, NOISE"),
        ("L2A", {"members": "*_B99*"}, 'none of the archive\'s 87 members matches "*_B99*"'),
        ("L2A", {"bands": "SCL", "members": "x,y"}, 'none of the archive\'s 87 members matches "x" or "y"'),
    ],
)
def test_what_an_archive_lacks(kind: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(NotAvailableError) as caught:
        chosen(kind, **values)

    assert str(caught.value) == message


OLD = "S2A_OPER_PRD_MSIL1C_PDMC_20160308T090616_R094_V20160305T110109_20160305T110109"
LAND = "S3A_OL_2_LFR____20180105T002409_20180105T002540_20180106T053045_0090_026_216_2069_LN1_O_NT_002"


@pytest.mark.parametrize(
    ("identifier", "names", "message"),
    [
        (
            OLD,
            [f"{OLD}.SAFE/GRANULE/X/IMG_DATA/S2A_OPER_MSI_L1C_TL_EPA__20160305T110109_A003659_T31UGR_B02.jp2"],
            "its format of before December 2016 has no words for bands; --members chooses its files by pattern",
        ),
        (
            LAND,
            [f"{LAND}.SEN3/geo_coordinates.nc"],
            "this kind of product has no words for bands; --members chooses its files by pattern",
        ),
    ],
)
def test_products_that_only_have_patterns(identifier: str, names: list[str], message: str) -> None:
    with pytest.raises(NotAvailableError) as caught:
        choose_members(names, Wish(bands=("B02",)), identifier=identifier)

    assert str(caught.value) == message
    assert choose_members(names, Wish(members=("*.nc", "*_B02.jp2")), identifier=identifier) == tuple(names)
    assert describe_member(names[0]) == MemberFacts()


def test_the_members_tell_the_kind_of_a_product_of_another_name() -> None:
    for kind, words in {"L2A": "SCL", "L1C": "B10", "GRD": "VV", "SLC": "IW2,VV", "OLCI": "Oa03,GEO"}.items():
        names = [f"product/{name.partition('/')[2]}" for name in GOLDEN[kind].names]

        got = choose_members(names, Wish.from_dict({"bands": words}), identifier="product")

        assert [name.partition("/")[2] for name in got] == list(chosen(kind, bands=words))


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("*_B0[248]_10m.jp2", 3),
        ("MTD_*.xml", 1),
        ("*mtd_*.XML", 3),
        ("GRANULE/*.jp2", 68),
        ("*/QI_DATA/*", 42),
        ("S2A_*", 0),
        ("*[!0-9]?m.jp2", 0),
        ("manifest.saf?", 1),
        ("*", 87),
    ],
)
def test_patterns(pattern: str, count: int) -> None:
    if count:
        assert len(chosen("L2A", members=pattern)) == count
    else:
        with pytest.raises(NotAvailableError):
            chosen("L2A", members=pattern)


def test_patterns_and_bands_add_up_in_the_order_of_the_archive() -> None:
    names = list(reversed(GOLDEN["L2A"].names))

    got = choose_members(
        [*names, *names, "S2A.SAFE/"],
        Wish(bands=("SCL",), members=("INSPIRE.xml",)),
        identifier=GOLDEN["L2A"].identifier,
    )

    assert [name.rpartition("_")[2] for name in got] == [
        "TL.xml",
        "20m.jp2",
        "20230822T021825.SAFE/INSPIRE.xml",
        "MSIL2A.xml",
    ]


def test_other_files_may_lie_beside_the_folder_of_the_product() -> None:
    product = GOLDEN["L2A"]

    got = choose_members(["readme.txt", *product.names], Wish(bands=("SCL",)), identifier=product.identifier)
    by_pattern = choose_members(
        ["readme.txt", *product.names], Wish(members=("*.txt", "MTD_*.xml")), identifier=product.identifier
    )

    assert got == choose_members(product.names, Wish(bands=("SCL",)), identifier=product.identifier)
    assert by_pattern == ("readme.txt", product.names[1])


def test_an_archive_without_a_top_folder_is_its_own() -> None:
    names = [name.partition("/")[2] for name in GOLDEN["L1C"].names]

    got = choose_members(names, Wish(bands=("B02",)), identifier=GOLDEN["L1C"].identifier)

    assert got == chosen("L1C", bands="B02")


def test_no_wish_means_every_file() -> None:
    names = GOLDEN["SLC"].names

    assert choose_members(["a/", *names], Wish(), identifier="x") == names


def test_metadata_are_no_pictures() -> None:
    for kind in GOLDEN:
        names = chosen(kind, metadata_only=True)
        assert not [name for name in names if name.endswith((".jp2", ".tiff", ".nc", ".png"))]
    with pytest.raises(NotAvailableError, match="no metadata of a known name"):
        choose_members(["a/b.bin"], Wish(metadata_only=True), identifier="x")


@pytest.mark.parametrize(
    ("kind", "end", "facts"),
    [
        ("L2A", "_B02_20m.jp2", MemberFacts("B02", 20, role="image")),
        ("L1C", "_B8A.jp2", MemberFacts("B8A", 20, role="image")),
        ("L1C", "_PVI.jp2", MemberFacts("PVI", 320)),
        ("L2A", "MSK_CLDPRB_60m.jp2", MemberFacts("CLD", 60, role="mask")),
        ("L2A", "MSK_DETFOO_B02.jp2", MemberFacts("MASKS", None, role="mask")),
        ("L2A", "AUX_ECMWFT", MemberFacts(role="metadata")),
        ("L2A", "MTD_TL.xml", MemberFacts(role="metadata")),
        ("SLC", "measurement/s1a-iw2-slc-vh-20210809t173954-20210809t174019-039156-049f13-002.tiff",
            MemberFacts("VH", None, "VH", "IW2", "image")),
        ("GRD", "noise-s1a-iw-grd-vv-20210809t173953-20210809t174018-039156-049f13-001.xml",
            MemberFacts("NOISE", None, "VV", "IW", "annotation")),
        ("SLC", "quick-look.png", MemberFacts()),
        ("OLCI", "Oa21_radiance.nc", MemberFacts("Oa21", role="image")),
        ("OLCI", "tie_meteo.nc", MemberFacts("TIE", role="auxiliary")),
        ("OLCI", "qualityFlags.nc", MemberFacts("FLAGS", role="auxiliary")),
        ("OLCI", "removed_pixels.nc", MemberFacts()),
    ],
)  # fmt: skip
def test_facts_of_members(kind: str, end: str, facts: MemberFacts) -> None:
    name = next(name for name in GOLDEN[kind].names if name.endswith(end))

    assert describe_member(name) == facts
    assert describe_member(name.partition("/")[2]) == facts


def test_check_wish_begins_with_the_key() -> None:
    check_wish(Wish(bands=("B10",)), ["S2_MSIL1C"])
    with pytest.raises(ValueError, match=r"^bands: expected bands of S2_MSIL2A .*, found B10; did you mean B09"):
        check_wish(Wish(bands=("B10",)), ["S2_MSIL2A"])


PIECES = st.sampled_from(
    ["GRANULE", "IMG_DATA", "R10m", "QI_DATA", "MSK_", "_B02", "_10m", ".jp2", "/", "//", "..", "\\", "\0", "\n", "C:",
     "measurement", "annotation", "s1a-iw2-slc-vv-", "s1a-iw-grd-hh-", ".tiff", "Oa01_radiance.nc", "tie_", ".nc",
     "MTD_MSIL2A.xml", "_", "-", ".", "é", "\u202e"]
) | st.text(max_size=8)  # fmt: skip
NAMES = st.lists(PIECES, max_size=12).map("".join)
WISHES = st.builds(
    Wish,
    bands=st.lists(st.sampled_from(sorted({word for one in BAND_WORDS.values() for word in one.words}))).map(tuple),
    resolutions=st.lists(st.sampled_from([10, 20, 60]), unique=True).map(tuple),
    every_resolution=st.booleans(),
    metadata_only=st.booleans(),
    members=st.lists(st.text("*?[]!aBs-_/.1\n", min_size=1, max_size=12)).map(tuple),
)
IDENTIFIERS = st.sampled_from([*(product.identifier for product in GOLDEN.values()), OLD, LAND, "x", ""]) | st.text()


@checked
@given(st.lists(NAMES, max_size=20), WISHES, IDENTIFIERS)
def test_any_archive_gives_some_of_its_own_files_or_a_clear_error(
    names: list[str], wish: Wish, identifier: str
) -> None:
    got: tuple[str, ...] = ()
    problem = None
    try:
        got = choose_members(names, wish, identifier=identifier)
    except NotAvailableError as error:
        problem = str(error)
    if problem is not None:
        assert problem.isprintable()
        assert wish
        return
    assert [name for name in dict.fromkeys(names) if name in set(got)] == list(got)
    assert not [name for name in got if name.endswith("/")]
    assert bool(got) or not [name for name in names if not name.endswith("/")]


@checked
@given(st.lists(NAMES.map("a/{}".format), min_size=1, max_size=20), st.text("*?aBs-_/.1", min_size=1, max_size=12))
def test_patterns_match_as_those_of_a_shell_in_any_case(names: list[str], pattern: str) -> None:
    files = [name for name in dict.fromkeys(names) if not name.endswith("/")]
    expected = [name for name in files if fnmatch(name[2:].lower(), pattern.lower())]
    try:
        got = list(choose_members(names, Wish(members=(pattern,)), identifier="x"))
    except NotAvailableError:
        got = []

    assert got == expected


@pytest.mark.parametrize(
    "name",
    [
        "IMG_DATA/" * 7000,
        "IMG_DATA/" + "_" * 65000 + "_B02.jp2",
        "QI_DATA/MSK_" + "_10m" * 16000 + ".jp2",
        "measurement/" + "s1a-iw-grd-vv-" * 4600,
        "MTD_MSIL2A.xm" * 5000,
        "a" * 65535,
    ],
)
def test_a_long_name_costs_little(name: str) -> None:
    """One whose time grew with the square of its length would not end within the timeout of a test."""
    names = [f"{number}{name}" for number in range(200)]

    with pytest.raises(NotAvailableError):
        choose_members(names, Wish(bands=("B02",), members=("*a*a*a*a*b",)), identifier="x")
