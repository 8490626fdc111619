"""Spans of members and their coalescing, against sets of the positions of all bytes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.storage.member_spans import coalesced, member_spans
from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.verify import verify_archive
from collgs_async.storage.zip_directory import read_members
from collgs_async.storage.zip_members import damaged_members
from tests.support.archives import Entry, written
from tests.support.odd_archives import NOISE, TEXT

if TYPE_CHECKING:
    from pathlib import Path

MOST = 60
SPANS = st.lists(st.tuples(st.integers(0, MOST), st.integers(0, MOST)), max_size=8).map(ByteRanges)


def positions(spans: ByteRanges) -> set[int]:
    return {position for first, end in spans for position in range(first, end)}


@settings(deadline=None, derandomize=True, max_examples=300)
@given(SPANS, SPANS, st.integers(0, 8))
def test_what_is_missing_is_requested_with_short_gaps_and_nothing_that_is_here(
    missing: ByteRanges, held: ByteRanges, gap: int
) -> None:
    needed, here = positions(missing) - positions(held), positions(held)

    requested = coalesced(missing, held, gap)

    assert needed <= positions(requested)
    assert not positions(requested) & here
    surplus = ByteRanges((at, at + 1) for at in positions(requested) - needed)
    assert all(end - first <= gap and {first - 1, end} <= needed for first, end in surplus)
    for (_, end), (first, _) in pairwise(requested):
        assert first - end > gap or here & set(range(end, first))


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spans") / "a.zip"


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(
        st.builds(
            Entry,
            st.binary(min_size=1, max_size=5).map(lambda name: name.hex().encode()),
            st.sampled_from([b"", TEXT, NOISE]),
            st.sampled_from([0, 8]),
            descriptor=st.sampled_from([None, "<3I", "<I2Q"]),
            extra=st.just(b""),
        ),
        min_size=1,
        max_size=6,
    ),
    st.data(),
)
def test_the_spans_of_members_are_all_that_their_check_reads(
    scratch: Path, members: list[Entry], data: st.DataObject
) -> None:
    content = written(members)
    scratch.write_bytes(content)
    directory = read_members(scratch)
    chosen = data.draw(st.lists(st.sampled_from(directory.members), unique=True))

    spans = member_spans(directory, chosen)

    assert spans.end <= directory.start
    sparse = bytearray(len(content))
    for first, end in [*spans, (directory.start, len(content))]:
        sparse[first:end] = content[first:end]
    scratch.write_bytes(sparse)
    names = {member.header for member in directory.members} - {member.header for member in chosen}
    assert names == {damage.start for damage in damaged_members(scratch, directory)}


def test_all_members_together_are_everything_before_the_directory(scratch: Path) -> None:
    scratch.write_bytes(written([Entry(b"a", TEXT, 8), Entry(b"b", NOISE, descriptor="<3I")]))
    verify_archive(scratch)
    directory = read_members(scratch)

    assert [(0, directory.start)] == list(member_spans(directory, directory.members))
    assert [] == list(member_spans(directory, []))


def test_bytes_that_belong_to_no_member_are_left_out(tmp_path: Path) -> None:
    path, removed = tmp_path / "a.zip", bytes(300_000)
    data = written([Entry(b"a", NOISE), Entry(b"removed", removed), Entry(b"b", NOISE)])
    first = data.index(b"PK\1\2")
    entry, end = data.index(b"PK\1\2", first + 4), data.rindex(b"PK\1\2")
    shorter = bytearray(data[:entry] + data[end:])
    at = shorter.rindex(b"PK\5\6")
    for field in (8, 10):
        shorter[at + field : at + field + 2] = (2).to_bytes(2, "little")
    shorter[at + 12 : at + 16] = (at - first).to_bytes(4, "little")
    path.write_bytes(shorter)
    directory = read_members(path)
    assert ["a", "b"] == [member.name for member in directory.members]

    assert member_spans(directory, directory.members[:1]).total < 200_000
