"""Signing in before the search, for a catalogue that lists more products to signed-in users."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from collgs_async import AuthenticationError, CatalogueError, Client, Config, Connection
from collgs_async.http.credentials import Credentials
from tests.support.servers import listening

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RecordedSleeps

FORM = '<html><form method="post" action="/login"><input name="username"><input type="password" name="password"></form>'


class ByRole:
    """A catalogue with collections and products for all and for members, beside a store for members."""

    def __init__(
        self, *, open_to_all: tuple[str, ...] = ("A",), hidden: tuple[str, ...] = (), store_is_open: bool = False
    ) -> None:
        self.open_to_all, self.hidden, self.store_is_open = open_to_all, hidden, store_is_open
        self.searches: list[tuple[bool, dict[str, str]]] = []
        self.posts = self.trouble = 0

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        member = request.cookies.get("session") == "ada"
        if request.path == "/search":
            return self._search(dict(request.query), member=member)
        if request.path == "/login":
            self.posts += 1
            if self.trouble:
                self.trouble -= 1
                return web.Response(status=503, text="away")
            if (await request.post())["password"] != "right":
                return web.Response(text=FORM, content_type="text/html")
            answer = web.Response(status=302, headers={"Location": "/A.zip"})
            answer.set_cookie("session", "ada")
            return answer
        if member or self.store_is_open:
            return web.Response(body=b"PK", content_type="application/zip")
        return web.Response(text=FORM, content_type="text/html")

    def _search(self, query: dict[str, str], *, member: bool) -> web.StreamResponse:
        self.searches.append((member, query))
        parent = query.get("parentIdentifier")
        if parent in self.hidden and not member:
            return web.Response(status=400, text=f"Unknown parentId '{parent}'")
        if parent is None:
            names = ["C", "X", "Y"] if member else ["C", "Y"]
        else:
            names = [*self.open_to_all, "M"] if member or parent == "Y" else list(self.open_to_all)
        found = [{"properties": {"identifier": one, "links": {"data": [{"href": f"/{one}.zip"}]}}} for one in names]
        at = int(query["startIndex"]) - 1
        return web.Response(text=json.dumps({"features": found[at:], "totalResults": len(found)}))


async def search(
    site: ByRole,
    folder: Path,
    sleeps: RecordedSleeps,
    *,
    password: str | None = "right",
    collections: bool = False,
    **connection: Any,
) -> list[str]:
    async with listening(site) as origin:
        config = Config(
            base_url=f"{origin}/search",
            parameters={"parentIdentifier": "X"},
            output_directory=folder,
            connection=Connection(timeout=60, retries=2, **connection),
        )
        found = None if password is None else Credentials("ada", password)
        async with Client(config, credentials=lambda: found, sleep=sleeps) as client:
            if collections:
                return [one.identifier for one in await client.catalogue.collections()]
            return [one.identifier async for one in client.search()]


async def test_a_public_search_needs_no_sign_in_by_default(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    site = ByRole()

    assert ["A"] == await search(site, tmp_path, sleeps)
    assert 0 == site.posts


async def test_always_searches_anew_with_the_cookies(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture
) -> None:
    site = ByRole()
    with caplog.at_level(logging.INFO, "collgs_async"):
        assert ["A", "M"] == await search(site, tmp_path, sleeps, sign_in="always")

    members = [member for member, _ in site.searches]
    assert (False, True) == (members[0], members[-1])
    assert sorted(members) == members
    assert 1 == site.posts
    assert "signed in as ada at 127.0.0.1, before the search" in caplog.text


@pytest.mark.parametrize(
    "site",
    [
        pytest.param(ByRole(open_to_all=()), id="an empty one"),
        pytest.param(ByRole(open_to_all=(), hidden=("X",)), id="an unknown one"),
    ],
)
async def test_for_a_hidden_collection_another_leads_to_the_form(
    tmp_path: Path, sleeps: RecordedSleeps, site: ByRole
) -> None:
    assert ["M"] == await search(site, tmp_path, sleeps, sign_in="always")
    assert 1 == site.posts


async def test_collections_are_listed_after_it_too(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    assert ["C", "X", "Y"] == await search(ByRole(), tmp_path, sleeps, sign_in="always", collections=True)


async def test_without_credentials_it_is_a_clear_error(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    with pytest.raises(AuthenticationError, match="there are no credentials: set COLLGS_USERNAME and COLLGS_PASSWORD"):
        await search(ByRole(), tmp_path, sleeps, password=None, sign_in="always")


async def test_a_wrong_password_is_posted_once(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    site = ByRole()
    with pytest.raises(AuthenticationError, match="the password for ada was refused"):
        await search(site, tmp_path, sleeps, password="wrong", sign_in="always")

    assert 1 == site.posts


async def test_a_store_without_a_sign_in_is_a_clear_error(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    with pytest.raises(AuthenticationError, match=r"sign_in is always, but 127.0.0.1 serves archives without"):
        await search(ByRole(store_is_open=True), tmp_path, sleeps, sign_in="always")


async def test_a_catalogue_that_shows_nothing_before_it_is_a_clear_error(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    class Empty(ByRole):
        def _search(self, query: dict[str, str], *, member: bool) -> web.StreamResponse:
            self.searches.append((member, query))
            return web.Response(text='{"features": [], "totalResults": 0}')

    with pytest.raises(AuthenticationError, match="without a sign-in the catalogue lists no archive"):
        await search(Empty(), tmp_path, sleeps, sign_in="always")


async def test_a_sign_in_that_fails_on_its_way_is_tried_again_and_ends_the_search(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    site = ByRole()
    site.trouble = 1
    assert ["A", "M"] == await search(site, tmp_path, sleeps, sign_in="always")

    site.trouble = 5
    with pytest.raises(CatalogueError, match=r"before the search: the sign-in at 127.0.0.1 failed: HTTP 503: away"):
        await search(site, tmp_path, sleeps, sign_in="always")
