"""The library: a client, a run, its report, and what it tells while it goes on."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import collgs_async
from collgs_async import (
    Action,
    CatalogueError,
    Client,
    ConfigError,
    NotAvailableError,
    Outcome,
    Product,
    Products,
    Query,
    Selection,
    Status,
    run,
)
from collgs_async.models.progress import SilentProgress
from tests.conftest import HANGS, fault, is_archive, level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async import Progress
    from tests.conftest import RecordedSleeps


class Recording(SilentProgress):
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.expected: list[int] = []
        self.told: dict[str, list[tuple[str, Any]]] = defaultdict(list)

    def expect(self, products: int) -> None:
        self.expected.append(products)

    def started(self, product: Product, *, have: int, size: int | None) -> None:
        self.told[product.identifier].append(("started", (have, size)))

    def advanced(self, product: Product, nbytes: int) -> None:
        self.told[product.identifier].append(("advanced", nbytes))

    def checking(self, product: Product) -> None:
        self.told[product.identifier].append(("checking", None))

    def finished(self, outcome: Outcome) -> None:
        self.told[outcome.product.identifier].append(("finished", outcome))

    def words(self, identifier: str) -> list[str]:
        """What was told of a product, the advances in a row as one."""
        words: list[str] = []
        for word, _ in self.told[identifier]:
            if words[-1:] != ["advanced"] or word != "advanced":
                words.append(word)
        return words

    def advances(self, identifier: str) -> int:
        return sum(value for word, value in self.told[identifier] if word == "advanced")

    def outcome(self, identifier: str) -> Outcome:
        last = self.told[identifier][-1][1]
        assert isinstance(last, Outcome)
        return last


async def pull(site: Any, sleeps: RecordedSleeps, progress: Progress, **options: Any) -> collgs_async.Report:
    async with Client(site.config(**options), progress, sleep=sleeps) as client:
        return await client.download_all()


# --------------------------------------------------------------------------------------------------- the client


def test_every_public_name_is_there() -> None:
    assert [] == [name for name in collgs_async.__all__ if not hasattr(collgs_async, name)]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        collgs_async.Klient  # noqa: B018 - asking for it is the test


async def test_search_then_download_as_documented(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)

    async with site.client() as client:
        outcomes = [await client.download(product) async for product in client.catalogue.search()]

    assert [Status.DOWNLOADED] * 3 == [outcome.status for outcome in outcomes]
    assert {scene.identifier: scene.size for scene in scenes} == {
        outcome.product.identifier: outcome.bytes for outcome in outcomes
    }
    assert all(outcome.path is not None and is_archive(outcome.path) for outcome in outcomes)


async def test_a_query_of_its_own_goes_before_the_configurations(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(3))

    async with site.client() as client:
        found = [product async for product in client.catalogue.search(Query.create("S2_MSIL2A", count=2))]
        report = await client.download_all(Query.create("S2_MSIL2A", count=1))

    assert (2, 1) == (len(found), report.downloaded)


async def test_action_tells_what_download_would_do(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)
    site.folder.mkdir()
    site.archive(scenes[0]).write_bytes(site.original(scenes[0]))
    site.archive(scenes[1]).with_suffix(".zip.part").write_bytes(b"PK\x03\x04")

    async with site.client() as client:
        actions = {product.identifier: await client.local_state(product) async for product in client.catalogue.search()}

    expected = dict(
        zip([scene.identifier for scene in scenes], [Action.SKIP, Action.RESUME, Action.FETCH], strict=True)
    )
    assert expected == actions
    assert [] == site.archive_hits()


async def test_a_client_may_run_again_and_again(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(2))

    async with site.client() as client:
        first, second = await client.download_all(), await client.download_all()

    assert (2, 0) == (first.downloaded, first.skipped)
    assert (0, 2) == (second.downloaded, second.skipped)


async def test_products_are_downloaded_from_a_list_or_from_any_source(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(5))

    async with site.client() as client:
        products = await client.search().collect()
        listed = await client.download_all([*products[:2], products[0]])
        sized = await client.download_all(client.fetch_sizes(iter(products[:3])))
        found = await client.download_all(client.search())

    assert (2, 0) == (listed.downloaded, listed.skipped)
    assert (1, 2) == (sized.downloaded, sized.skipped)
    assert (2, 3, 5) == (found.downloaded, found.skipped, found.search_total)
    assert listed.ok
    assert sized.ok
    assert found.ok


async def test_a_search_has_the_selection_and_the_catalogue_has_everything(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(4)
    site = await serve(scenes)
    tile = scenes[0].identifier.split("_T")[1][:5]
    config = replace(site.config(), selection=Selection(tile=tile))
    excluded: list[str] = []

    async with Client(config) as client:
        results = client.search(on_excluded=lambda one: excluded.append(one.product.identifier))
        kept = await results.collect()
        found = [product async for product in client.catalogue.search()]

    expected = {scene.identifier for scene in scenes if f"_T{tile}_" in scene.identifier}
    assert expected == {product.identifier for product in kept}
    assert len(kept) + len(excluded) == len(found) == 4
    assert {"another tile": len(excluded)} == results.excluded
    assert isinstance(kept, Products)


async def test_leaving_a_search_early_reads_no_further_page(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(30), page_maximum=5)

    async with site.client() as client:
        async for _ in client.catalogue.search():
            break

    assert 1 == sum(hit.status == 200 for hit in site.server.requests)


# -------------------------------------------------------------------------------------------------------- the report


async def test_the_reports_numbers_are_those_of_the_run(serve: Callable[..., Any], tmp_path: Path) -> None:
    scenes = level2_scenes(4)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")}, page_maximum=3)
    site.folder.mkdir()
    site.archive(scenes[1]).write_bytes(site.original(scenes[1]))

    report = await run(site.config(), report=tmp_path / "report.json")

    assert (2, 1, 1, 4) == (report.downloaded, report.skipped, report.failed, report.found)
    assert scenes[2].size + scenes[3].size == report.bytes == site.moved()
    assert (4, 2, None) == (report.search_total, report.search_pages, report.search_error)
    assert 0 < report.seconds < 60
    (failure,) = report.failures
    assert scenes[0].identifier == failure.product.identifier
    assert isinstance(failure.error, NotAvailableError)
    assert not report.ok
    summary = json.loads((tmp_path / "report.json").read_bytes())["summary"]
    assert (4, 2, report.bytes) == (summary["found"], summary["downloaded"], summary["bytes"])


async def test_each_outcome_is_told_with_the_version_of_its_archive(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(3))
    told: list[Outcome] = []
    async with site.client() as client:
        first = await client.download_all(on_outcome=told.append)
        again = await client.download_all(client.search(), on_outcome=told.append)
    store = {scene.identifier: site.original(scene) for scene in site.server.scenes}

    assert told == [*first.outcomes, *again.outcomes]
    assert [Status.DOWNLOADED] * 3 + [Status.SKIPPED] * 3 == [outcome.status for outcome in told]
    for outcome in told[:3]:
        assert len(store[outcome.product.identifier]) == outcome.size
        assert outcome.etag
        assert outcome.etag.startswith('"')
        assert outcome.last_modified
        assert outcome.last_modified.endswith(" GMT")
    assert {(None, None, None)} == {(outcome.size, outcome.etag, outcome.last_modified) for outcome in told[3:]}


async def test_an_error_of_the_callers_function_ends_the_run(serve: Callable[..., Any]) -> None:
    def refuse(outcome: Outcome) -> None:
        raise LookupError(outcome.product.identifier)

    site = await serve(level2_scenes(3))
    async with site.client() as client:
        with pytest.raises(LookupError):
            await client.download_all(on_outcome=refuse)
    assert client.report.downloaded >= 1


async def test_bytes_that_moved_twice_are_counted_twice(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1)[0]
    site = await serve([scene], faults={scene.identifier: fault("corrupt")})

    report = await site.pull()

    assert 1 == report.downloaded
    assert scene.size < report.bytes < 2 * scene.size, "the bad member alone moves again"


async def test_a_search_that_fails_is_part_of_the_report(serve: Callable[..., Any]) -> None:
    site = await serve([])

    report = await site.pull(parameters={"parentIdentifier": "NOPE"})

    assert isinstance(report.search_error, CatalogueError)
    assert "Unknown parentId 'NOPE'" in str(report.search_error)
    assert (0, False) == (report.found, report.ok)


async def test_a_report_that_cannot_be_written_is_told_before_anything_is_asked(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    site = await serve(level2_scenes(1))

    async with site.client() as client:
        with pytest.raises(ConfigError, match="--report: expected a folder at"):
            await client.download_all(report=tmp_path / "nowhere" / "report.json")

    assert [] == site.server.requests


async def test_a_cancelled_run_leaves_a_report_of_what_was_done(serve: Callable[..., Any], tmp_path: Path) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes, faults={scenes[0].identifier: fault("stall")})
    done = asyncio.Event()

    class Watching(Recording):
        def finished(self, outcome: Outcome) -> None:
            super().finished(outcome)
            if len([name for name in self.told if self.words(name)[-1] == "finished"]) == 2:
                done.set()

    async with Client(site.config(timeout=60), Watching()) as client:
        task = asyncio.create_task(client.download_all(report=tmp_path / "report.json"))
        async with asyncio.timeout(HANGS):
            await done.wait()
        await asyncio.sleep(0)  # the caller of this progress method updates the report next
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert (2, 0, 0) == (client.report.downloaded, client.report.skipped, client.report.failed)
    written = json.loads((tmp_path / "report.json").read_bytes())
    assert 2 == written["summary"]["downloaded"] == len(written["products"])
    assert [] == [name for name in site.litter() if not name.endswith((".part", ".part.json"))]


# -------------------------------------------------------------------------------------------------------- progress


async def test_progress_hears_of_each_product_in_order(serve: Callable[..., Any], sleeps: RecordedSleeps) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes)
    progress = Recording()

    report = await pull(site, sleeps, progress)

    assert [3] == progress.expected
    for scene in scenes:
        assert ["started", "advanced", "checking", "finished"] == progress.words(scene.identifier)
        assert ("started", (0, scene.size)) == progress.told[scene.identifier][0]
        assert scene.size == progress.advances(scene.identifier) == progress.outcome(scene.identifier).bytes
    assert report.bytes == sum(map(progress.advances, progress.told))


async def test_progress_hears_of_a_resume_from_where_it_goes_on(
    serve: Callable[..., Any], sleeps: RecordedSleeps
) -> None:
    scene = level2_scenes(1, size=3_000_000)[0]
    site = await serve([scene], faults={scene.identifier: fault("cut")})
    progress = Recording()

    await pull(site, sleeps, progress)

    starts = [value for word, value in progress.told[scene.identifier] if word == "started"]
    expected = ["started", "advanced", "started", "advanced", "checking", "finished"]
    assert expected == progress.words(scene.identifier)
    assert [(0, scene.size), (scene.size // 3, scene.size)] == starts
    assert scene.size == progress.advances(scene.identifier) == progress.outcome(scene.identifier).bytes


async def test_progress_hears_only_the_end_of_what_was_skipped_or_refused(
    serve: Callable[..., Any], sleeps: RecordedSleeps
) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes, faults={scenes[0].identifier: fault("missing")})
    site.folder.mkdir()
    site.archive(scenes[1]).write_bytes(site.original(scenes[1]))
    progress = Recording()

    await pull(site, sleeps, progress)

    assert [["finished"], ["finished"]] == [progress.words(scene.identifier) for scene in scenes]
    assert Status.FAILED is progress.outcome(scenes[0].identifier).status
    assert Status.SKIPPED is progress.outcome(scenes[1].identifier).status


async def test_progress_hears_of_both_tries_of_a_bad_archive(serve: Callable[..., Any], sleeps: RecordedSleeps) -> None:
    scene = level2_scenes(1)[0]
    site = await serve([scene], faults={scene.identifier: fault("rotten")})
    progress = Recording()

    await pull(site, sleeps, progress)

    once = ["started", "advanced", "checking"]
    assert [*once, *once, "finished"] == progress.words(scene.identifier)
    assert scene.size < progress.advances(scene.identifier) < 2 * scene.size


class Display(SilentProgress):
    """A listener that writes down when its display begins and ends."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def open(self) -> None:
        self.told.append("open")

    def finished(self, outcome: Outcome) -> None:
        self.told.append(str(outcome.status))

    def close(self) -> None:
        self.told.append("close")


async def test_each_run_begins_and_ends_the_display_and_downloads_at_the_same_time_share_it(
    serve: Callable[..., Any], sleeps: RecordedSleeps
) -> None:
    site = await serve(level2_scenes(3))
    display = Display()
    async with Client(site.config(), display, sleep=sleeps) as client:
        products = await client.search().collect()
        assert [] == display.told
        await client.download_all(products[:1])
        await asyncio.gather(*map(client.download, products[1:]))
        with pytest.raises(ZeroDivisionError):
            await client.download_all(product for product in products if 1 // 0)

    both = ["open", "downloaded", "downloaded", "close"]
    assert ["open", "downloaded", "close", *both, "open", "close"] == display.told


async def test_progress_of_another_word_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^progress: expected a Progress object, None or 'auto', found 'yes'$"):
        Client(progress="yes")  # type: ignore[arg-type]  # as it is meant to be


@pytest.mark.parametrize("count", [None, 4])
async def test_progress_expects_what_the_search_will_give(
    serve: Callable[..., Any], sleeps: RecordedSleeps, count: int | None
) -> None:
    site = await serve(level2_scenes(12, size=1_000), page_maximum=5)
    progress = Recording()

    report = await pull(site, sleeps, progress, parameters={"count": count})

    assert [count or 12] == progress.expected
    assert (count or 12) == report.found


# ---------------------------------------------------------------------------------------------------------- memory


async def test_a_run_over_several_pages_keeps_no_outcome_but_those_that_failed(
    serve: Callable[..., Any], sleeps: RecordedSleeps
) -> None:
    scenes = level2_scenes(250, size=700)
    site = await serve(scenes, faults={scenes[125].identifier: fault("missing")})
    heard: list[Outcome] = []

    class Keeping(SilentProgress):
        def finished(self, outcome: Outcome) -> None:
            heard.append(outcome)

    async with Client(site.config(), Keeping(), sleep=sleeps) as client:
        report = await client.download_all()
        heard.append(Outcome(Product("held by this test alone", url=None), Status.SKIPPED))
        holders = [sys.getrefcount(outcome) for outcome in heard]

    kept = [outcome for outcome, count in zip(heard, holders, strict=True) if count > holders[-1]]
    assert (249, 1) == (report.downloaded, report.failed)
    assert list(report.failures) == kept
