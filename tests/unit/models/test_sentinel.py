"""What identifiers say: real ones, made-up ones that must come back as they were made, and hostile ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collgs_async.demo.scenes import make_scenes
from collgs_async.models.sentinel import Name, parse

checked = settings(deadline=None, derandomize=True, max_examples=100)

TIMES = st.datetimes(datetime(2014, 1, 1), datetime(2099, 12, 31)).map(lambda time: time.replace(microsecond=0))
ORBITS = st.integers(0, 999)
TILES = st.from_regex(
    "[0-9]{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V]", fullmatch=True, alphabet=st.characters(codec="ascii")
)
SUFFIXES = st.sampled_from(["", ".SAFE", ".SEN3", ".zip", ".SAFE.zip", ".SEN3.zip"])
REAL = {
    "radar": "S1A_IW_GRDH_1SDV_20151021T063752_20151021T063817_008247_00B9CD_2770",
    "tile": "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718",
    "old product": "S2A_OPER_PRD_MSIL1C_PDMC_20160308T090616_R094_V20160305T110109_20160305T110109",
    "old granule": "S2A_OPER_MSI_L1C_TL_SGS__20160615T152456_A005124_T31PFM_N02.04",
    "Sentinel-3": "S3A_OL_1_EFR____20210810T081245_20210810T081545_20210810T100954_0179_075_078_2340_LN1_O_NR_002",
}


def said(identifier: str) -> Name:
    name = parse(identifier)
    assert name is not None
    return name


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def stamp(time: datetime) -> str:
    return f"{time:%Y%m%dT%H%M%S}"


def test_a_radar_product() -> None:
    name = said(REAL["radar"])

    assert (
        Name(
            platform="S1A",
            product_type="GRD",
            level="1",
            acquisition="S1A_IW_GRDH_1SDV_20151021T063752_20151021T063817_008247_00B9CD",
            mode="IW",
            resolution="H",
            polarisation="DV",
            start=utc("2015-10-21T06:37:52"),
            stop=utc("2015-10-21T06:38:17"),
            relative_orbit=(8247 - 73) % 175 + 1,
            absolute_orbit=8247,
        )
        == name
    )
    assert ("S1", ("VV", "VH")) == (name.mission, name.channels)
    assert {"GRD", "GRDH"} == name.product_types


def test_a_tile_of_sentinel_2() -> None:
    name = said(REAL["tile"])

    assert (
        Name(
            platform="S2A",
            product_type="S2MSI2A",
            level="2A",
            acquisition="S2A_MSIL2A_20210924T163021_R083_T15SYR",
            start=utc("2021-09-24T16:30:21"),
            relative_orbit=83,
            tile="15SYR",
            baseline=(3, 1),
            produced=utc("2021-09-24T21:17:18"),
        )
        == name
    )
    assert {"S2MSI2A", "MSIL2A"} == name.product_types
    assert () == name.channels


def test_an_old_product_of_sentinel_2_has_no_tile_and_no_baseline() -> None:
    assert Name(
        platform="S2A",
        product_type="S2MSI1C",
        level="1C",
        acquisition="S2A_MSIL1C_V20160305T110109_20160305T110109_R094",
        start=utc("2016-03-05T11:01:09"),
        stop=utc("2016-03-05T11:01:09"),
        relative_orbit=94,
        produced=utc("2016-03-08T09:06:16"),
    ) == said(REAL["old product"])


def test_an_old_granule_of_sentinel_2_has_an_absolute_orbit_and_no_sensing_time() -> None:
    name = Name(
        platform="S2A",
        product_type="S2MSI1C",
        level="1C",
        acquisition="S2A_MSIL1C_A005124_T31PFM",
        absolute_orbit=5124,
        tile="31PFM",
        baseline=(2, 4),
        produced=utc("2016-06-15T15:24:56"),
    )

    assert name == said(REAL["old granule"])
    assert None is said(REAL["old granule"].removesuffix("_N02.04")).baseline


def test_a_frame_of_sentinel_3() -> None:
    name = said(REAL["Sentinel-3"])

    assert ("S3", "S3A", "OL_1_EFR", "1") == (name.mission, name.platform, name.product_type, name.level)
    assert (utc("2021-08-10T08:12:45"), utc("2021-08-10T08:15:45")) == (name.start, name.stop)
    assert (78, (2,), utc("2021-08-10T10:09:54")) == (name.relative_orbit, name.baseline, name.produced)


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        (
            "S3A_OL_2_WFR____20160425T134227_20160425T134427_20171030T154612_0119_003_238______MR1_R_NT_002",
            {"product_type": "OL_2_WFR", "relative_orbit": 238, "level": "2"},
        ),
        (
            "S3B_SR_2_LAN____20220903T105648_20220903T114717_20220905T050748_3029_070_094______PS2_O_ST_004",
            {"product_type": "SR_2_LAN", "relative_orbit": 94, "baseline": (4,)},
        ),
        (
            "S3A_SY_2_VG1____20200101T000000_20200102T000000_20200103T000000_EUROPE____________LN2_O_NT_002",
            {"product_type": "SY_2_VG1", "relative_orbit": None},
        ),
        (
            "S1B_IW_RAW__0SDV_20210810T044826_20210810T044859_028179_035C9B_6C5A",
            {"product_type": "RAW", "resolution": None, "level": "0", "relative_orbit": (28179 - 27) % 175 + 1},
        ),
        (
            "S1A_IW_GRDH_1SDV_20151021T063752_20151021T063817_008247_00B9CD_2770_COG",
            {"acquisition": said(REAL["radar"]).acquisition},
        ),
        ("S2B_MSIL1C_20220101T111349_N0301_R137_T30STF_20220101T132332", {"tile": "30STF", "level": "1C"}),
    ],
)
def test_other_real_names(identifier: str, expected: dict[str, Any]) -> None:
    name = said(identifier)

    assert expected == {field: getattr(name, field) for field in expected}


@pytest.mark.parametrize(
    ("platform", "absolute", "relative"),
    [
        ("S1A", 73, 1),
        ("S1A", 72, 175),
        ("S1B", 27, 1),
        ("S1C", 1681, 110),
        ("S1C", 8018, 147),
        ("S1C", 8019, 46),
        ("S1D", 2389, 73),
    ],
)
def test_the_track_of_each_radar(platform: str, absolute: int, relative: int) -> None:
    name = said(f"{platform}_IW_SLC__1SSV_20260101T000000_20260101T000027_{absolute:06}_0638F1_95E7")

    assert relative == name.relative_orbit


def test_reprocessings_are_one_acquisition_and_others_are_not() -> None:
    old = said("S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718")
    new = said("S2A_MSIL2A_20210924T163021_N0500_R083_T15SYR_20230120T101112.SAFE")
    others = [
        "S2B_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718",
        "S2A_MSIL1C_20210924T163021_N0301_R083_T15SYR_20210924T211718",
        "S2A_MSIL2A_20210924T163022_N0301_R083_T15SYR_20210924T211718",
        "S2A_MSIL2A_20210924T163021_N0301_R084_T15SYR_20210924T211718",
        "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYS_20210924T211718",
    ]

    assert old.acquisition == new.acquisition
    assert len({old.acquisition, *(said(other).acquisition for other in others)}) == len(others) + 1
    assert (old.edition or ()) < (new.edition or ())


def test_two_products_of_one_radar_scene_are_one_acquisition_and_the_noise_of_it_another() -> None:
    scene = "S1A_IW_GRDH_1SDH_20220402T225426_20220402T225450_042600_051507"

    assert said(f"{scene}_D109").acquisition == said(f"{scene}_0A0E").acquisition
    assert said(f"{scene}_D109").acquisition != said(f"{scene}_D109".replace("1SDH", "1NDH")).acquisition
    assert None is said(f"{scene}_D109").edition


def test_a_later_delivery_of_a_sentinel_3_frame_is_the_same_acquisition() -> None:
    soon = said(REAL["Sentinel-3"])
    late = said(
        REAL["Sentinel-3"].replace("20210810T100954", "20210811T125419").replace("LN1_O_NR_002", "MAR_O_NT_003")
    )

    assert soon.acquisition == late.acquisition
    assert (soon.edition or ()) < (late.edition or ())


def test_a_baseline_that_is_not_esas_is_below_all_others() -> None:
    editions = [
        said(f"S2A_MSIL2A_20210924T163021_N{baseline}_R083_T15SYR_20210924T211718").edition
        for baseline in ("9933", "9999", "0001", "0214", "0500", "0511")
    ]

    assert sorted(edition for edition in editions if edition) == editions


def test_the_names_of_the_embedded_catalogue_are_all_known() -> None:
    scenes = make_scenes(60)

    names = [said(scene.identifier) for scene in scenes]

    assert [f"{scene.platform[0]}{scene.platform[-1]}{scene.serial}" for scene in scenes] == [
        name.platform for name in names
    ]


@checked
@given(
    st.sampled_from("ABCD"),
    st.sampled_from(["1B", "1C", "2A"]),
    TIMES,
    st.tuples(st.integers(0, 98), st.integers(0, 99)),
    ORBITS,
    TILES,
    TIMES,
    SUFFIXES,
)
def test_a_tile_comes_back_as_it_was_written(
    letter: str,
    level: str,
    start: datetime,
    baseline: tuple[int, int],
    orbit: int,
    tile: str,
    produced: datetime,
    suffix: str,
) -> None:
    text = (
        f"S2{letter}_MSIL{level}_{stamp(start)}_N{baseline[0]:02}{baseline[1]:02}_R{orbit:03}_T{tile}_{stamp(produced)}"
    )

    name = said(text + suffix)

    assert (f"S2{letter}", f"S2MSI{level}", level) == (name.platform, name.product_type, name.level)
    assert (start.replace(tzinfo=UTC), produced.replace(tzinfo=UTC)) == (name.start, name.produced)
    assert (baseline, baseline, orbit, tile) == (name.baseline, name.edition, name.relative_orbit, name.tile)


@checked
@given(
    st.sampled_from("ABCD"),
    st.sampled_from(["IW", "EW", "WV", "S1", "S6"]),
    st.sampled_from([("RAW", "_"), ("SLC", "_"), ("GRD", "F"), ("GRD", "H"), ("GRD", "M"), ("OCN", "_")]),
    st.sampled_from(["SH", "SV", "DH", "DV", "HH", "HV", "VV", "VH"]),
    TIMES,
    TIMES,
    st.integers(0, 999_999),
    SUFFIXES,
)
def test_a_radar_name_comes_back_as_it_was_written(
    letter: str,
    mode: str,
    kind: tuple[str, str],
    polarisation: str,
    start: datetime,
    stop: datetime,
    orbit: int,
    suffix: str,
) -> None:
    text = f"S1{letter}_{mode}_{''.join(kind)}_1S{polarisation}_{stamp(start)}_{stamp(stop)}_{orbit:06}_0638F1_95E7"

    name = said(text + suffix)

    assert (f"S1{letter}", mode, kind[0], polarisation) == (
        name.platform,
        name.mode,
        name.product_type,
        name.polarisation,
    )
    assert (kind[1] if kind[1] != "_" else None) == name.resolution
    assert (start.replace(tzinfo=UTC), stop.replace(tzinfo=UTC), orbit) == (name.start, name.stop, name.absolute_orbit)
    assert 1 <= (name.relative_orbit or 0) <= 175


@checked
@given(st.one_of(st.text(), st.text(alphabet="S123ABCD_MSILT0RNVOPER.").map("S2A_MSIL1C_".__add__)))
@example("")
@example("S2A")
@example("S2A_MSIL2A_20211324T163021_N0301_R083_T15SYR_20210924T211718")
@example("S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718\n")
@example("S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_٢0210924T211718")
@example("S2A_MSIL2A_00000000T000000_N0301_R083_T15SYR_20210924T211718")
@example("S2A_MSIL2A_20210924T163021_N0301_R083_T15SIR_20210924T211718")
@example("x" + REAL["tile"])
@example(REAL["tile"] + "x")
@example(REAL["tile"] + ".tar")
@example("\ud800" + REAL["radar"])
def test_what_is_no_product_says_nothing(text: str) -> None:
    assert None is parse(text)


@pytest.mark.parametrize("kind", REAL)
@checked
@given(data=st.data())
def test_a_damaged_name_never_raises_and_never_gives_a_part_of_itself(kind: str, data: st.DataObject) -> None:
    text = REAL[kind]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters())
    damaged = text[:at] + other + text[at + 1 :]

    name = parse(damaged)

    assert name is None or name.platform == damaged[:3]
    assert None is parse(text[:at]) or text[at:] == "_N02.04"  # which older granules do without


@pytest.mark.parametrize("kind", REAL)
def test_a_name_of_many_megabytes_is_refused_at_once(kind: str) -> None:
    """With a pattern that tries again and again, this would take longer than the suite is given."""
    for bait in ("_", "0", "_00", "T20210924T163021_", ".SAFE", ".zip"):
        assert None is parse(REAL[kind] + bait * 1_000_000)
        assert None is parse(REAL[kind][:12] + bait * 1_000_000)
