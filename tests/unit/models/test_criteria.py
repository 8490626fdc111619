"""Criteria as users write them, products as catalogues name them, and the best of many."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.errors import CatalogueError, ConfigError
from collgs_async.models.criteria import BestOf, Criteria
from collgs_async.models.product import Product, RawTimes
from collgs_async.selection.best import best
from collgs_async.selection.filters import Excluded, filter_products, rejection
from tests.conftest import level2_scenes
from tests.support.selection import gathered, handed_out, silent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

checked = settings(deadline=None, derandomize=True, max_examples=80)

TILE = Product(
    "S2A_MSIL2A_20210724T103021_N0301_R108_T31UGR_20210724T142857",
    None,
    raw=RawTimes("2021-07-24T10:30:21.024Z"),
    cloud_cover=12,
    orbit_direction="DESCENDING",
    orbit_number=108,
    platform="Sentinel-2A",
)
RADAR = Product(
    "S1B_IW_GRDH_1SDV_20211224T063752_20211224T063817_030130_00B9CD_2770",
    None,
    raw=RawTimes("2021-12-24T06:37:52Z"),
    orbit_direction="ASCENDING",
)
OCEAN = Product("S3A_OL_1_EFR____20210810T081245_20210810T081545_20210810T100954_0179_075_078_2340_LN1_O_NR_002", None)
NAMELESS = Product("unnamed-0123", None, raw=RawTimes("2021-07-24"), orbit_number=108, platform="SENTINEL-2B")
ALL = (TILE, RADAR, OCEAN, NAMELESS)


def wanted(*products: Product, **criteria: object) -> list[Product]:
    """Sift, and see to it that what is not handed on is told."""
    dropped: list[Excluded] = []

    async def sifted() -> list[Product]:
        return [
            product async for product in filter_products(handed_out(products), Criteria.parse(criteria), dropped.append)
        ]

    kept = asyncio.run(sifted())
    assert [product for product in products if product not in kept] == [drop.product for drop in dropped]
    return kept


def reason(product: Product, **criteria: object) -> str | None:
    dropped = rejection(product, Criteria.parse(criteria))
    return dropped.reason if dropped else None


def problem(**criteria: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Criteria.parse(criteria)
    (line,) = caught.value.problems
    return line


def test_without_wishes_all_are_wanted() -> None:
    assert list(ALL) == wanted(*ALL)
    assert list(ALL) == wanted(*ALL, tile=None, months="", platform=" ")


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({"tile": "31UGR"}, [TILE]),
        ({"tile": "T31ugr, 32ULV"}, [TILE]),
        ({"tile": ["32ULV", "31UGR"]}, [TILE]),
        ({"tile": "32ULV"}, []),
        ({"relative_orbit": "8,108"}, [TILE, NAMELESS]),
        ({"relative_orbit": [8, 78]}, [OCEAN]),
        ({"relative_orbit": 4}, [RADAR]),
        ({"relative_orbit": "R108, r004"}, [TILE, RADAR, NAMELESS]),
        ({"platform": "S2A"}, [TILE]),
        ({"platform": "sentinel-2b"}, [NAMELESS]),
        ({"platform": "Sentinel-2"}, [TILE, NAMELESS]),
        ({"platform": "S1,S3A"}, [RADAR, OCEAN]),
        ({"orbit_direction": "asc"}, [RADAR]),
        ({"orbit_direction": "Ascending,DESCENDING"}, [TILE, RADAR]),
        ({"polarisation": "VV"}, [RADAR]),
        ({"polarisation": "vv,vh"}, [RADAR]),
        ({"polarisation": "HH"}, []),
        ({"polarisation": "SV,DV"}, [RADAR]),
        ({"polarisation": "SV"}, []),
        ({"product_type": "S2MSI2A"}, [TILE]),
        ({"product_type": "msil2a,grd"}, [TILE, RADAR]),
        ({"product_type": "GRDH"}, [RADAR]),
        ({"product_type": "GRDM"}, []),
        ({"product_type": "OL_1_EFR___"}, [OCEAN]),
        ({"months": "7"}, [TILE, NAMELESS]),
        ({"months": "5-9"}, [TILE, OCEAN, NAMELESS]),
        ({"months": "11-2"}, [RADAR]),
        ({"months": "1,8-8"}, [OCEAN]),
        ({"months": "1-12"}, [*ALL]),
        ({"months": 12}, [RADAR]),
        ({"platform": "S2", "months": "5-9", "tile": "31UGR"}, [TILE]),
        ({"platform": "S2", "months": "11-2"}, []),
    ],
)
def test_what_is_wanted(criteria: dict[str, object], expected: list[Product]) -> None:
    assert expected == wanted(*ALL, **criteria)


@pytest.mark.parametrize(
    ("product", "criteria", "expected"),
    [
        (TILE, {"tile": "32ULV,31UGS"}, "its tile is 31UGR, not 31UGS or 32ULV"),
        (RADAR, {"tile": "32ULV"}, "its tile is not known"),
        (TILE, {"relative_orbit": "9,8"}, "its relative orbit is 108, not 8 or 9"),
        (TILE, {"platform": "S1A"}, "its platform is S2A, not S1A"),
        (OCEAN, {"orbit_direction": "ASCENDING"}, "its orbit direction is not known"),
        (RADAR, {"polarisation": "HV,HH"}, "it has no polarisation HH or HV"),
        (RADAR, {"polarisation": "SH"}, "its polarisation is DV, not SH"),
        (TILE, {"product_type": "MSIL1C"}, "its product type is S2MSI2A, not MSIL1C"),
        (NAMELESS, {"product_type": "MSIL1C"}, "its product type is not known"),
        (RADAR, {"months": "5-6"}, "its month is 12, not 5 or 6"),
    ],
)
def test_why_not(product: Product, criteria: dict[str, object], expected: str) -> None:
    assert expected == reason(product, **criteria)


def test_what_is_not_known_is_counted_apart_from_what_is_another() -> None:
    kinds = [rejection(product, Criteria.parse({"orbit_direction": "asc"})) for product in (OCEAN, TILE)]

    assert ["orbit direction not known", "another orbit direction"] == [drop.kind for drop in kinds if drop]


def test_a_mission_has_four_platforms_and_a_zone_two_digits() -> None:
    fiji = Product("S2C_MSIL1C_20250301T222619_N0511_R072_T01KAB_20250301T235959", None)

    assert [fiji] == wanted(fiji, platform="S2", tile="1KAB")
    assert [fiji] == wanted(fiji, platform="S2C", tile="T01KAB")


def test_an_entrys_number_is_no_track_when_it_is_too_great() -> None:
    assert "its relative orbit is not known" == reason(
        Product("unnamed", None, orbit_number=30130), relative_orbit="130"
    )


EXPECTED = {
    "tile": "tiles such as 31UGR,32ULV",
    "relative_orbit": "relative orbits from 1 to 385, such as 8,108",
    "platform": "platforms such as S2A,S2B or Sentinel-2A, or a mission such as S2",
    "orbit_direction": "ASCENDING or DESCENDING",
    "polarisation": "channels that one product has, such as VV or VV,VH or HH,HV, or codes such as DV,SV",
    "product_type": "product types such as MSIL2A, GRD or OL_1_EFR",
    "months": "months from 1 to 12, such as 5-9, 11-2 or 1,5-9",
}


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("tile", "31UIR", '"31UIR"'),
        ("tile", "61UGR", '"61UGR"'),
        ("tile", "31UGR,", '"31UGR,"'),
        ("tile", [], "[]"),
        ("relative_orbit", "0", '"0"'),
        ("relative_orbit", 386, "386"),
        ("relative_orbit", "R", '"R"'),
        ("relative_orbit", True, "true"),
        ("relative_orbit", "1٢", '"1٢"'),
        ("platform", "Landsat-8", '"Landsat-8"'),
        ("orbit_direction", "up", '"up"'),
        ("polarisation", "VV,HH", '"VV,HH"'),
        ("polarisation", "VV,SH", '"VV,SH"'),
        ("product_type", "G RD", '"G RD"'),
        ("months", "0-3", '"0-3"'),
        ("months", "5-13", '"5-13"'),
        ("months", "May", '"May"'),
    ],
)
def test_a_wrong_wish_is_one_line(key: str, value: object, found: str) -> None:
    assert f"choose.{key}: expected {EXPECTED[key]}, found {found}" == problem(**{key: value})


def test_an_unknown_criterion_is_refused_with_the_known_ones() -> None:
    assert f'choose: expected {", ".join(EXPECTED)}, found "tiles"' == problem(tiles="31UGR")


def test_all_wrong_criteria_are_named_at_once_below_their_section() -> None:
    with pytest.raises(ConfigError) as caught:
        Criteria.parse({"tile": "x", "months": "13", "platform": "S2"}, section="parameters")

    assert ["parameters.tile", "parameters.months"] == [line.partition(":")[0] for line in caught.value.problems]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=5,
)


@checked
@given(st.dictionaries(st.sampled_from(sorted(EXPECTED)), ANYTHING))
def test_whatever_is_written_becomes_wishes_or_lines_for_the_user(given_wishes: dict[str, object]) -> None:
    lines: tuple[str, ...] = ()
    try:
        criteria = Criteria.parse(given_wishes)
    except ConfigError as error:
        lines = error.problems
    else:
        assert criteria != Criteria() or all(rejection(product, criteria) is None for product in ALL)

    assert all(line.startswith("choose.") and line.isprintable() for line in lines)


@checked
@given(st.integers(1, 12), st.integers(1, 12))
def test_a_season_may_go_over_the_turn_of_the_year(first: int, last: int) -> None:
    months, month = {first}, first
    while month != last:
        month = month % 12 + 1
        months.add(month)

    assert months == Criteria.parse({"months": f"{first}-{last}"}).months


async def test_a_sieve_that_is_closed_closes_the_search() -> None:
    closed = False

    async def watched() -> AsyncGenerator[Product, None]:
        nonlocal closed
        try:
            for product in ALL:
                yield product
        finally:
            closed = True

    async with aclosing(filter_products(watched(), Criteria(), silent)) as kept:
        await anext(kept)

    assert closed


async def test_a_real_search_is_sifted(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(12, size=1000)
    site = await serve(scenes, page_maximum=5)
    tiles = {scene.identifier[39:44] for scene in scenes[:2]}
    dropped: list[Excluded] = []

    async with site.client() as client:
        criteria = Criteria.parse({"tile": ",".join(tiles), "platform": "S2A"})
        matching = filter_products(client.catalogue.search(), criteria, dropped.append)
        kept = [product.identifier async for product in matching]

    fit = {
        scene.identifier for scene in scenes if scene.identifier[39:44] in tiles and scene.identifier.startswith("S2A")
    }
    assert 0 < len(fit) < len(scenes)
    assert fit == set(kept)
    assert len(scenes) - len(fit) == len(dropped)


# The best of many


def shot(
    tile: str = "31UGR", day: int = 4, month: int = 1, *, cloud: float | None = 0, baseline: str = "0400"
) -> Product:
    return Product(
        f"S2A_MSIL2A_2022{month:02}{day:02}T103021_N{baseline}_R108_T{tile}_20230101T000000",
        None,
        raw=RawTimes(f"2022-{month:02}-{day:02}T10:30:21.024Z"),
        cloud_cover=cloud,
    )


def best_of(
    products: Sequence[Product], per: str, by: str = "cloud", coverage: Callable[[Product], float | None] | None = None
) -> tuple[list[Product], list[Excluded]]:
    dropped: list[Excluded] = []

    async def found() -> list[Product]:
        stage = best(handed_out(products), BestOf.parse(per, by), dropped.append, coverage=coverage)
        return [product async for product in stage]

    chosen = asyncio.run(found())
    assert len(products) == len(chosen) + len(dropped)
    return chosen, dropped


def test_the_clearest_of_each_tile() -> None:
    cloudy, clear, other = shot(day=4, cloud=40), shot(day=9, cloud=3), shot("32ULV", cloud=90)

    chosen, dropped = best_of([cloudy, other, clear], "tile")

    assert [clear, other] == chosen
    assert [Excluded(cloudy, f"{clear.identifier} has less cloud", "not the best")] == dropped


def test_the_clearest_of_each_tile_and_month() -> None:
    january, july = shot(month=1, cloud=40), shot(month=7, cloud=3)

    assert [january, july] == best_of([january, shot(month=1, day=9, cloud=41), july], "tile, month")[0]


def test_the_clearest_of_each_day() -> None:
    clear = shot("32ULV", cloud=1)

    assert [clear, shot(day=5, cloud=99)] == best_of([shot(cloud=2), clear, shot(day=5, cloud=99)], "day")[0]


def test_unknown_cloud_is_worse_than_any() -> None:
    assert [shot(day=9, cloud=100)] == best_of([shot(cloud=None), shot(day=9, cloud=100)], "tile")[0]
    assert [shot(cloud=None)] == best_of([shot(cloud=None)], "tile")[0]


def test_the_one_that_covers_most() -> None:
    covers = {shot(day=4).identifier: 20.0, shot(day=9).identifier: 80.0, shot(day=14).identifier: math.nan}

    chosen, dropped = best_of(
        [shot(day=14), shot(day=4), shot(day=9), shot(day=19)],
        "month",
        "coverage",
        lambda product: covers.get(product.identifier),
    )

    assert [shot(day=9)] == chosen
    assert f"{shot(day=9).identifier} covers more" in {drop.reason for drop in dropped}


def test_between_equals_the_other_merit_then_the_baseline_then_the_later_one() -> None:
    full, part = shot(day=4), shot(day=9)

    chosen, dropped = best_of([part, full], "tile", "cloud", lambda product: 100 if product == full else 50)

    assert ([full], [f"{full.identifier} covers more"]) == (chosen, [drop.reason for drop in dropped])
    assert [shot(baseline="0511")] == best_of([shot(baseline="0511"), shot(day=9)], "tile")[0]
    chosen, dropped = best_of([shot(day=4), shot(day=9)], "tile")
    assert ([shot(day=9)], [f"{shot(day=9).identifier} is as good and newer"]) == (
        chosen,
        [drop.reason for drop in dropped],
    )


def test_between_equals_of_two_platforms_the_later_one_is_best() -> None:
    later = shot(day=9)
    earlier = dataclasses.replace(shot(day=4), identifier=shot(day=4).identifier.replace("S2A", "S2B"))

    assert [later] == best_of([later, earlier], "tile")[0]


def test_what_belongs_to_no_group_is_kept_and_said(caplog: pytest.LogCaptureFixture) -> None:
    chosen, dropped = best_of([RADAR, TILE, OCEAN], "tile")

    assert ([RADAR, OCEAN, TILE], []) == (chosen, dropped)
    assert ["2 products belong to no tile and are all kept"] == [record.getMessage() for record in caplog.records]


SHOTS = st.lists(
    st.builds(
        shot,
        st.sampled_from(["31UGR", "32ULV"]),
        st.integers(1, 28),
        st.integers(1, 3),
        cloud=st.sampled_from([None, 0, 3, 50]),
        baseline=st.sampled_from(["0301", "0511"]),
    ),
    unique_by=lambda product: product.identifier,
    max_size=12,
)


@checked
@given(SHOTS, st.sampled_from(["tile", "day", "month", "tile,day", "tile,month"]), st.randoms(use_true_random=False))
def test_the_order_does_not_matter_and_each_group_has_one(products: list[Product], per: str, random: Any) -> None:
    shuffled = random.sample(products, len(products))
    best = BestOf.parse(per)

    chosen, dropped = best_of(products, per)

    assert {product.identifier for product in chosen} == {product.identifier for product in best_of(shuffled, per)[0]}
    assert {best.group(product) for product in products} == {best.group(product) for product in chosen}
    assert len({best.group(product) for product in products}) == len(chosen)
    cloud = {best.group(product): _cloud(product) for product in chosen}
    assert all(cloud[best.group(drop.product)] <= _cloud(drop.product) for drop in dropped)


def _cloud(product: Product) -> float:
    return math.inf if product.cloud_cover is None else product.cloud_cover


@pytest.mark.parametrize(
    ("per", "by", "expected"),
    [
        ("tiles", "cloud", ['choose.best_per: expected tile, day, month or several of these, found "tiles"']),
        ("", "cloud", ['choose.best_per: expected tile, day, month or several of these, found ""']),
        ("day,month", "cloud", ['choose.best_per: expected day or month, not both, found "day,month"']),
        (
            "year",
            "beauty",
            [
                'choose.best_per: expected tile, day, month or several of these, found "year"',
                'choose.by: expected cloud or coverage, found "beauty"',
            ],
        ),
    ],
)
def test_a_wrong_best_is_named(per: str, by: str, expected: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        BestOf.parse(per, by)

    assert expected == list(caught.value.problems)


def test_coverage_needs_an_area() -> None:
    with pytest.raises(ConfigError, match="expected an area of interest"):
        best_of([TILE], "tile", "coverage")


async def test_when_the_search_breaks_the_best_so_far_is_still_handed_on() -> None:
    chosen: list[Product] = []

    async def broken() -> AsyncGenerator[Product, None]:
        yield shot(cloud=40)
        yield shot(day=9, cloud=3)
        raise CatalogueError("gone")

    with pytest.raises(CatalogueError, match="gone"):
        await gathered(best(broken(), BestOf.parse("tile"), silent), chosen)

    assert [shot(day=9, cloud=3)] == chosen
