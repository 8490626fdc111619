"""Lengths and quicklooks: what the store tells before an archive is fetched."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from collgs_async.demo.faults import QUICKLOOK_FAULTS
from collgs_async.demo.login import SignIn
from collgs_async.errors import AuthenticationError, CatalogueError
from collgs_async.models.product import Product
from collgs_async.pipeline import in_order
from collgs_async.transfer.quicklooks import Pictures
from tests.conftest import level2_scenes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

ZIP = b"PK\x03\x04" + b"\0" * 996


async def stream(*products: Product) -> AsyncIterator[Product]:
    for product in products:
        yield product


async def sizes(client: Any) -> dict[str, int | None]:
    async with client:
        return {product.identifier: product.size async for product in client.fetch_sizes(client.catalogue.search())}


async def length_at(url: str, site: Any, *, count: int = 1) -> list[int | None]:
    async with site.client() as client:
        products = stream(*(Product(f"P{number}", url) for number in range(count)))
        return [product.size async for product in client.fetch_sizes(products)]


class Listening:
    """A store that answers every request in one way."""

    def __init__(self, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._answer = answer
        self.methods: list[str] = []

    async def __aenter__(self) -> Listening:
        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            self.methods.append(request.method)
            return await self._answer(request)

        self._runner = web.ServerRunner(web.Server(serve), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/a.zip"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


# ---------------------------------------------------------------------------------------------- lengths


async def test_the_store_tells_every_length_and_sends_no_archive(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(12)
    site = await serve(scenes)

    told = await sizes(site.client())

    assert {scene.identifier: len(site.original(scene)) for scene in scenes} == told
    assert {"HEAD"} == {hit.method for hit in site.archive_hits()}


async def test_the_order_of_the_search_is_kept(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(12))

    async with site.client() as client:
        expected = [product.identifier async for product in client.catalogue.search()]

    assert expected == list(await sizes(site.client()))


async def test_a_store_that_wants_a_sign_in_is_signed_in_at_once(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLLGS_USERNAME", "demo")
    monkeypatch.setenv("COLLGS_PASSWORD", "demo")
    site = await serve(level2_scenes(6), sign_in=SignIn("demo", "demo"))

    told = await sizes(site.client())

    assert None not in told.values()
    assert 1 == len([hit for hit in site.server.requests if hit.method == "POST"])


async def test_without_credentials_the_store_is_not_asked_any_further(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    site = await serve(level2_scenes(6), sign_in=SignIn("demo", "demo"))

    with pytest.raises(AuthenticationError, match="there are no credentials"):
        await sizes(site.client())


async def test_what_the_catalogue_says_is_not_asked_for(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))

    async with site.client() as client:
        products = stream(Product("A", site.server.origin, size=7), Product("B", None))
        assert [7, None] == [product.size async for product in client.fetch_sizes(products)]

    assert [] == site.server.requests


@pytest.mark.parametrize("status", [403, 404, 405, 500, 501])
async def test_a_store_that_answers_no_head_is_asked_for_one_byte(serve: Callable[..., Any], status: int) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        if request.method == "HEAD":
            return web.Response(status=status)
        return web.Response(status=206, body=b"P", headers={"Content-Range": "bytes 0-0/123456"})

    site = await serve(level2_scenes(1))
    async with Listening(answer) as store:
        assert [123456] * 30 == await length_at(store.url, site, count=30)

    assert 30 == store.methods.count("GET")
    # Once it is known which way works, the other one is not tried again: only those that were under way had done so.
    tries = 3 if status == 500 else 1
    assert store.methods.count("HEAD") <= 8 * tries


async def test_a_store_that_knows_no_ranges_tells_its_length_by_the_whole(serve: Callable[..., Any]) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=405) if request.method == "HEAD" else web.Response(body=ZIP)

    site = await serve(level2_scenes(1))
    async with Listening(answer) as store:
        assert [len(ZIP)] == await length_at(store.url, site)


async def test_a_page_of_words_is_no_archive(serve: Callable[..., Any]) -> None:
    async def page(_: web.BaseRequest) -> web.Response:
        return web.Response(body=b"<html>maintenance</html>", content_type="text/html")

    site = await serve(level2_scenes(1))
    async with Listening(page) as store:
        assert [None] == await length_at(store.url, site)


@pytest.mark.parametrize("told", ["bytes 0-0/*", "bytes 5-5/10", "bytes 0-0/0", "bytes 0-0/x", ""])
async def test_a_range_that_does_not_tell_is_not_believed(serve: Callable[..., Any], told: str) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        if request.method == "HEAD":
            return web.Response(status=405)
        return web.Response(status=206, body=b"P", headers={"Content-Range": told} if told else {})

    site = await serve(level2_scenes(1))
    async with Listening(answer) as store:
        assert [None] == await length_at(store.url, site)


async def test_a_store_that_is_busy_is_asked_again_and_less(serve: Callable[..., Any]) -> None:
    refusals = 3

    async def answer(_: web.BaseRequest) -> web.Response:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            return web.Response(status=429, headers={"Retry-After": "1"})
        return web.Response(body=ZIP, content_type="application/zip")

    site = await serve(level2_scenes(1))
    async with Listening(answer) as store:
        assert [len(ZIP)] * 8 == await length_at(store.url, site, count=8)


@pytest.mark.parametrize("status", [200, 403])
@pytest.mark.parametrize("answers_head", [True, False])
async def test_words_alone_are_a_refusal_for_now(serve: Callable[..., Any], status: int, answers_head: bool) -> None:
    """As some stores say it: in XML, under a status that says something else; its length is not the archive's."""
    refusals = 6

    async def answer(request: web.BaseRequest) -> web.Response:
        nonlocal refusals
        if request.method == "HEAD" and not answers_head:
            return web.Response(status=405)
        refusals -= 1
        if refusals >= 0:
            words = "<error><message>Maximum number of 4 concurrent flows achieved by the user</message></error>"
            return web.Response(status=status, text=words, content_type="application/xml")
        return web.Response(body=ZIP, content_type="application/zip")

    site = await serve(level2_scenes(1))
    async with Listening(answer) as store:
        assert [len(ZIP)] * 8 == await length_at(store.url, site, count=8)


async def test_an_archive_is_known_by_its_bytes_where_its_type_is_wrong(serve: Callable[..., Any]) -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(body=ZIP, content_type="text/plain")

    site = await serve(level2_scenes(1))
    async with Listening(answer) as store:
        assert [len(ZIP)] == await length_at(store.url, site)


async def test_no_more_are_asked_at_once_than_there_are_workers(serve: Callable[..., Any]) -> None:
    inside = most = 0

    async def answer(_: web.BaseRequest) -> web.Response:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.02)
        inside -= 1
        return web.Response(body=ZIP, content_type="application/zip")

    site = await serve(level2_scenes(1))
    async with Listening(answer) as store, site.client(workers=3) as client:
        products = stream(*(Product(f"P{number}", store.url) for number in range(20)))
        assert 20 == len([product async for product in client.fetch_sizes(products)])

    assert 3 == most


# ---------------------------------------------------------------------------------------------- quicklooks


async def test_every_scene_has_a_picture_whose_kind_is_told_by_its_bytes(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(6))

    async with site.client() as client:
        pictures = [picture async for _, picture in client.fetch_quicklooks(client.catalogue.search())]

    assert [".png"] * 6 == [picture and picture.suffix for picture in pictures]


@pytest.mark.parametrize("name", sorted(set(QUICKLOOK_FAULTS) - {"stall", "slow"}))
async def test_a_picture_that_cannot_be_had_costs_no_other_one(serve: Callable[..., Any], name: str) -> None:
    scenes = level2_scenes(4)
    fault = QUICKLOOK_FAULTS[name]
    site = await serve(scenes, quicklook_faults={scenes[1].identifier: (fault,) * 9})

    async with site.client() as client:
        pictures = client.fetch_quicklooks(client.search())
        found = {product.identifier: picture async for product, picture in pictures}

    assert {scenes[1].identifier} == {identifier for identifier, picture in found.items() if picture is None}


async def test_a_picture_that_never_comes_is_not_waited_for(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(1)
    site = await serve(scenes, quicklook_faults={scenes[0].identifier: (QUICKLOOK_FAULTS["stall"],) * 9})

    async with site.client(timeout=3600) as client:
        (product,) = [product async for product in client.catalogue.search()]
        assert await Pictures(client._store_requester(), largest=10**6, seconds=0.2)(product) is None


async def test_a_picture_that_is_too_large_is_left_out(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(2))

    async with site.client() as client:
        pictures = [picture async for _, picture in client.fetch_quicklooks(client.catalogue.search(), largest=100)]

    assert [None, None] == pictures


async def test_a_product_without_a_picture_causes_no_request(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))

    async with site.client() as client:
        assert [None] == [picture async for _, picture in client.fetch_quicklooks(stream(Product("A", None)))]

    assert [] == site.server.requests


# ---------------------------------------------------------------------------------------------- in order


async def test_what_was_found_is_handed_out_before_the_failure_of_the_search() -> None:
    async def products() -> AsyncIterator[Product]:
        for number in range(5):
            yield Product(str(number), None)
        raise CatalogueError("HTTP 500")

    async def work(product: Product) -> str:
        await asyncio.sleep(0.01 if product.identifier == "0" else 0)
        return product.identifier

    seen = []

    async def see_all() -> None:
        async for name in in_order(products(), work, at_once=3):
            seen.append(name)  # noqa: PERF401

    with pytest.raises(CatalogueError, match="HTTP 500"):
        await see_all()
    assert ["0", "1", "2", "3", "4"] == seen


async def test_ending_the_iteration_early_cancels_requests_and_closes_the_search() -> None:
    closed = False
    cancelled = 0

    async def products() -> AsyncIterator[Product]:
        nonlocal closed
        try:
            for number in range(100):
                yield Product(str(number), None)
        finally:
            closed = True

    async def work(product: Product) -> Product:
        nonlocal cancelled
        try:
            await asyncio.sleep(0 if product.identifier == "0" else 3600)
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return replace(product, size=1)

    results = in_order(products(), work, at_once=4)
    await anext(results)
    await asyncio.sleep(0)
    await results.aclose()

    assert (True, 3) == (closed, cancelled)
