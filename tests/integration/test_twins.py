"""Two products of one name: it is said, and one of them fails, unless they are the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from collgs_async import CatalogueError
from collgs_async.catalogue import search
from collgs_async.selection.plan import Plan
from collgs_async.storage.filenames import file_name
from tests.support.listings import NEWEST, Item, Listing, archive, ask, client, newest_first
from tests.support.servers import listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterable
    from pathlib import Path

    from collgs_async.models.product import Product
    from tests.conftest import CommandHere, RecordedSleeps


async def pull(
    items: list[Item], folder: Path, sleeps: RecordedSleeps, *, maximum: int = 10
) -> tuple[Any, dict[str, Any]]:
    catalogue = Listing(items, maximum=maximum)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/search":
            return await catalogue(request)
        return web.Response(body=archive(request.path.rpartition("/")[2].removesuffix(".zip")))

    async with listening(answer) as origin, client(origin, folder / "archives", sleeps) as one:
        report = await one.download_all(report=folder / "report.json")
    return report, json.loads((folder / "report.json").read_text())


@pytest.mark.parametrize("apart", [1, 15])
async def test_second_product_of_a_name_fails_alone(
    tmp_path: Path, sleeps: RecordedSleeps, caplog: pytest.LogCaptureFixture, apart: int
) -> None:
    items = newest_first(30)
    items.insert(apart, Item("P00000", items[0].start, link="store/other.zip"))

    report, written = await pull(items, tmp_path, sleeps)

    assert (30, 1) == (report.downloaded, report.failed)
    assert report.search_error is None
    assert not report.ok
    failed = [entry for entry in written["products"] if entry["status"] == "failed"]
    assert ["P00000"] == [entry["id"] for entry in failed]
    assert "the catalogue lists two products of this name" in failed[0]["error"]["message"]
    assert failed[0]["url"].endswith("/store/other.zip")
    told = [record.getMessage() for record in caplog.records if "two products of this name" in record.getMessage()]
    assert any("/store/other.zip" in line for line in told)
    if apart == 1:
        assert any("/store/P00000.zip" in line for line in told)


async def test_one_that_is_here_already_is_not_taken_for_the_other(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    items = [Item("A"), Item("A", link="store/other.zip")]

    assert 1 == (await pull(items, tmp_path, sleeps))[0].failed
    report, _ = await pull(items, tmp_path, sleeps)

    assert (1, 1) == (report.skipped, report.failed)


@pytest.mark.parametrize("apart", [1, 12])
async def test_one_entry_that_is_listed_twice_is_one(tmp_path: Path, sleeps: RecordedSleeps, apart: int) -> None:
    items = newest_first(30)
    items.insert(apart, items[0])

    report, _ = await pull(items, tmp_path, sleeps)

    assert (30, 0, True) == (report.downloaded, report.failed, report.ok)


async def test_link_whose_signature_changes_is_the_same_link(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    catalogue = Listing(newest_first(30))

    def sign(listing: Listing) -> None:
        number = len(listing.asked)
        listing.items[:] = [Item(one.name, one.start, f"store/{one.name}.zip?sig={number}") for one in listing.items]

    catalogue.before = sign

    assert 30 == len(await ask(catalogue, tmp_path, sleeps))


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("apart", [1, 5, 6, 7, 15])
async def test_archives_that_differ_in_the_query_are_two_also_on_different_pages(
    tmp_path: Path, sleeps: RecordedSleeps, apart: int, *, counted: bool
) -> None:
    items = [Item(one.name, one.start, f"store/get?uuid={number}") for number, one in enumerate(newest_first(30))]
    items.insert(3 + apart, Item("P00003", items[3].start, "store/get?uuid=999"))
    catalogue = Listing(items) if counted else Listing(items, total=lambda _, __, ___: None)

    async with listening(catalogue) as origin, client(origin, tmp_path, sleeps) as one:
        found = [product async for product in one.catalogue.search()]

    twins = [product for product in found if product.is_twin]
    assert 31 == len(found)
    assert ["P00003"] == [product.identifier for product in twins]
    assert twins[0].url is not None
    assert twins[0].url.endswith("uuid=999")


@pytest.mark.parametrize(
    "link", ["store/{name}.zip?X-Amz-Signature={number}&X-Amz-Date={number}", "get/{name}?t={number}"]
)
@pytest.mark.parametrize("apart", [1, 15])
async def test_entry_that_is_listed_twice_with_changing_signatures_is_one(
    tmp_path: Path, sleeps: RecordedSleeps, link: str, apart: int
) -> None:
    items = newest_first(30)
    items.insert(3 + apart, items[3])
    catalogue = Listing([Item(one.name, one.start, link.format(name=one.name, number=0)) for one in items])

    def sign(listing: Listing) -> None:
        number = len(listing.asked)
        listing.items[:] = [Item(one.name, one.start, link.format(name=one.name, number=number)) for one in items]

    catalogue.before = sign

    assert 30 == len(await ask(catalogue, tmp_path, sleeps))


async def test_names_that_differ_in_case_are_two(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    report, _ = await pull([Item("S2A_A"), Item("s2a_a", link="store/other.zip")], tmp_path, sleeps)

    assert (2, 0) == (report.downloaded, report.failed)
    names = {file_name(name, folds_case=True).lower() for name in ("S2A_A", "s2a_a", "S2a_A")}
    assert 3 == len(names)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["search"], 0),
        (["search", "--sort", "cloud"], 0),
        (["search", "--latest-baseline"], 0),
        (["--dry-run", "--sort", "size"], 0),
        (["--latest-baseline"], 1),
        (["plan", "plan.json"], 1),
    ],
)
async def test_every_command_says_it(run_cli: CommandHere, words: list[str], code: int) -> None:
    name = "S2A_MSIL1C_20250501T103000_N0511_R008_T31UGR_20250501T120000"
    catalogue = Listing([Item(name, NEWEST), Item(name, NEWEST, link="store/other.zip")])

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await catalogue(request) if request.path == "/search" else web.Response(body=archive(name))

    async with listening(answer) as origin:
        ended = await run_cli(*words, "--base-url", f"{origin}/search", "--collection", "X")

    assert code == ended.code
    assert "the catalogue lists two products of this name" in ended.err
    if "plan" in words:
        assert [name] == [one.identifier for one in Plan.read(run_cli.folder / "plan.json").products]


# Entries without a link


@pytest.mark.parametrize("place", [0, 5, 29])
@pytest.mark.parametrize("apart", [1, 2, 15, -1, -15])
async def test_of_two_entries_of_a_name_the_one_with_a_link_is_the_product(
    tmp_path: Path, sleeps: RecordedSleeps, place: int, apart: int
) -> None:
    """The one without stands so many places behind it, or before."""
    items = newest_first(30)
    items.insert(max(0, place + apart), Item(items[place].name, items[place].start, linked=False))

    report, written = await pull(items, tmp_path, sleeps)

    assert report.search_error is None
    assert (30, 0, True) == (report.downloaded, report.failed, report.ok)
    assert 30 == len(written["products"])


async def test_a_product_that_no_entry_has_a_link_for_fails_once(tmp_path: Path, sleeps: RecordedSleeps) -> None:
    items = newest_first(30)
    items.insert(20, Item("P00003", items[3].start, linked=False))
    items[3] = Item("P00003", items[3].start, linked=False)

    report, _ = await pull(items, tmp_path, sleeps)

    assert (29, ["P00003"]) == (report.downloaded, [one.product.identifier for one in report.failures])
    assert "no download link" in str(report.failures[0].error)


async def test_two_archives_of_a_name_are_two_beside_an_entry_without_a_link(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    items = [Item("A", linked=False), Item("A", link="store/other.zip"), Item("A"), Item("B")]

    report, _ = await pull(items, tmp_path, sleeps)

    assert (2, ["A"]) == (report.downloaded, [one.product.identifier for one in report.failures])
    assert "store/other.zip" in str(report.failures[0].error)


@pytest.mark.parametrize("count", [1, 2, 12])
async def test_those_without_a_link_count_and_come_last(tmp_path: Path, sleeps: RecordedSleeps, count: int) -> None:
    items = newest_first(30)
    items[0] = Item("P00000", items[0].start, linked=False)
    catalogue = Listing(items)

    found = await ask(catalogue, tmp_path, sleeps, count=count)

    assert [*(f"P{number:05}" for number in range(1, count)), "P00000"] == found


async def test_not_all_that_have_no_link_are_kept_in_memory(
    tmp_path: Path, sleeps: RecordedSleeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_WITHOUT_LINK", 7)
    items = [Item(f"P{number:05}", linked=number % 30 == 0) for number in range(60)]

    found = await ask(Listing(items), tmp_path, sleeps)

    assert sorted(item.name for item in items) == sorted(found)
    assert found.index("P00001") < found.index("P00030")


async def collect(products: AsyncIterable[Product], found: list[str]) -> None:
    async for product in products:
        found.append(product.identifier)  # noqa: PERF401 - what came before an error counts


async def test_those_without_a_link_are_told_also_when_the_search_ends_early(
    tmp_path: Path, sleeps: RecordedSleeps
) -> None:
    items = newest_first(30)
    items[3] = Item("P00003", items[3].start, linked=False)
    catalogue = Listing(items, play=lambda query: (409, "gone") if int(query["startIndex"]) > 15 else None)
    found: list[str] = []

    async with listening(catalogue) as origin, client(origin, tmp_path, sleeps) as one:
        with pytest.raises(CatalogueError, match="gone"):
            await collect(one.catalogue.search(), found)

    assert "P00003" == found[-1]
    assert len(found) > 10
