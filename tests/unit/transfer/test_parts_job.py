"""Which ranges of an archive are requested when only some of its bytes are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collgs_async.errors import TransferError
from collgs_async.http.retry import RetryPolicy
from collgs_async.models.product import Product
from collgs_async.models.wish import Wish
from collgs_async.storage.part import PartFile
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.sidecar import RemoteVersion
from collgs_async.transfer.parts_job import TAIL, PartsJob
from collgs_async.transfer.range_request import AskAgain, ResponseBody
from collgs_async.transfer.store_errors import WholeArchivesOnlyError

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.transfer.segment import Segment

MIB = 2**20
URL = "http://h/a.zip"
SIZE = 100 * MIB


def job_in(
    folder: Path, *, idle: int = 0, segments: int = 4, size: int | None = SIZE, tag: str | None = '"1"'
) -> PartsJob:
    part = PartFile(folder / "a.zip")
    job = PartsJob(
        Product("a", URL), part, wish=Wish(("B02",)), idle=lambda: idle, retry=RetryPolicy(3), segments=segments
    )
    job.expect(size)
    part.remote = RemoteVersion(URL, size, tag)
    return job


def span(segment: Segment | None) -> tuple[int, int | None] | None:
    return None if segment is None else (segment.first, segment.end)


def body(first: int, end: int | None, size: int | None = SIZE) -> ResponseBody:
    return ResponseBody(first, end, RemoteVersion(URL, size, '"1"'))


async def test_the_end_is_requested_by_a_suffix_range_while_the_length_is_unknown(tmp_path: Path) -> None:
    job = job_in(tmp_path, size=None)

    segment = job.next_segment()

    assert segment is not None
    assert {"Range": f"bytes=-{TAIL}"} == job.next_request(segment).headers
    assert (0, None) == job.prepare(segment, body(SIZE - TAIL, SIZE))
    assert (SIZE - TAIL, SIZE) == span(segment)


async def test_the_end_of_a_known_length_is_requested_by_its_place(tmp_path: Path) -> None:
    job = job_in(tmp_path)

    segment = job.next_segment()

    assert segment is not None
    assert (SIZE - TAIL, SIZE) == span(segment)
    assert f"bytes={SIZE - TAIL}-" == job.next_request(segment).headers["Range"]


@pytest.mark.parametrize(
    ("idle", "segments", "tag", "end"),
    [
        pytest.param(0, 4, '"1"', 80 * MIB, id="alone"),
        pytest.param(3, 4, '"1"', 20 * MIB, id="a quarter"),
        pytest.param(9, 4, '"1"', 20 * MIB, id="no more connections than permitted"),
        pytest.param(1, 4, '"1"', 40 * MIB, id="half"),
        pytest.param(3, 1, '"1"', 80 * MIB, id="one connection"),
        pytest.param(3, 4, 'W/"1"', 80 * MIB, id="no help without a strong validator"),
    ],
)
async def test_the_first_connection_takes_its_share(
    tmp_path: Path, idle: int, segments: int, tag: str, end: int
) -> None:
    job = job_in(tmp_path, idle=idle, segments=segments, tag=tag)
    job.want(ByteRanges([(0, 80 * MIB)]))

    assert (0, end) == span(job.next_segment())


async def test_all_connections_together_take_everything_once(tmp_path: Path) -> None:
    job = job_in(tmp_path, idle=3)
    wanted = [(0, 50 * MIB), (60 * MIB, 70 * MIB), (80 * MIB, 80 * MIB + 5), (90 * MIB, 99 * MIB)]
    job.want(ByteRanges(wanted))
    own = job.next_segment()
    assert own is not None
    job.active.append(own)

    taken = [own]
    for helpers in (3, 2, 1):
        shared = job.split_largest(100.0, helpers)
        assert shared is not None
        taken.append(shared[1])
        job.active.append(shared[1])
        shared[0].release_piece(shared[1])
    while (segment := job.next_segment()) is not None:
        taken.append(segment)
        job.active.append(segment)

    assert ByteRanges(wanted) == ByteRanges((one.first, one.end or 0) for one in taken)
    assert sum(one.left for one in taken) == sum(end - first for first, end in wanted)
    assert len(taken) <= len(wanted) + 3


async def test_a_small_range_is_never_exceeded(tmp_path: Path) -> None:
    job = job_in(tmp_path, idle=3)
    job.want(ByteRanges([(0, 1000)]))

    assert (0, 1000) == span(job.next_segment())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(body(0, SIZE), WholeArchivesOnlyError, id="the whole"),
        pytest.param(body(0, None, None), WholeArchivesOnlyError, id="of unknown length"),
        pytest.param(body(1, SIZE), TransferError, id="nearly the whole"),
        pytest.param(body(SIZE - TAIL - MIB, SIZE), None, id="a little more"),
    ],
)
async def test_far_more_than_was_requested_is_refused(
    tmp_path: Path, answer: ResponseBody, error: type[Exception] | None
) -> None:
    job = job_in(tmp_path, size=None)
    segment = job.next_segment()
    assert segment is not None

    if error is None:
        job.prepare(segment, answer)
    else:
        with pytest.raises(error):
            job.prepare(segment, answer)


async def test_a_small_archive_may_come_whole(tmp_path: Path) -> None:
    job = job_in(tmp_path, size=None)
    segment = job.next_segment()
    assert segment is not None

    job.prepare(segment, body(0, 5000, 5000))

    assert (0, 5000) == span(segment)


async def test_a_useless_range_is_worth_a_retry_since_nothing_else_can_be_done(tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="no usable"):
        job_in(tmp_path).apply(AskAgain("no usable Content-Range", accepts_ranges=False))
