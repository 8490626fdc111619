"""Lists that change while they are read: nothing that is listed throughout is missed in silence."""

from __future__ import annotations

import asyncio
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from collgs_async import CatalogueError
from collgs_async.catalogue.known import Known
from collgs_async.catalogue.response import Page
from collgs_async.catalogue.rounds import Rounds
from tests.conftest import level2_scenes
from tests.support.listings import Item, Listing, archive, ask, client, collected, newest_first
from tests.support.servers import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.conftest import RecordedSleeps

IN_ORDER = ("appear", "front", "vanish", "swap one for another")
ANY = (*IN_ORDER, "shuffle", "exchange", "move", "rotate", "come back")


class Restless:
    """A list that changes between any two requests, and lies where it is told to.

    It takes no part in HTTP, so that thousands of schedules can be played.
    """

    def __init__(self, seed: int, changes: Sequence[str], total: str, *, empty: bool) -> None:
        self.rng = rng = random.Random(seed)
        self.items = [f"P{number}" for number in range(rng.choice([0, 1, 2, 3, 5, 8, 13, 20, 28, 40]))]
        self.throughout = set(self.items)
        self._changes = changes
        self._total = total
        self._often = rng.choice([0, 0.1, 0.3, 1])
        self._size = rng.choice([1, 2, 3, 4, 5, 7, 10])
        self._given = min(self._size, rng.choice([self._size, self._size, 3]))
        self._links = rng.choice(["none", "right", "always"])
        self._says_size = self._given == self._size and rng.random() < 0.5
        self._empty = rng.choice([0, 0.1]) if empty else 0
        self._gone: list[str] = []
        self._appeared = 0
        self.requests = 0

    async def ask(self, position: int) -> tuple[Page[Item], int]:
        if self.requests and self.rng.random() < self._often:
            for _ in range(self.rng.choice([1, 1, 1, 2, 3])):
                self._change(self.rng.choice(self._changes))
            self.throughout &= set(self.items)
        self.requests += 1
        names = self.items[position - 1 : position - 1 + self._given]
        there, more = len(self.items), position - 1 + len(names) < len(self.items)
        total = {
            "right": there,
            "none": None,
            "its own": len(names),
            "too small": max(0, there - 3),
            "too large": there + 2,
            "zero": 0,
            "any": self.rng.randint(0, 2 * there),
        }[self._total]
        if self.rng.random() < self._empty and (position > 1 or total):
            names = []
        links = {"none": None, "right": more, "always": True}[self._links]
        items = tuple(Item(name) for name in names)
        size = self._size if self._says_size else len(names) if self._given < self._size else None
        return Page(items, total, None, links, size=size), self._size

    def _change(self, what: str) -> None:
        items, rng = self.items, self.rng
        place = rng.randrange(len(items)) if items else 0
        if what in {"appear", "front", "swap one for another"} and self._appeared < 60:
            self._appeared += 1
            items.insert(0 if what == "front" else place, f"N{self._appeared}")
        if what in {"vanish", "swap one for another"} and len(items) > 3:
            self._gone.append(items.pop(rng.randrange(len(items))))
        elif what == "come back" and self._gone:
            items.insert(place, self._gone.pop())
        elif what == "shuffle":
            rng.shuffle(items)
        elif what == "exchange" and items:
            other = rng.randrange(len(items))
            items[place], items[other] = items[other], items[place]
        elif what == "move" and items:
            items.insert(place, items.pop(rng.randrange(len(items))))
        elif what == "rotate":
            items[:] = items[place:] + items[:place]


async def play(seed: int, changes: Sequence[str], total: str = "right", *, empty: bool = True) -> tuple[bool, set[str]]:
    """Read a restless list; say whether that ended without an error, and what of it was missed."""
    restless = Restless(seed, changes, total, empty=empty)
    rounds = Rounds(restless.ask, Known())
    came: list[str] = []
    try:
        async for item, twin in rounds:
            assert twin is None
            came.append(item.name)
        well = rounds.shortfall is None
    except CatalogueError:
        well = False
    assert len(set(came)) == len(came)
    assert restless.requests <= 2000
    return well, restless.throughout - set(came)


@pytest.mark.parametrize(
    ("changes", "total", "empty"),
    [
        (IN_ORDER, "right", True),
        (IN_ORDER, "none", True),
        (IN_ORDER, "too small", True),
        (IN_ORDER, "too large", True),
        (IN_ORDER, "any", True),
        (IN_ORDER, "zero", False),  # an empty page that says so has nothing to be doubted by
        (ANY, "right", True),
    ],
)
async def test_nothing_listed_throughout_is_missed_in_silence(
    changes: Sequence[str], total: str, *, empty: bool
) -> None:
    await play_many(changes, total, empty=empty, seeds=250)


async def play_many(changes: Sequence[str], total: str, *, empty: bool, seeds: int) -> None:
    """Play so many schedules.

    Where a product moves to what was read, one of those vanishes and another one appears, all between the same two
    requests, the pages look as if nothing had happened. That happens once in ten thousand schedules of this kind.
    """
    ended_well, unseen = 0, []
    for seed in range(seeds):
        well, missed = await play(seed, changes, total, empty=empty)
        ended_well += well
        unseen += [seed] if well and missed else []

    assert len(unseen) <= (seeds // 5000 if changes == ANY else 0), unseen
    assert ended_well > (0 if total == "too large" else seeds // 3)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("changes", [IN_ORDER, ANY])
async def test_nothing_listed_throughout_is_missed_in_silence_in_very_many_schedules(changes: Sequence[str]) -> None:
    await play_many(changes, "right", empty=True, seeds=10_000)


@pytest.mark.parametrize("seed", range(12))
async def test_after_a_run_that_went_well_all_that_was_listed_throughout_is_on_disk(
    tmp_path: Path, sleeps: RecordedSleeps, seed: int
) -> None:
    rng = random.Random(seed)
    catalogue = Listing(newest_first(rng.choice([5, 25, 60])), maximum=10)
    throughout = {item.name for item in catalogue.items}

    def change(listing: Listing) -> None:
        for _ in range(rng.choice([0, 0, 0, 1, 2])):
            what, place = rng.choice("+-~"), rng.randrange(len(listing.items))
            if what == "+":
                listing.items.insert(place, Item(f"N{len(listing.asked)}{rng.random()}"))
            elif what == "-" and len(listing.items) > 3:
                del listing.items[place]
            elif what == "~":
                rng.shuffle(listing.items)
        throughout.intersection_update(item.name for item in listing.items)

    def fail(_: dict[str, str]) -> tuple[int, str] | None:
        return (503, "busy") if rng.random() < 0.1 else None

    catalogue.before, catalogue.play = change, fail

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/search":
            return await catalogue(request)
        return web.Response(body=archive(request.path.rpartition("/")[2].removesuffix(".zip")))

    async with listening(answer) as origin, client(origin, tmp_path / "archives", sleeps) as one:
        report = await one.download_all(report=tmp_path / "report.json")

    missed = throughout - {path.stem for path in (tmp_path / "archives").glob("*.zip")}
    search = json.loads((tmp_path / "report.json").read_text())["search"]
    assert report.ok == (search["error"] is None)
    assert not (report.ok and missed)


async def test_embedded_catalogue_that_loses_a_product_between_any_two_pages_misses_none(
    serve: Callable[..., Any],
) -> None:
    scenes = level2_scenes(60, size=1000)
    rng = random.Random(1)
    gone: list[str] = []

    def lose_one() -> None:
        gone.append(site.server.scenes.pop(rng.randrange(len(site.server.scenes))).identifier)

    site = await serve(scenes, page_maximum=7, meanwhile=lose_one)
    async with site.client() as one:
        came = {product.identifier async for product in one.catalogue.search()}

    assert {scene.identifier for scene in scenes} - came <= set(gone)
    assert len(gone) <= 3 * 2 * 10 + 1  # three readings of ten pages


@pytest.mark.parametrize(
    ("count", "size"), [(250, 50), (25, 10), (28, 10), (100, 10), (101, 10), (8, 2), (9, 100), (100, 100)]
)
async def test_calm_costs_one_request_more_at_the_most(
    tmp_path: Path, sleeps: RecordedSleeps, count: int, size: int
) -> None:
    """And another one where the count may be the most that is counted."""
    catalogue = Listing(newest_first(count), maximum=size)

    assert count == len(await ask(catalogue, tmp_path, sleeps, page_size=size))
    assert len(catalogue.asked) <= count / (size - 1) + 1 + (count % 100 == 0)


async def test_what_was_published_meanwhile_is_looked_for_at_the_front(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(28))

    def publish(listing: Listing) -> None:
        if len(listing.asked) == 1:
            listing.items[:0] = [Item("N1"), Item("N2"), Item("N3")]

    catalogue.before = publish

    assert {item.name for item in catalogue.items} | {"N1", "N2", "N3"} == set(await ask(catalogue, tmp_path, sleeps))
    assert [1, 10, 19, 28, 1] == [position for position, _ in catalogue.pages]


async def test_what_was_published_and_cannot_be_seen_is_told(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(28))
    newer = [Item("N1"), Item("N2"), Item("N3"), *catalogue.items]

    def publish(listing: Listing) -> None:
        first = len(listing.asked) % 4 == 0  # a page that some proxy keeps
        listing.items = newer[3:] if first else newer

    catalogue.before = publish
    came, error = await collected(catalogue, tmp_path, sleeps)

    assert {item.name for item in newer[3:]} <= set(came)
    assert error is not None
    assert f"{len(came)} of 31 results came" in str(error)


async def test_empty_page_before_the_total_is_read_again(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(28))
    catalogue.play = lambda query: (200, '{"features": [], "totalResults": 28}') if _is(query, 19) else None

    def _is(query: dict[str, str], position: int) -> bool:
        return int(query["startIndex"]) == position and [at for at, _ in catalogue.pages].count(position) == 1

    assert 28 == len(await ask(catalogue, tmp_path, sleeps))


@pytest.mark.parametrize(
    "total",
    [
        pytest.param(lambda _, __, ___: 0, id="zero"),
        pytest.param(lambda _, __, ___: 7, id="too small"),
        pytest.param(lambda _, __, page: len(page), id="that of the page"),
        pytest.param(lambda listing, _, page: listing.pages[-1][0] - 1 + len(page), id="as far as it has come"),
        pytest.param(lambda _, __, ___: None, id="none"),
    ],
)
@pytest.mark.parametrize("says_size", [True, False])
@pytest.mark.parametrize("links", [True, False])
async def test_total_that_is_too_small_ends_nothing(
    tmp_path: Path, sleeps: RecordedSleeps, total: Any, *, links: bool, says_size: bool
) -> None:
    catalogue = Listing(newest_first(28), total=total, links=links, says_size=says_size)

    assert 28 == len(await ask(catalogue, tmp_path, sleeps))
    assert len(catalogue.asked) <= 7


HIDDEN = {
    "nothing": range(0),
    "the last of the first page": [9],
    "some here and there": [3, 9, 15, 16, 17, 24, 30],
    "more than a page": range(10, 22),
    "the first page": range(10),
    "the end of a page, and a page more": range(9, 20),
}


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("says_size", [True, False])
async def test_short_page_is_no_end_where_results_are_neither_counted_nor_linked(
    tmp_path: Path, sleeps: RecordedSleeps, hidden: str, *, says_size: bool
) -> None:
    """Entries that the user may not see are left out after paging, so that any page may be short or empty."""
    items = newest_first(38)
    asked: list[int] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        start, count = int(request.query["startIndex"]), int(request.query["count"])
        asked.append(start)
        page = range(start - 1, min(len(items), start - 1 + count))
        page_of = {"features": [items[at].entry() for at in page if at not in HIDDEN[hidden]]}
        return web.Response(text=json.dumps(page_of | ({"itemsPerPage": count} if says_size else {})))

    found = await ask(answer, tmp_path, sleeps)

    assert {item.name for at, item in enumerate(items) if at not in HIDDEN[hidden]} == set(found)
    assert len(found) == len(set(found))
    assert len(asked) <= (7 if hidden == "nothing" else 20)


@pytest.mark.parametrize("short", [1, 4, 9])
async def test_page_of_fewer_than_asked_for_is_no_end(tmp_path: Path, sleeps: RecordedSleeps, short: int) -> None:
    items = newest_first(28)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        start, count = int(request.query["startIndex"]), int(request.query["count"])
        given = items[start - 1 : start - 1 + (max(2, short) if 8 < start < 15 else count)]
        return web.Response(text=json.dumps({"features": [item.entry() for item in given], "itemsPerPage": len(given)}))

    assert 28 == len(await ask(answer, tmp_path, sleeps))


@pytest.mark.parametrize("says_size", [True, False])
async def test_short_list_without_a_total_costs_two_requests_more(
    tmp_path: Path, sleeps: RecordedSleeps, *, says_size: bool
) -> None:
    catalogue = Listing(newest_first(7), total=lambda _, __, ___: None, says_size=says_size)

    assert 7 == len(await ask(catalogue, tmp_path, sleeps))
    assert len(catalogue.asked) <= 3


@pytest.mark.parametrize("size", [10, 100])
async def test_total_beyond_what_comes_is_told(tmp_path: Path, sleeps: RecordedSleeps, size: int) -> None:
    catalogue = Listing([Item(f"P{number}") for number in range(28)], total=lambda _, found, __: len(found) + 3)

    came, error = await collected(catalogue, tmp_path, sleeps, page_size=size)

    assert 28 == len(came)
    assert "28 of 31 results came, by the catalogue's count, also when it was asked again" == str(error)
    assert len(catalogue.asked) <= 14


@pytest.mark.parametrize("highest", [29, 300])
async def test_count_that_falls_in_each_reading_is_told(tmp_path: Path, sleeps: RecordedSleeps, highest: int) -> None:
    def total(_: Listing, found: Sequence[Item], page: Sequence[Item]) -> int:
        return len(found) if found[-1] in page else highest

    catalogue = Listing([Item(f"P{number}") for number in range(28)], total=total)

    came, error = await collected(catalogue, tmp_path, sleeps)

    assert 28 == len(came)
    assert f"28 of {highest} results came" in str(error)


async def test_ten_products_that_are_shuffled_under_an_endless_total_end_the_search(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    catalogue = Listing(newest_first(10), total=lambda _, __, ___: 10**9)

    async def shuffled(request: web.BaseRequest) -> web.StreamResponse:
        await catalogue(request)
        page = random.Random(len(catalogue.asked)).sample(catalogue.items, 10)
        return web.Response(text=json.dumps({"features": [item.entry() for item in page], "totalResults": 10**9}))

    came, error = await collected(shuffled, tmp_path, sleeps)

    assert 10 == len(came)
    assert error is not None
    assert len(catalogue.asked) <= 80


async def test_order_that_changes_for_all_later_pages_loses_nothing(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(28))

    def turn(listing: Listing) -> None:
        if len(listing.asked) == 1:
            listing.items[:] = listing.items[3:] + listing.items[:3]

    catalogue.before = turn

    assert 28 == len(set(await ask(catalogue, tmp_path, sleeps)))


async def test_answers_are_read_while_the_loop_goes_on(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    large = json.dumps({"features": [{"properties": {"identifier": f"P{n}", "x": "y" * 300}} for n in range(4000)]})
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=large)

    ticking = asyncio.create_task(tick())
    async with listening(answer) as origin, client(origin, tmp_path, sleeps) as one:
        products = aiter(one.catalogue.search())
        await anext(products)
        await products.aclose()
    ticking.cancel()

    assert ticks > 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"features":[' + b"0," * 5_000_000 + b"0]}", "more than 1800000 values"),
        (b'{"features":[' + b"{}," * 60_000 + b"{}]}", "60001 results, more than 50000"),
    ],
)
async def test_page_of_millions_is_refused(tmp_path: Path, sleeps: RecordedSleeps, body: bytes, words: str) -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body)

    with pytest.raises(CatalogueError, match=words):
        await ask(answer, tmp_path, sleeps)
