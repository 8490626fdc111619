"""Several connections for one archive: idle workers help, no byte is written twice, nothing is joined unproven."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.demo.faults import FAULTS
from collgs_async.http.retry import RetryPolicy
from collgs_async.models.product import Status
from collgs_async.storage.part import PartFile
from collgs_async.storage.sidecar import RemoteVersion
from collgs_async.transfer.job import DownloadJob
from collgs_async.transfer.range_request import RangeRequest, ResponseBody
from collgs_async.transfer.segment import Segment
from collgs_async.transfer.tuning import TransferTuning
from tests.conftest import HANGS, level2_scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.models.report import Report

MIB = 2**20
KIB = 2**10


SMALL_SCALE = TransferTuning(min_piece_bytes=512 * KIB, min_receiver_bytes=MIB, min_split_seconds=0.1)
"""Archives of a few megabytes are split and received as large ones are, so that it takes a second."""


@pytest.fixture
def tuning() -> TransferTuning:
    return SMALL_SCALE


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something that the server sees."""
    async with asyncio.timeout(HANGS):
        while not happened():  # noqa: ASYNC110 - the server keeps no event for it
            await asyncio.sleep(0.01)


async def pull_large(serve: Callable[..., Any], *, mib: int = 6, faults: tuple[str, ...] = (), **options: Any) -> Any:
    scene = replace(level2_scenes(1)[0], size=mib * MIB, deflated=False)
    spoiled = {scene.identifier: tuple(FAULTS[name] for name in faults)} if faults else {}
    site = await serve([scene], rate=4 * MIB, faults=spoiled)
    report: Report = await site.pull(**{"workers": 4, "segments": 4, **options})
    return site, scene, report


async def test_idle_workers_help_with_the_last_archive(serve: Callable[..., Any]) -> None:
    site, scene, report = await pull_large(serve)

    assert 1 == report.downloaded
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert 2 <= len(site.archive_hits()) <= 6
    assert report.bytes <= scene.size + 2 * MIB
    assert [] == site.litter()


@pytest.mark.parametrize(("workers", "segments"), [(4, 1), (1, 4)])
async def test_one_segment_or_one_worker_means_one_connection(
    serve: Callable[..., Any], workers: int, segments: int
) -> None:
    site, scene, report = await pull_large(serve, mib=3, workers=workers, segments=segments)

    assert (1, 1) == (report.downloaded, len(site.archive_hits()))
    assert report.bytes == scene.size


async def test_never_more_connections_than_segments(serve: Callable[..., Any]) -> None:
    site, _, report = await pull_large(serve, workers=8, segments=2)

    assert 1 == report.downloaded
    first, second, *_ = site.archive_hits()
    assert first.range is None
    assert second.headers["if-range"].startswith('"')


@pytest.mark.parametrize("name", ["no-range", "weak-etag", "no-validators", "etag-per-node"])
async def test_without_proof_of_the_version_there_is_one_connection(serve: Callable[..., Any], name: str) -> None:
    """The fault cuts the first answer; what follows is not split."""
    site, scene, report = await pull_large(serve, mib=3, faults=(name,))

    assert 1 == report.downloaded
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert report.bytes <= 2.1 * scene.size


async def test_broken_connections_of_helpers_cost_only_what_was_on_its_way(serve: Callable[..., Any]) -> None:
    site, scene, report = await pull_large(serve, faults=("cut",) * 4)

    assert 1 == report.downloaded
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert report.bytes <= scene.size + 4 * MIB


async def test_replaced_while_several_connections_bring_it(serve: Callable[..., Any]) -> None:
    scene = replace(level2_scenes(1)[0], size=12 * MIB, deflated=False)
    site = await serve([scene], rate=4 * MIB)
    run = asyncio.create_task(site.pull(workers=4, segments=4))
    await until(lambda: len(site.archive_hits()) >= 3)
    site.server.replace(scene.identifier)

    report = await run

    assert 1 == report.downloaded
    assert site.archive(scene).read_bytes() in {site.original(scene), site.original(scene, 1)}


async def test_a_cancelled_run_goes_on_with_any_other_number_of_segments(serve: Callable[..., Any]) -> None:
    scene = replace(level2_scenes(1)[0], size=6 * MIB, deflated=False)
    site = await serve([scene], rate=1 * MIB)
    run = asyncio.create_task(site.pull(workers=4, segments=4))
    await until(lambda: site.moved() >= 3.5 * MIB)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    ranges = json.loads(site.archive(scene).with_suffix(".zip.part.json").read_bytes())["ranges"]
    held = sum(end - first for first, end in ranges)
    site.server.forget()

    report = await site.pull(workers=1)

    assert len(ranges) >= 2
    assert held >= 2 * MIB
    assert report.bytes == scene.size - held
    assert site.original(scene) == site.archive(scene).read_bytes()
    assert [] == site.litter()


async def test_many_small_and_one_large_archive_all_arrive(serve: Callable[..., Any]) -> None:
    scenes = [replace(scene, size=100_000) for scene in level2_scenes(12)]
    scenes[-1] = replace(scenes[-1], size=5 * MIB, deflated=False)
    site = await serve(scenes, rate=4 * MIB)

    report = await site.pull(workers=4)

    assert (12, 0) == (report.downloaded, report.failed)
    assert all(site.original(scene) == site.archive(scene).read_bytes() for scene in scenes)


def job_with(tmp_path: Path, held: list[tuple[int, int]], size: int | None, segments: int = 4) -> DownloadJob:
    from collgs_async import Product

    job = DownloadJob(Product("A", "http://h/a"), PartFile(tmp_path / "a.zip"), RetryPolicy(3), segments=segments)
    for first, end in held:
        job.part.held.add(first, end)
    job.size = size
    job.part.remote = RemoteVersion("http://h/a", size, '"tag"')
    return job


def running(job: DownloadJob, first: int, end: int, position: int, *, seconds: float = 10.0) -> Segment:
    segment = Segment(first, end)
    segment.position = position
    segment.response = object()  # type: ignore[assignment]  # only its presence counts
    segment.begun = 100.0 - seconds
    job.active.append(segment)
    return segment


def spans(segment: Segment | None) -> tuple[int, int | None] | None:
    return None if segment is None else (segment.first, segment.end)


@pytest.mark.parametrize(
    ("held", "taken", "expected"),
    [
        pytest.param([], [], (0, 100), id="nothing here: everything"),
        pytest.param([(0, 40)], [], (40, 100), id="the rest"),
        pytest.param([(0, 40), (60, 70)], [], (40, 60), id="the first gap"),
        pytest.param([(0, 40)], [(40, 100)], None, id="the rest is being fetched"),
        pytest.param([(0, 40)], [(60, 100)], (40, 60), id="the gap before an active segment"),
        pytest.param([(0, 40)], [(40, 60)], (60, 100), id="the gap after an active segment"),
        pytest.param([(0, 100)], [], None, id="nothing is missing"),
    ],
)
async def test_next_segment(
    tmp_path: Path, held: list[tuple[int, int]], taken: list[tuple[int, int]], expected: tuple[int, int] | None
) -> None:
    job = job_with(tmp_path, held, 100)
    for first, end in taken:
        running(job, first, end, first)

    assert expected == spans(job.next_segment())


@pytest.mark.parametrize(
    ("size", "position", "seconds", "tag", "segments", "split"),
    [
        pytest.param(100 * MIB, 10 * MIB, 10.0, '"tag"', 4, True, id="90 s are left"),
        pytest.param(100 * MIB, 100 * MIB - 900 * KIB, 10.0, '"tag"', 4, False, id="halves would be too small"),
        pytest.param(100 * MIB, 95 * MIB, 1.0, '"tag"', 4, False, id="it is soon over"),
        pytest.param(100 * MIB, 10 * MIB, 0.01, '"tag"', 4, False, id="its rate is not known yet"),
        pytest.param(100 * MIB, 10 * MIB, 10.0, 'W/"tag"', 4, False, id="no strong validator"),
        pytest.param(100 * MIB, 10 * MIB, 10.0, None, 4, False, id="no validator"),
        pytest.param(100 * MIB, 10 * MIB, 10.0, '"tag"', 1, False, id="one connection is the most"),
        pytest.param(100 * MIB, 0, 10.0, '"tag"', 4, True, id="nothing comes at all"),
        pytest.param(100 * MIB, 0, 0.5, '"tag"', 4, False, id="its first block may be about to be written"),
    ],
)
async def test_share(
    tmp_path: Path, size: int, position: int, seconds: float, tag: str | None, segments: int, *, split: bool
) -> None:
    job = job_with(tmp_path, [(0, position)], size, segments)
    job.part.remote = RemoteVersion("http://h/a", size, tag)
    longest = running(job, 0, size, position, seconds=seconds)

    shared = job.split_largest(100.0)

    assert split is (shared is not None)
    if shared:
        assert (position + (size - position) // 2, size) == spans(shared[1])
        assert shared[1].left >= 512 * KIB
        assert longest is shared[0]


async def test_line_that_has_come_to_a_halt_is_helped_though_it_was_fast(tmp_path: Path) -> None:
    job = job_with(tmp_path, [(0, 99 * MIB)], 100 * MIB)
    running(job, 0, 100 * MIB, 99 * MIB, seconds=1.0)

    looks = [job.split_largest(100.0 + seconds) is not None for seconds in (0.0, 0.4, 0.6)]

    assert [False, False, True] == looks


async def test_helpers_that_start_together_get_equal_pieces(tmp_path: Path) -> None:
    job = job_with(tmp_path, [(0, 20 * MIB)], 100 * MIB)
    longest = running(job, 0, 100 * MIB, 20 * MIB)

    pieces = [job.split_largest(100.0, helpers) for helpers in (7, 6, 5, 4)]

    assert [(80 * MIB, 100 * MIB), (60 * MIB, 80 * MIB), (40 * MIB, 60 * MIB), None] == [
        shared and spans(shared[1]) for shared in pieces
    ], "four connections are the most"
    assert 20 * MIB == longest.unclaimed


async def test_helper_of_a_line_that_has_brought_nothing_yet_asks_for_its_piece_only(tmp_path: Path) -> None:
    job = job_with(tmp_path, [], 100 * MIB)
    running(job, 0, 100 * MIB, 0, seconds=1.0)

    shared = job.split_largest(100.0)

    assert shared
    assert RangeRequest(50 * MIB, None, '"tag"') == job.next_request(shared[1])


async def claimed(tmp_path: Path) -> tuple[DownloadJob, Segment, list[Segment], Callable[[Segment], bool]]:
    """Give a segment of which three pieces are claimed, and what happens when one of them is answered."""
    job = job_with(tmp_path, [(0, 20 * MIB)], 100 * MIB)
    longest = running(job, 0, 100 * MIB, 20 * MIB)
    pieces = [shared[1] for helpers in (3, 2, 1) if (shared := job.split_largest(100.0, helpers))]

    def answered(piece: Segment) -> bool:
        assert job.part.remote is not None
        if not job.claim(longest, piece, ResponseBody(piece.first, piece.end, job.part.remote)):
            return False
        job.active.append(piece)
        longest.claimed.discard(piece)
        return True

    return job, longest, pieces, answered


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_pieces_are_taken_over_in_whatever_order_they_are_answered(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    job, longest, pieces, answered = await claimed(tmp_path)

    for number in order:
        assert answered(pieces[number])
        assert 20 * MIB == longest.unclaimed

    assert (0, 40 * MIB) == spans(longest)
    assert None is job.next_segment()


async def test_piece_of_a_failed_helper_is_a_gap_and_assigned_only_once(tmp_path: Path) -> None:
    job, longest, pieces, answered = await claimed(tmp_path)
    assert answered(pieces[2])
    assert (60 * MIB, 100 * MIB) == spans(job.next_segment())

    job.requested.add(pieces[0])
    assert (60 * MIB, 80 * MIB) == spans(job.next_segment())
    job.requested.clear()
    running(job, 60 * MIB, 100 * MIB, 60 * MIB)
    assert not answered(pieces[1])
    assert (0, 40 * MIB) == spans(longest)


async def test_piece_of_a_segment_that_has_ended_is_taken_unless_it_is_here(tmp_path: Path) -> None:
    job, longest, pieces, answered = await claimed(tmp_path)
    job.active.remove(longest)
    job.part.held.add(20 * MIB, 61 * MIB)

    assert not answered(pieces[1])
    assert answered(pieces[0])
    assert (61 * MIB, 80 * MIB) == spans(job.next_segment())


async def test_the_end_moves_only_for_a_proven_answer_in_time(tmp_path: Path) -> None:
    job = job_with(tmp_path, [], 100 * MIB)
    longest = running(job, 0, 100 * MIB, 10 * MIB)
    second = Segment(55 * MIB, 100 * MIB)
    remote = RemoteVersion("http://h/a", 100 * MIB, '"tag"')

    assert not job.claim(longest, second, ResponseBody(55 * MIB, 100 * MIB, remote, proven=False))
    assert not job.claim(longest, second, ResponseBody(0, 100 * MIB, remote))
    longest.position = 60 * MIB
    assert not job.claim(longest, second, ResponseBody(55 * MIB, 100 * MIB, remote))
    assert 100 * MIB == longest.end

    longest.position = 20 * MIB
    assert job.claim(longest, second, ResponseBody(55 * MIB, 100 * MIB, remote))
    assert 55 * MIB == longest.end


async def test_record_of_ranges_never_speaks_of_bytes_that_are_not_there(tmp_path: Path) -> None:
    """The sidecar lists the ranges before the first byte that leaves a gap, and afterwards lags behind the file."""
    async with PartFile(tmp_path / "a.zip") as part:
        await part.set_version(RemoteVersion("http://h/a", 100 * MIB, '"tag"'))
        await part.write(0, b"x" * MIB)
        await part.write(50 * MIB, b"y" * 1000)
        recorded = json.loads(part.sidecar.read_bytes())["ranges"]
    assert [[0, MIB]] == recorded or [[0, MIB], [50 * MIB, 50 * MIB + 1000]] == recorded

    async with PartFile(tmp_path / "a.zip") as again:
        assert [(0, MIB), (50 * MIB, 50 * MIB + 1000)] == list(again.held)
        assert RemoteVersion("http://h/a", 100 * MIB, '"tag"') == again.remote


async def test_product_status_of_a_helped_archive_counts_all_requests(serve: Callable[..., Any]) -> None:
    scene = replace(level2_scenes(1)[0], size=5 * MIB, deflated=False)
    site = await serve([scene], rate=4 * MIB)
    path = site.folder.parent / "report.json"
    async with site.client(workers=4) as client:
        await client.download_all(report=path)

    product = json.loads(path.read_bytes())["products"][0]
    assert Status.DOWNLOADED == product["status"]
    assert len(site.archive_hits()) == product["attempts"]


@pytest.mark.parametrize("longer", [0, 50_000])
@pytest.mark.parametrize("workers", [2, 4])
async def test_replaced_while_helpers_bring_the_old_version_is_never_mixed(
    serve: Callable[..., Any], tmp_path: Path, workers: int, longer: int
) -> None:
    """The owner's connection breaks, its next answer is the whole new version, and a helper is still on the old one.

    Only the structure is verified, so that nothing but the engine itself keeps the versions apart.
    """
    scene = replace(level2_scenes(1)[0], size=6 * MIB, deflated=False)
    site = await serve([scene], rate=3 * MIB, faults={scene.identifier: (FAULTS["cut"],)})
    run = asyncio.create_task(site.pull(workers=workers, segments=workers, verify="structure"))
    await until(lambda: len(site.archive_hits()) >= 2)
    if longer:
        site.server.scenes[0] = replace(scene, size=scene.size + longer)
    site.server.replace(scene.identifier)

    report = await run

    old = site.original(scene)
    new = site.original(site.server.scenes[0], 1)
    assert 1 == report.downloaded
    assert site.archive(scene).read_bytes() in {old, new}


@pytest.mark.parametrize("moment", [0.02, 0.1, 0.2, 0.3, 0.5])
async def test_a_cancelled_run_ends_at_once_also_under_a_limit(serve: Callable[..., Any], moment: float) -> None:
    """A cancellation that comes while the last bytes of an archive are written must not get lost."""
    site = await serve(level2_scenes(12, size=30_000))  # for longer than any of these moments
    run = asyncio.create_task(site.pull(workers=2, limit_rate=100_000))
    await asyncio.sleep(moment)
    run.cancel()

    async with asyncio.timeout(HANGS):
        with pytest.raises(asyncio.CancelledError):
            await run
