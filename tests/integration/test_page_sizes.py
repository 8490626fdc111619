"""How large a page may be: learnt from refusals in any words, and no other refusal is taken for one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from collgs_async import CatalogueError
from collgs_async.catalogue.collections import list_collections
from collgs_async.http.requester import CatalogueRequester
from tests.support.listings import Listing, ask, client, newest_first
from tests.support.servers import listening

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RecordedSleeps

NAMED = [
    (400, "Invalid 'count' value, should not be greater than 30"),
    (400, "rows=100 is out of [1;30]"),
    (422, '{"detail":[{"loc":["query","count"],"msg":"too high","ctx":{"le":30}}]}'),
    (400, '{"exceptions":[{"exceptionText":"at most 30, please","locator":"count"}]}'),
    (413, "30 Treffer sind das Maximum"),
    (500, "java.lang.IllegalArgumentException: 100 > 30"),
]
SILENT = [(400, "Bad Request"), (400, ""), (413, "too much"), (422, "{}"), (500, "Internal Server Error")]


@pytest.mark.parametrize(("status", "words"), NAMED)
async def test_size_that_is_named_is_taken(tmp_path: Path, sleeps: RecordedSleeps, status: int, words: str) -> None:
    catalogue = Listing(newest_first(70), maximum=30, refusal=(status, words))

    assert 70 == len(await ask(catalogue, tmp_path, sleeps, page_size=100))
    sizes = [size for _, size in catalogue.pages]
    assert [100] * (1 + (status == 500)) + [30] * 3 == sizes
    assert len(sleeps.seconds) == (status == 500)


@pytest.mark.parametrize(("status", "words"), SILENT)
async def test_size_that_is_not_named_is_found_by_halving(
    tmp_path: Path, sleeps: RecordedSleeps, status: int, words: str
) -> None:
    catalogue = Listing(newest_first(70), maximum=30, refusal=(status, words))

    assert 70 == len(await ask(catalogue, tmp_path, sleeps, page_size=100))
    assert 25 == catalogue.pages[-1][1]
    assert len(catalogue.asked) <= 10
    assert len(sleeps.seconds) <= 1


@pytest.mark.parametrize("maximum", [1, 2, 3])
async def test_pages_may_be_tiny(tmp_path: Path, sleeps: RecordedSleeps, maximum: int) -> None:
    catalogue = Listing(newest_first(7), maximum=maximum, refusal=(400, "no"))

    assert 7 == len(await ask(catalogue, tmp_path, sleeps, page_size=100))


async def test_size_is_remembered(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(70), maximum=30, refusal=(400, "no"))
    async with listening(catalogue) as origin, client(origin, tmp_path, sleeps, page_size=100) as one:
        for _ in range(2):
            catalogue.asked.clear()
            assert 70 == len([product async for product in one.catalogue.search()])

    assert {25} == {size for _, size in catalogue.pages}


async def test_size_that_is_only_asked_for_later_is_learnt_then(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(70), maximum=30, refusal=(400, "no"))

    assert 40 == len(await ask(catalogue, tmp_path, sleeps, page_size=100, count=40))
    catalogue.asked.clear()
    assert 20 == len(await ask(catalogue, tmp_path, sleeps, page_size=100, count=20))
    assert [(1, 20)] == catalogue.pages


@pytest.mark.parametrize(
    ("words", "requests"),
    [
        ("Unknown parentId 'X_NONE'", 1),
        ('{"exceptions":[{"exceptionText":"what is that?","locator":"timeStart"}]}', 1),
        ('{"detail":[{"loc":["query","box"],"msg":"wrong"}]}', 1),
        ("something is wrong", 2),
        ("line 7, column 42: something is wrong", 3),
    ],
)
async def test_refusal_of_something_else_is_told_at_once(
    tmp_path: Path, sleeps: RecordedSleeps, words: str, requests: int
) -> None:
    catalogue = Listing([], play=lambda _: (400, words))

    with pytest.raises(CatalogueError, match="the catalogue answered HTTP 400: "):
        await ask(catalogue, tmp_path, sleeps, page_size=100, parentIdentifier="X_NONE")

    assert requests == sum("parentIdentifier" in asked for asked in catalogue.asked)
    assert [] == sleeps.seconds


async def test_500_that_passes_teaches_nothing(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(70), maximum=100)
    catalogue.play = lambda _: (500, "oops") if len(catalogue.asked) <= 2 else None

    assert 70 == len(await ask(catalogue, tmp_path, sleeps, page_size=100))
    assert [(1, 100), (1, 100), (1, 1), (1, 100)] == catalogue.pages


async def test_500_that_stays_is_told_after_the_usual_tries(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing([], play=lambda _: (500, "oops"))

    with pytest.raises(CatalogueError, match="the catalogue answered HTTP 500: oops"):
        await ask(catalogue, tmp_path, sleeps, page_size=100)

    assert len(catalogue.asked) <= 6
    assert len(sleeps.seconds) <= 3


async def test_collections_are_listed_over_pages_that_change(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(25), maximum=10, refusal=(400, "no"))

    def lose(listing: Listing) -> None:
        if [size for _, size in listing.pages].count(6) == 1 and len(listing.items) == 25:
            del listing.items[0]

    catalogue.before = lose
    async with listening(catalogue) as origin, client(origin, tmp_path, sleeps) as one:
        requester = CatalogueRequester(replace(one._session, retries=1))
        found = await list_collections(requester, f"{origin}/search")

    assert {item.name for item in catalogue.items} <= {collection.identifier for collection in found}


async def test_collections_that_do_not_all_come_are_an_error(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(5), total=lambda _, __, ___: 7)
    async with listening(catalogue) as origin, client(origin, tmp_path, sleeps) as one:
        with pytest.raises(CatalogueError, match="5 of 7 results came"):
            await one.catalogue.collections()


async def test_page_size_of_the_settings_is_asked_for(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(20), maximum=100)

    assert 20 == len(await ask(catalogue, tmp_path, sleeps, page_size=8))
    assert {8} == {size for _, size in catalogue.pages}


async def test_a_proxy_that_has_no_words_is_no_size(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=403, text="no")

    with pytest.raises(CatalogueError, match="HTTP 403: no"):
        await ask(answer, tmp_path, sleeps, page_size=100)
