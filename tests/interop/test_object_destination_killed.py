"""Runs into a real object store that end at each step of an upload: the next one goes on, without the source."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import fault
from tests.support.at_store import at_store, right_objects, spooled
from tests.support.commands import assert_clean_exit, stored_scenes, until
from tests.support.store_holds import BEGUN, COMPLETION, LATER_PARTS, HoldingProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.conftest import Command
    from tests.support.object_servers import Bucket
    from tests.support.store_holds import Hold

SIZE = 9_000_000
"""Bytes of an archive that is uploaded in two parts."""


@asynccontextmanager
async def running_until_held(
    hold: Hold, command: Command, *words: object, **environ: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command until a request to the store is held."""
    process = await command.start(*words, **environ)
    ended = asyncio.ensure_future(process.communicate())
    held = asyncio.ensure_future(hold.wait())
    try:
        await asyncio.wait([ended, held], return_when=asyncio.FIRST_COMPLETED)
        assert not ended.done(), ended.result()
        yield process
    finally:
        held.cancel()
        if process.returncode is None:
            process.kill()
        await ended


async def killed_when_held(
    command: Command, bucket: Bucket, words: tuple[object, ...], pattern: str, *, after: bool = False
) -> None:
    proxy = HoldingProxy(bucket.server)
    async with proxy.running() as endpoint:
        hold = proxy.hold(pattern, after=after)
        async with running_until_held(hold, command, *words, AWS_ENDPOINT_URL_S3=endpoint) as process:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(
    ("pattern", "after"), [(BEGUN, False), (BEGUN, True), (LATER_PARTS, False), (COMPLETION, False)]
)
async def test_what_was_killed_before_its_object_is_there_is_uploaded_from_the_spool(
    serve: Callable[..., Any], command: Command, bucket: Bucket, tmp_path: Path, pattern: str, *, after: bool
) -> None:
    site, spool = await serve(stored_scenes(1, SIZE)), tmp_path / "spool"
    words = at_store(site, bucket, spool)
    await killed_when_held(command, bucket, words, pattern, after=after)
    [name] = [path.name for path in spool.glob("*.part")]

    assert [] == bucket.keys()
    assert len(site.original(site.server.scenes[0])) == (spool / name).stat().st_size
    asked = len(site.archive_hits())

    ended = assert_clean_exit(await command(*words))

    assert 0 == ended.code, ended.err
    assert asked == len(site.archive_hits())
    assert right_objects(site, bucket)
    assert [] == spooled(spool)


async def test_what_was_killed_right_after_is_skipped_and_its_spool_cleared(
    serve: Callable[..., Any], command: Command, bucket: Bucket, tmp_path: Path
) -> None:
    """The store has completed the upload, and the run that began it never heard of it."""
    site, spool = await serve(stored_scenes(1, SIZE)), tmp_path / "spool"
    words = at_store(site, bucket, spool)
    await killed_when_held(command, bucket, words, COMPLETION, after=True)
    assert right_objects(site, bucket)
    assert 3 == len(spooled(spool))  # the part file, its sidecar and its lock
    before, asked = bucket.metadata(bucket.keys()[0]), len(site.archive_hits())

    ended = assert_clean_exit(await command(*words))

    assert 0 == ended.code, ended.err
    assert "1 already here" in ended.err
    assert asked == len(site.archive_hits())
    assert before == bucket.metadata(bucket.keys()[0])
    assert [] == spooled(spool)


async def test_an_archive_that_is_replaced_between_two_runs_comes_anew(
    serve: Callable[..., Any], command: Command, bucket: Bucket, tmp_path: Path
) -> None:
    scenes = stored_scenes(1, SIZE)
    site = await serve(scenes, faults={scenes[0].identifier: fault("stall")})
    spool = tmp_path / "spool"
    words = at_store(site, bucket, spool)
    process = await command.start(*words)
    await until(lambda: any(path.stat().st_size for path in spool.glob("*.part")), process)
    process.kill()
    await process.communicate()
    site.server.replace(scenes[0].identifier)

    ended = assert_clean_exit(await command(*words))

    assert 0 == ended.code, ended.err
    assert right_objects(site, bucket, version=1)
    assert [] == spooled(spool)


async def test_two_runs_at_once_with_a_spool_each_leave_one_right_object(
    serve: Callable[..., Any], command: Command, bucket: Bucket, tmp_path: Path
) -> None:
    """Both have found nothing in the store, and both are about to complete the upload of the same archive."""
    site, spools = await serve(stored_scenes(1, SIZE)), (tmp_path / "one", tmp_path / "other")
    proxy = HoldingProxy(bucket.server)
    async with proxy.running() as endpoint:
        hold = proxy.hold(COMPLETION, count=2)
        runs = [
            asyncio.ensure_future(command(*at_store(site, bucket, spool), AWS_ENDPOINT_URL_S3=endpoint))
            for spool in spools
        ]
        await hold.wait()
        hold.release()
        ended = [assert_clean_exit(await run) for run in runs]

    assert [0, 0] == [one.code for one in ended]
    assert right_objects(site, bucket)
    assert [[], []] == [spooled(spool) for spool in spools]


async def test_two_runs_at_once_with_one_spool_fetch_it_once(
    serve: Callable[..., Any], command: Command, bucket: Bucket, tmp_path: Path
) -> None:
    """The second one finds the lock, waits, and then finds the object, which its listing did not have."""
    site, spool = await serve(stored_scenes(1, SIZE)), tmp_path / "spool"
    words = at_store(site, bucket, spool)
    proxy = HoldingProxy(bucket.server)
    async with proxy.running() as endpoint:
        hold = proxy.hold(COMPLETION)
        first = asyncio.ensure_future(command(*words, AWS_ENDPOINT_URL_S3=endpoint))
        await hold.wait()
        asked = len(site.archive_hits())
        second = await command.start("-v", *words)
        await until_said(second, b"another run is fetching it")
        hold.release()
        ended = [assert_clean_exit(await first), assert_clean_exit(await command.end(second))]

    assert [0, 0] == [one.code for one in ended]
    assert asked == len(site.archive_hits())
    assert right_objects(site, bucket)
    assert [] == spooled(spool)


async def until_said(process: asyncio.subprocess.Process, words: bytes) -> None:
    """Wait until a running command has said something on standard error."""
    assert process.stderr is not None
    async with asyncio.timeout(120):
        while words not in (line := await process.stderr.readline()):
            assert line, "it ended before"


async def test_a_store_that_is_killed_and_started_again_ends_no_run(
    serve: Callable[..., Any], command: Command, bucket: Bucket, tmp_path: Path
) -> None:
    """Two uploads fail in the middle; what follows meets the store that has been started again."""
    site, spool = await serve(stored_scenes(3, SIZE)), tmp_path / "spool"
    words = (*at_store(site, bucket, spool), "--segments", 1)
    proxy = HoldingProxy(bucket.server)
    async with proxy.running() as endpoint:
        hold = proxy.hold(LATER_PARTS, count=2)
        run = asyncio.ensure_future(command(*words, AWS_ENDPOINT_URL_S3=endpoint))
        await hold.wait()
        others = proxy.hold(".*")
        bucket.server.kill()
        hold.release()
        await asyncio.to_thread(bucket.server.start)
        others.release()
        ended = assert_clean_exit(await run)

    assert 0 == ended.code, ended.err
    assert 3 == len(site.archive_hits())
    assert right_objects(site, bucket)
    assert [] == spooled(spool)


async def test_a_store_that_is_away_is_waited_for_and_nothing_is_fetched_twice(
    serve: Callable[..., Any], command: Command, bucket: Bucket, tmp_path: Path
) -> None:
    """It is killed amid two uploads, and started again only when the run has said that it is away."""
    site, spool = await serve(stored_scenes(3, SIZE)), tmp_path / "spool"
    words = (*at_store(site, bucket, spool), "--segments", 1, "--retries", 1)
    proxy = HoldingProxy(bucket.server)
    async with proxy.running() as endpoint:
        hold = proxy.hold(LATER_PARTS, count=2)
        process = await command.start(*words, AWS_ENDPOINT_URL_S3=endpoint)
        await hold.wait()
        bucket.server.kill()
        hold.release()
        await until_said(process, b"; trying again for up to 15:00")
        await asyncio.to_thread(bucket.server.start)
        ended = assert_clean_exit(await command.end(process))

    assert 0 == ended.code, ended.err
    assert 1 == ended.err.count("answers again after")
    assert 0 == ended.err.count("trying again for up to")  # beside the line that was read
    assert 3 == len(site.archive_hits())
    assert right_objects(site, bucket)
    assert [] == spooled(spool)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_stop_while_a_store_is_waited_for_ends_at_once(
    serve: Callable[..., Any],
    command: Command,
    bucket: Bucket,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    """The store never comes back: the run would wait for a day."""
    site, spool = await serve(stored_scenes(2, SIZE)), tmp_path / "spool"
    words = (*at_store(site, bucket, spool), "--retries", 1, "--outage", "1d")
    proxy = HoldingProxy(bucket.server)
    async with proxy.running() as endpoint:
        hold = proxy.hold(COMPLETION, count=2)
        process = await command.start(*words, AWS_ENDPOINT_URL_S3=endpoint)
        await hold.wait()
        bucket.server.kill()
        hold.release()
        await until_said(process, b"; trying again for up to 24:00:00")
        process.send_signal(number)
        ended = assert_clean_exit(await command.end(process))

    assert code == ended.code
    assert 2 == len(list(spool.glob("*.part")))


async def test_a_store_that_stays_away_ends_the_run_and_the_spool_is_kept(
    serve: Callable[..., Any], command: Command, bucket: Bucket, tmp_path: Path
) -> None:
    site, spool = await serve(stored_scenes(2, SIZE)), tmp_path / "spool"
    words = at_store(site, bucket, spool)
    proxy = HoldingProxy(bucket.server)
    async with proxy.running() as endpoint:
        hold = proxy.hold(COMPLETION, count=2)
        run = asyncio.ensure_future(command(*words, "--retries", 1, "--outage", 0, AWS_ENDPOINT_URL_S3=endpoint))
        await hold.wait()
        bucket.server.kill()
        hold.release()
        stopped = assert_clean_exit(await run)
    await asyncio.to_thread(bucket.server.start)
    asked = len(site.archive_hits())
    assert 1 == stopped.code
    assert f"error: {bucket.url}" in stopped.err
    assert 2 == len(list(spool.glob("*.part")))

    ended = assert_clean_exit(await command(*words))

    assert 0 == ended.code, ended.err
    assert asked == len(site.archive_hits())
    assert right_objects(site, bucket)
    assert [] == spooled(spool)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_stop_during_an_upload_keeps_the_spool(
    serve: Callable[..., Any],
    command: Command,
    bucket: Bucket,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    # More parts than are read ahead: an upload that has all of them may still complete.
    site, spool = await serve(stored_scenes(1, 5 * SIZE)), tmp_path / "spool"
    words = at_store(site, bucket, spool)
    proxy = HoldingProxy(bucket.server)
    async with proxy.running() as endpoint:
        hold = proxy.hold(LATER_PARTS)
        process = await command.start(*words, AWS_ENDPOINT_URL_S3=endpoint)
        await hold.wait()
        process.send_signal(number)
        await until_said(process, b"stopping")
        hold.release()
        ended = assert_clean_exit(await command.end(process))
    asked = len(site.archive_hits())
    assert code == ended.code
    assert [] == bucket.keys()
    assert 1 == len(list(spool.glob("*.part")))

    ended = assert_clean_exit(await command(*words))

    assert 0 == ended.code, ended.err
    assert asked == len(site.archive_hits())
    assert right_objects(site, bucket)
    assert [] == spooled(spool)


async def test_a_byte_that_is_wrong_at_the_source_comes_to_no_store(
    serve: Callable[..., Any], command: Command, bucket: Bucket, tmp_path: Path
) -> None:
    scenes = stored_scenes(2, 1_000_000)
    site = await serve(scenes, faults={scenes[0].identifier: fault("rotten")})
    spool = tmp_path / "spool"

    ended = assert_clean_exit(await command(*at_store(site, bucket, spool)))

    assert 1 == ended.code
    assert "it came with the same bytes twice, so the archive is bad on the server" in ended.err
    assert [site.archive(scenes[1]).name] == bucket.keys()
    assert [] == spooled(spool)
