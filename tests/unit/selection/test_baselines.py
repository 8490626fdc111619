"""Of each acquisition the newest baseline, whatever the catalogue's order, and no ground lost."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.errors import CatalogueError
from collgs_async.models.product import Product, RawTimes
from collgs_async.models.sentinel import parse
from collgs_async.selection.baselines import SAME_GROUND, latest_baseline, supersedes
from collgs_async.selection.filters import Excluded
from tests.conftest import level2_scenes
from tests.support.selection import box, gathered, handed_out, silent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

checked = settings(deadline=None, derandomize=True, max_examples=80)

WHOLE = box(5, 49, 6, 50)
NORTH = box(5, 49.4, 6, 50)
SOUTH = box(5, 49, 6, 49.6)


def scene(
    *,
    tile: str = "31UGR",
    hour: int = 10,
    baseline: str = "0500",
    made: str = "20220105T120000",
    footprint: dict[str, Any] | None = WHOLE,
) -> Product:
    identifier = f"S2A_MSIL2A_20220104T{hour:02}3021_N{baseline}_R108_T{tile}_{made}"
    return Product(identifier, None, raw=RawTimes(f"2022-01-04T{hour:02}:30:21.024Z"), footprint=footprint)


def in_the_catalogues_order(products: Iterable[Product]) -> list[Product]:
    by_name = sorted(products, key=lambda product: product.identifier)
    return sorted(by_name, key=lambda product: product.raw.start or "", reverse=True)


async def chosen_of(products: Sequence[Product], **options: Any) -> tuple[list[Product], list[Excluded]]:
    """Choose, and see to it that each product is either chosen or dropped, and that once."""
    dropped: list[Excluded] = []
    chosen = [product async for product in latest_baseline(handed_out(products), dropped.append, **options)]
    accounted = [product.identifier for product in (*chosen, *(drop.product for drop in dropped))]
    assert sorted(product.identifier for product in products) == sorted(accounted)
    return chosen, dropped


def ids(products: Iterable[Product]) -> set[str]:
    return {product.identifier for product in products}


async def test_the_newest_baseline_is_chosen_and_the_others_are_told() -> None:
    old, new, newest = (scene(baseline=baseline) for baseline in ("0301", "0400", "0511"))

    chosen, dropped = await chosen_of([old, newest, new])

    assert [newest] == chosen
    assert ids([old, new]) == ids(drop.product for drop in dropped)
    assert {f"{newest.identifier} has a newer baseline"} == {drop.reason for drop in dropped}


async def test_of_one_baseline_the_later_made_one_is_chosen() -> None:
    soon, late = scene(made="20220104T150000"), scene(made="20220509T093247")

    chosen, dropped = await chosen_of([late, soon])

    assert [late] == chosen
    assert [f"{late.identifier} shows the same and was made later"] == [drop.reason for drop in dropped]


async def test_both_parts_of_a_tile_that_two_stations_received_are_kept() -> None:
    north, south = scene(made="20220104T100652", footprint=NORTH), scene(made="20220104T130912", footprint=SOUTH)
    older = [dataclasses.replace(part, identifier=part.identifier.replace("N0500", "N0301")) for part in (north, south)]

    chosen, dropped = await chosen_of([*older, north, south])

    assert ids([north, south]) == ids(chosen)
    assert ids(older) == ids(drop.product for drop in dropped)


async def test_without_footprints_the_later_made_one_stands_for_all() -> None:
    soon, late = scene(made="20220104T150000", footprint=None), scene(made="20220509T093247", footprint=None)

    assert [late] == (await chosen_of([soon, late]))[0]


async def test_a_baseline_of_another_processor_never_replaces_esas() -> None:
    official, own = scene(baseline="0301"), scene(baseline="9933", made="20250401T000000")

    assert [official] == (await chosen_of([official, own]))[0]


async def test_what_names_no_baseline_is_kept_and_does_not_wait() -> None:
    radar = "S1A_IW_GRDH_1SDH_20220402T225426_20220402T225450_042600_051507"
    others = [Product(name, None) for name in (f"{radar}_D109", f"{radar}_0A0E", "unnamed-0123", "")]
    held = scene()

    chosen, dropped = await chosen_of([held, *others])

    assert [*others, held] == chosen
    assert [] == dropped


EDITIONS = st.tuples(st.sampled_from(["0209", "0301", "0400", "0500", "0511", "9933"]), st.integers(10, 59))
SCENES = st.dictionaries(
    st.tuples(st.sampled_from(["31UGR", "31UGS", "32ULV"]), st.integers(0, 23)),
    st.lists(EDITIONS, min_size=1, max_size=4, unique=True),
    max_size=8,
)


def products_of(scenes: dict[tuple[str, int], list[tuple[str, int]]], **options: Any) -> list[Product]:
    return [
        scene(tile=tile, hour=hour, baseline=baseline, made=f"20220105T1200{minute}", **options)
        for (tile, hour), editions in scenes.items()
        for baseline, minute in editions
    ]


def best_of(products: Iterable[Product]) -> set[str]:
    """Say it the plain way: by acquisition, the greatest edition, then the last made."""
    best: dict[str, tuple[Any, str]] = {}
    for product in products:
        name = parse(product.identifier)
        assert name is not None
        rank = ((name.edition, name.produced), product.identifier)
        best[name.acquisition] = max(best.get(name.acquisition, rank), rank)
    return {identifier for _, identifier in best.values()}


@checked
@given(SCENES, st.sampled_from([WHOLE, None]))
def test_in_the_catalogues_order_exactly_the_best_of_each_is_chosen(
    scenes: dict[tuple[str, int], list[tuple[str, int]]], footprint: dict[str, Any] | None
) -> None:
    products = in_the_catalogues_order(products_of(scenes, footprint=footprint))

    chosen, _ = asyncio.run(chosen_of(products))

    assert best_of(products) == ids(chosen)
    assert len(best_of(products)) == len(chosen)


@checked
@given(SCENES, st.randoms(use_true_random=False))
def test_in_any_order_exactly_the_best_is_chosen_while_all_are_held(
    scenes: dict[tuple[str, int], list[tuple[str, int]]], random: Any
) -> None:
    products = products_of(scenes)
    random.shuffle(products)

    chosen, _ = asyncio.run(chosen_of(products, span=timedelta(days=1)))

    assert best_of(products) == ids(chosen)


@checked
@given(SCENES, st.randoms(use_true_random=False), st.integers(0, 3))
def test_in_any_order_and_with_little_room_the_best_is_always_among_the_chosen(
    scenes: dict[tuple[str, int], list[tuple[str, int]]], random: Any, most_held: int
) -> None:
    products = products_of(scenes)
    random.shuffle(products)

    chosen, dropped = asyncio.run(chosen_of(products, most_held=most_held))

    assert best_of(products) <= ids(chosen)
    editions = {product.identifier: parse(product.identifier) for product in products}
    for drop in dropped:
        name = editions[drop.product.identifier]
        assert name is not None
        assert any(
            other is not None
            and other.acquisition == name.acquisition
            and (other.edition or ()) >= (name.edition or ())
            for other in (editions[product.identifier] for product in chosen)
        )


PARTS = st.lists(
    st.tuples(EDITIONS, st.tuples(st.integers(0, 10), st.integers(1, 10))),
    min_size=1,
    max_size=5,
    unique_by=lambda part: part[0],
)


@checked
@given(PARTS)
def test_no_ground_of_the_newest_baseline_is_lost(parts: list[tuple[tuple[str, int], tuple[int, int]]]) -> None:
    products = [
        scene(
            baseline=baseline, made=f"20220105T1200{minute}", footprint=box(5, 49 + low / 10, 6, 49 + (low + high) / 10)
        )
        for (baseline, minute), (low, high) in parts
    ]
    newest = max(parse(product.identifier).edition for product in products)  # type: ignore[union-attr,type-var]

    chosen, _ = asyncio.run(chosen_of(products))

    spans = {products[number].identifier: part[1] for number, part in enumerate(parts)}
    for product in products:
        name = parse(product.identifier)
        assert name is not None
        if name.edition == newest:
            low, high = spans[product.identifier]
            met = [
                min(low + high, other[0] + other[1]) - max(low, other[0])
                for other in (spans[one.identifier] for one in chosen)
            ]
            assert max(met) >= SAME_GROUND * high
        else:
            assert product.identifier not in ids(chosen)


async def test_an_older_one_is_dropped_even_when_it_comes_long_after(caplog: pytest.LogCaptureFixture) -> None:
    new, between, old = scene(baseline="0511"), scene(hour=8), scene(baseline="0301")

    chosen, dropped = await chosen_of([new, between, old])

    assert [new, between] == chosen
    assert [Excluded(old, "a product of a newer baseline was chosen before", "older baseline")] == dropped
    assert "" == caplog.text


async def test_a_newer_one_that_comes_too_late_is_chosen_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    old, between, new, older = scene(baseline="0400"), scene(hour=8), scene(baseline="0511"), scene(baseline="0301")
    caplog.set_level(logging.WARNING, logger="collgs_async")

    chosen, dropped = await chosen_of([old, between, new, scene(hour=7), older])

    assert [old, between, new, scene(hour=7)] == chosen
    assert [older] == [drop.product for drop in dropped]
    assert [f"{new.identifier} has a newer baseline than a product of the same scene that was chosen before"] == [
        record.getMessage() for record in caplog.records
    ]


async def test_many_newer_ones_that_come_too_late_are_two_warnings(caplog: pytest.LogCaptureFixture) -> None:
    hours = range(23, -1, -1)
    old, new = ([scene(hour=hour, baseline=baseline) for hour in hours] for baseline in ("0400", "0511"))
    caplog.set_level(logging.WARNING, logger="collgs_async")

    chosen, dropped = await chosen_of([*old, *new])

    assert ([*old, *new], []) == (chosen, dropped)
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"{new[0].identifier} has a newer baseline than a product of the same scene")
    assert "the catalogue does not keep the products of one scene together: so it was 24 times" == last


async def test_the_newest_that_was_ever_chosen_is_remembered() -> None:
    new, old, middle = (scene(baseline=baseline) for baseline in ("0511", "0301", "0400"))

    chosen, dropped = await chosen_of([new, scene(hour=8), old, scene(hour=7), middle])

    assert [new, scene(hour=8), scene(hour=7)] == chosen
    assert [old, middle] == [drop.product for drop in dropped]


async def test_what_was_let_go_makes_room() -> None:
    past = [scene(hour=hour, baseline=baseline) for hour in range(23, 11, -1) for baseline in ("0301", "0511")]
    take = [scene(tile=f"{zone:02}UGR", baseline=baseline) for baseline in ("0301", "0511") for zone in range(1, 9)]

    chosen, _ = await chosen_of([*past, *take], most_held=len(take))

    assert best_of([*past, *take]) == ids(chosen)


async def test_one_of_the_same_baseline_that_comes_late_may_be_the_other_part(caplog: pytest.LogCaptureFixture) -> None:
    north, between, south = scene(footprint=NORTH), scene(hour=8), scene(made="20220105T130000", footprint=SOUTH)

    chosen, _ = await chosen_of([north, between, south])

    assert [north, between, south] == chosen
    assert "" == caplog.text


async def test_products_go_on_as_soon_as_the_catalogue_has_gone_on() -> None:
    products = in_the_catalogues_order(scene(tile=tile, hour=hour) for hour in range(24) for tile in ("31UGR", "31UGS"))
    taken: list[Product] = []

    async def watched() -> AsyncGenerator[Product, None]:
        for product in products:
            taken.append(product)
            yield product

    async with aclosing(latest_baseline(watched(), silent)) as chosen:
        ahead = [len(taken) - number async for number, _ in _numbered(chosen)]

    assert 24 * 2 == len(ahead)
    assert 3 >= max(ahead)


async def _numbered(products: AsyncGenerator[Product, None]) -> AsyncGenerator[tuple[int, Product], None]:
    number = 0
    async for product in products:
        yield number, product
        number += 1


async def test_no_more_is_held_than_was_said() -> None:
    products = [scene(tile=f"{zone:02}UGR") for zone in range(1, 61)]
    taken = given_out = 0

    async def watched() -> AsyncGenerator[Product, None]:
        nonlocal taken
        for product in products:
            taken += 1
            yield product

    async for _ in latest_baseline(watched(), silent, most_held=10):
        assert taken - given_out <= 11
        given_out += 1

    assert 60 == given_out


async def test_products_without_sensing_times_go_with_their_neighbours() -> None:
    granule = "S2A_OPER_MSI_L1C_TL_SGS__20160615T152456_A005124_T31PFM_N02"
    old, new = Product(f"{granule}.02", None), Product(f"{granule}.04", None)
    products = [scene(hour=12), old, new, scene(hour=9), scene(hour=8)]

    chosen, _ = await chosen_of(products)

    assert ids([scene(hour=12), new, scene(hour=9), scene(hour=8)]) == ids(chosen)


async def test_when_the_search_breaks_what_was_held_is_still_handed_on() -> None:
    old, new = scene(baseline="0301"), scene(baseline="0511")
    chosen: list[Product] = []

    async def broken() -> AsyncGenerator[Product, None]:
        yield old
        yield new
        raise CatalogueError("gone")

    with pytest.raises(CatalogueError, match="gone"):
        await gathered(latest_baseline(broken(), silent), chosen)

    assert [new] == chosen


async def test_ending_the_iteration_early_closes_the_search() -> None:
    closed = False

    async def watched() -> AsyncGenerator[Product, None]:
        nonlocal closed
        try:
            for hour in range(24):
                yield scene(hour=hour)
        finally:
            closed = True

    async with aclosing(latest_baseline(watched(), silent)) as chosen:
        await anext(chosen)

    assert closed


async def test_a_real_search_brings_each_scene_once(serve: Callable[..., Any]) -> None:
    """The catalogue gives the older baselines of all tiles before the newer ones, over several pages."""
    first, *rest = level2_scenes(8, size=1000)
    take = [
        dataclasses.replace(first, identifier=first.identifier[:-21] + f"{tile}{first.identifier[-16:]}")
        for tile in ("31UFR", "31UGR", "32ULV", "32UMV")
    ]
    again = [
        dataclasses.replace(
            scene,
            identifier=f"{scene.identifier[:-15]}20250101T000000".replace("_N0301_", "_N0511_"),
        )
        for scene in (*take, *rest)
    ]
    site = await serve([*take, *rest, *again], page_maximum=3)
    dropped: list[Excluded] = []

    async with site.client() as client:
        chosen = [product async for product in latest_baseline(client.catalogue.search(), dropped.append)]

    assert {scene.identifier for scene in again} == ids(chosen)
    assert {scene.identifier for scene in (*take, *rest)} == ids(drop.product for drop in dropped)


RADAR = "S1A_IW_GRDH_1SDV_20210924T172344_20210924T172409_039825_04B5D2_5F1"


@pytest.mark.parametrize(
    ("newer", "older", "expected"),
    [
        (scene(baseline="0510"), scene(baseline="0500"), True),
        (scene(made="20230105T120000"), scene(), True),
        (scene(baseline="0510", made="20220105T110000"), scene(), True),  # a later baseline, whenever it was made
        (scene(), scene(), False),
        (scene(baseline="0500"), scene(baseline="0510"), False),
        (scene(baseline="9999"), scene(), False),  # not made by ESA
        (scene(), scene(baseline="9999"), True),
        (scene(baseline="0510", tile="31UFR"), scene(), False),
        (scene(baseline="0510", hour=11), scene(), False),
        (scene(baseline="0510", footprint=NORTH), scene(), False),
        (scene(baseline="0510"), scene(footprint=NORTH), True),
        (scene(baseline="0510", footprint=None), scene(), False),
        (scene(baseline="0510"), scene(footprint=None), False),
        (Product(f"{RADAR}C", None, footprint=WHOLE), Product(f"{RADAR}A", None, footprint=WHOLE), False),
        (Product("x2", None, footprint=WHOLE), Product("x1", None, footprint=WHOLE), False),
    ],
)
def test_what_supersedes_what(newer: Product, older: Product, expected: bool) -> None:
    assert supersedes(newer, older) is expected


ANY_EDITION = st.builds(
    scene,
    baseline=st.sampled_from(["0400", "0500", "9999"]),
    made=st.sampled_from(["20220105T120000", "20230105T120000"]),
    footprint=st.sampled_from([WHOLE, NORTH, SOUTH, None]),
)


@given(ANY_EDITION, ANY_EDITION)
def test_no_two_products_supersede_each_other(one: Product, other: Product) -> None:
    assert not (supersedes(one, other) and supersedes(other, one))
