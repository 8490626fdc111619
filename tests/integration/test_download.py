"""One product, from its URL to a verified file, over a line and from a store that misbehave in every way."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async import AuthenticationError, IntegrityError, NotAvailableError, StorageError, TransferError
from collgs_async.demo.faults import FAULTS
from collgs_async.models.product import Status
from collgs_async.transfer.action import Action, decide
from tests.conftest import HANGS, fault, is_archive, level2_scenes
from tests.support.faults import RECOVERABLE, served_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.models.product import Outcome
    from tests.conftest import RecordedSleeps

ONE_SIZE_AND_A_BIT = ["cut", "reset", "etag-per-node", "early-206", "200-range", "weak-etag", "no-validators", "stall"]
STOPS_MIDWAY = (FAULTS["cut"], FAULTS["500"])
"""With no retries: a try that brings a third, one that brings nothing, and the product is given up for now."""

SIZE = 3_000_000


async def pull_one(serve: Callable[..., Any], name: str, **options: Any) -> tuple[Any, Any, Outcome]:
    """Download one product whose store has this fault; gives the site, the scene and the outcome."""
    scenes = level2_scenes(1, size=SIZE)
    site = await serve(scenes, faults={scenes[0].identifier: fault(name)})
    if name == "stall":
        options = {"timeout": 2, **options}  # it is silent until the client has had enough
    outcome = await download(site, **options)
    return site, scenes[0], outcome


async def download(site: Any, **options: Any) -> Outcome:
    """Fetch the one product over one connection: a second one would be met by faults that are laid for the first."""
    async with site.client(**{"segments": 1, **options}) as client:
        async for product in client.catalogue.search():
            outcome: Outcome = await client.download(product)
            return outcome
    raise AssertionError("nothing was found")


@pytest.mark.parametrize("name", RECOVERABLE)
async def test_each_recoverable_fault_ends_in_the_right_bytes(serve: Callable[..., Any], name: str) -> None:
    site, scene, outcome = await pull_one(serve, name)

    assert (Status.DOWNLOADED, None) == (outcome.status, outcome.error)
    expected = site.original(scene, *served_version(name))
    found = site.archive(scene).read_bytes()
    assert expected == found[: len(expected)]
    assert (200 if name == "trailing" else 0) == len(found) - len(expected)
    assert [] == site.litter()


@pytest.mark.parametrize("name", ONE_SIZE_AND_A_BIT)
async def test_what_has_arrived_is_not_fetched_again(serve: Callable[..., Any], name: str) -> None:
    """At most the block that is compared, and what was on its way when the line broke, moves twice."""
    _, scene, outcome = await pull_one(serve, name)

    assert outcome.bytes <= scene.size + 100_000
    assert outcome.attempts >= 2


@pytest.mark.parametrize("name", ["if-range-200", "no-range", "replaced", "replaced-silently", "wrong-range"])
async def test_a_server_that_lies_costs_at_most_one_more_size(serve: Callable[..., Any], name: str) -> None:
    _, scene, outcome = await pull_one(serve, name)

    assert outcome.bytes <= 2.1 * scene.size


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("missing", NotAvailableError, "HTTP 404: Not Found"),
        ("forbidden", NotAvailableError, "HTTP 403: You may not have this product."),
        ("rotten", IntegrityError, "bad on the server"),
    ],
)
async def test_what_cannot_be_had_fails_with_the_servers_words_and_leaves_nothing(
    serve: Callable[..., Any], name: str, kind: type[Exception], words: str
) -> None:
    site, scene, outcome = await pull_one(serve, name)

    assert Status.FAILED is outcome.status
    assert isinstance(outcome.error, kind)
    assert words in str(outcome.error)
    assert not site.archive(scene).exists()
    assert [] == site.litter()


@pytest.mark.parametrize("name", ["missing", "forbidden"])
async def test_a_refusal_is_not_hammered(serve: Callable[..., Any], name: str) -> None:
    site, _, outcome = await pull_one(serve, name)

    assert 1 == outcome.attempts == len(site.archive_hits())


async def test_a_bad_archive_is_fetched_twice_and_no_more(serve: Callable[..., Any]) -> None:
    site, _, _ = await pull_one(serve, "rotten")

    assert 2 == len(site.archive_hits())


async def test_a_sign_in_form_stops_the_run_and_is_never_saved(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(3)
    site = await serve(scenes, faults={scene.identifier: fault("login") for scene in scenes})

    with pytest.raises(AuthenticationError, match=r"asks for a sign-in at 127\.0\.0\.1, and there are no credentials"):
        await site.pull()
    assert [] == list(site.folder.iterdir())


@pytest.mark.parametrize("name", ["503", "429"])
async def test_retry_after_is_obeyed(serve: Callable[..., Any], sleeps: RecordedSleeps, name: str) -> None:
    await pull_one(serve, name)

    assert max(sleeps.seconds) <= 1.1
    assert max(sleeps.seconds) >= 0.9


async def test_first_wait_after_a_broken_line_is_at_most_a_second(
    serve: Callable[..., Any], sleeps: RecordedSleeps
) -> None:
    await pull_one(serve, "cut")

    assert 1 == len(sleeps.seconds)
    assert 0 <= sleeps.seconds[0] <= 1


async def test_a_store_that_is_gone_is_given_up_after_the_retries(
    serve: Callable[..., Any], sleeps: RecordedSleeps
) -> None:
    site = await serve(level2_scenes(1))
    await serve([])
    async with site.client(download_base_url="http://127.0.0.1:9", outage=0) as client:
        async for product in client.catalogue.search():
            outcome = await client.download(product)

    assert isinstance(outcome.error, TransferError)
    assert "no connection to 127.0.0.1:9 (Connection refused); given up after 3 requests" in str(outcome.error)
    assert 3 == outcome.attempts
    assert 2 == len(sleeps.seconds)


async def test_a_line_that_drops_again_and_again_still_finishes(serve: Callable[..., Any]) -> None:
    """Ten cuts with two retries: only tries that bring nothing count."""
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene], faults={scene.identifier: (fault("cut"),) * 10})

    outcome = await download(site, retries=2)

    assert Status.DOWNLOADED is outcome.status
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert 11 == outcome.attempts
    assert outcome.bytes == scene.size


async def test_the_next_run_goes_on_where_the_last_one_stopped(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=6_000_000)[0]
    site = await serve([scene], faults={scene.identifier: STOPS_MIDWAY})
    first = await download(site, retries=0)
    part = site.archive(scene).with_suffix(".zip.part")
    held = part.stat().st_size
    site.server.forget()

    second = await download(site, retries=0)

    assert (Status.FAILED, Status.DOWNLOADED) == (first.status, second.status)
    assert f"bytes={held}-" == site.archive_hits()[0].range
    assert '"' == site.archive_hits()[0].headers["if-range"][0]
    assert scene.size == first.bytes + second.bytes
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert [] == site.litter()


async def test_an_archive_that_was_replaced_between_two_runs_is_never_spliced(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=6_000_000)[0]
    site = await serve([scene], faults={scene.identifier: STOPS_MIDWAY})
    await download(site, retries=0)
    site.server.replace(scene.identifier)

    outcome = await download(site)

    assert Status.DOWNLOADED is outcome.status
    assert site.original(scene, 1) == site.archive(scene).read_bytes()


@pytest.mark.parametrize("damage", ["gone", "garbage", "of another file"])
async def test_a_sidecar_that_is_lost_or_wrong_does_no_harm(serve: Callable[..., Any], damage: str) -> None:
    scene = level2_scenes(1, size=15_000_000)[0]
    site = await serve([scene], faults={scene.identifier: STOPS_MIDWAY})
    await download(site, retries=0)
    sidecar = site.archive(scene).with_suffix(".zip.part.json")
    if damage == "gone":
        sidecar.unlink()
    elif damage == "garbage":
        sidecar.write_bytes(b"\x00{]")
    else:
        sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"etag": '"other"', "size": 4}))

    outcome = await download(site)

    assert Status.DOWNLOADED is outcome.status
    assert site.original(scene) == site.archive(scene).read_bytes()


@pytest.mark.parametrize("garbage", [b"garbage", b"PK\x03\x04" + b"x" * 8_000_000, b"PK\x03\x04" + b"x" * 200_000])
async def test_a_part_that_is_not_of_this_archive_is_not_built_upon(serve: Callable[..., Any], garbage: bytes) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene])
    site.folder.mkdir()
    site.archive(scene).with_suffix(".zip.part").write_bytes(garbage)

    outcome = await download(site)

    assert Status.DOWNLOADED is outcome.status
    assert site.original(scene) == site.archive(scene).read_bytes()


async def test_a_part_that_is_complete_is_verified_and_published_without_a_byte(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=6_000_000)[0]
    site = await serve([scene], faults={scene.identifier: STOPS_MIDWAY})
    await download(site, retries=0)
    site.archive(scene).with_suffix(".zip.part").write_bytes(site.original(scene))

    outcome = await download(site)

    assert (Status.DOWNLOADED, 0, 0) == (outcome.status, outcome.bytes, outcome.attempts)


async def test_a_small_archive_gets_a_sidecar_when_it_is_left_unfinished(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene], faults={scene.identifier: STOPS_MIDWAY})

    await download(site, retries=0)

    assert [f"{scene.identifier}.zip.part", f"{scene.identifier}.zip.part.json"] == sorted(site.litter())


async def test_an_interrupted_small_archive_is_never_fetched_whole_again(serve: Callable[..., Any]) -> None:
    """Its members cannot be read, so that only its version proves that the rest belongs to what is here."""
    scene = replace(level2_scenes(1, size=SIZE)[0], unreadable=True)
    site = await serve([scene], faults={scene.identifier: STOPS_MIDWAY})
    interrupted = await download(site, retries=0)
    site.server.forget()

    outcome = await download(site)

    assert (Status.FAILED, Status.DOWNLOADED) == (interrupted.status, outcome.status)
    assert len(site.original(scene)) == interrupted.bytes + outcome.bytes
    assert [206] == [hit.status for hit in site.archive_hits()]


async def test_existing_archive_is_skipped_and_a_truncated_one_is_not(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes)
    await site.pull()
    site.server.forget()
    broken = site.archive(scenes[0])
    broken.write_bytes(broken.read_bytes()[:-100])

    report = await site.pull()

    assert (1, 1, 0) == (report.downloaded, report.skipped, report.failed)
    assert site.original(scenes[0]) == broken.read_bytes()
    assert [scenes[0].identifier] == [hit.path.rpartition("/")[2][:-4] for hit in site.archive_hits()]


async def test_no_skip_existing_fetches_again(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(2))
    await site.pull()

    assert 2 == (await site.pull(skip_existing=False)).downloaded


async def test_catalogue_that_lies_about_the_size_does_no_harm(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))
    async with site.client() as client:
        async for product in client.catalogue.search():
            outcome = await client.download(replace(product, size=17))

    assert Status.DOWNLOADED is outcome.status


async def test_limit_rate_holds_the_whole_run(serve: Callable[..., Any]) -> None:
    """The waits that the limit asks for add up to the bytes over the rate."""
    scenes = level2_scenes(2, size=400_000)
    site = await serve(scenes)

    begun = time.monotonic()
    report = await site.pull(limit_rate=1_000_000, workers=2)

    assert 2 == report.downloaded
    assert time.monotonic() - begun >= 0.8 * sum(scene.size for scene in scenes) / 1_000_000


async def test_block_is_as_large_as_chunk_size_asks(serve: Callable[..., Any]) -> None:
    site = await serve(level2_scenes(1))

    async with site.client(chunk_size=4 * 2**20) as large, site.client(chunk_size=1024) as small:
        assert 4 * 2**20 == large._downloader._scheduler._fetcher._block
        assert 2**20 == small._downloader._scheduler._fetcher._block


async def test_folder_in_the_place_of_the_archive_fails_that_product_alone(serve: Callable[..., Any]) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes)
    site.archive(scenes[0]).mkdir(parents=True)

    report = await site.pull()

    assert (1, 1) == (report.downloaded, report.failed)
    assert "expected a file, found a folder" in str(report.failures[0].error)


@pytest.mark.parametrize("instead", [Path.touch, lambda path: path.symlink_to("unmounted")], ids=["file", "link"])
async def test_output_folder_that_cannot_be_made_stops_the_run(
    serve: Callable[..., Any], instead: Callable[[Path], None]
) -> None:
    """Its settings are right when they are read: later, the disk is gone."""
    site = await serve(level2_scenes(2))

    async with asyncio.timeout(HANGS):
        async with site.client() as client:
            instead(site.folder)
            with pytest.raises(StorageError, match="Not a directory"):
                await client.download_all()


async def test_verify_levels_differ_in_what_they_let_through(serve: Callable[..., Any]) -> None:
    scene = level2_scenes(1, size=SIZE)[0]
    site = await serve([scene], faults={scene.identifier: fault("rotten")})

    strict, lax = await download(site), await download(site, verify="structure")

    assert (Status.FAILED, Status.DOWNLOADED) == (strict.status, lax.status)
    assert not is_archive(site.archive(scene))


@pytest.mark.parametrize(
    ("whole", "part", "skip_existing", "action"),
    [
        pytest.param(True, 0, True, Action.SKIP, id="a whole archive that is trusted is left alone"),
        pytest.param(True, 7, True, Action.SKIP, id="also when a part lies beside it"),
        pytest.param(True, 0, False, Action.FETCH, id="a whole archive that is not trusted is fetched"),
        pytest.param(True, 7, False, Action.RESUME, id="from where its part ends"),
        pytest.param(False, 0, True, Action.FETCH, id="nothing here: fetch"),
        pytest.param(False, 0, False, Action.FETCH, id="nothing here and nothing trusted: fetch"),
        pytest.param(False, 7, True, Action.RESUME, id="a part: resume"),
        pytest.param(False, 7, False, Action.RESUME, id="a part and nothing trusted: resume"),
    ],
)
def test_decide(*, whole: bool, part: int, skip_existing: bool, action: Action) -> None:
    assert action is decide(whole=whole, part=part, skip_existing=skip_existing)
