"""Which bytes of an archive its members need, and how to fetch them in few requests."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from collgs_async.storage.ranges import ByteRanges
from collgs_async.storage.zip_format import FULL16, LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collgs_async.storage.zip_directory import Directory, Member

__all__ = ["GAP", "coalesced", "member_end", "member_spans"]

GAP: Final = 512 * 1024
"""Bytes between two ranges up to which both are fetched by one request: about what a connection receives in the time
of one round trip."""

_LONGEST_DESCRIPTOR: Final = 24
"""Bytes of a data descriptor with signature and lengths of 64 bits (APPNOTE.TXT §4.3.9)."""


def member_end(member: Member, following: int) -> int:
    """Return the offset in bytes at which a member ends at the latest.

    Parameters
    ----------
    member
        The member.
    following
        Offset of what follows it according to the directory; there may be bytes between that belong to no member.
    """
    longest_header = LOCAL.size + 2 * FULL16  # the length of its name and extra field are known from itself only
    return min(following, member.header + longest_header + member.compressed + _LONGEST_DESCRIPTOR)


def member_spans(directory: Directory, chosen: Iterable[Member]) -> ByteRanges:
    """Return the bytes of members of an archive: local headers, data and data descriptors.

    Parameters
    ----------
    directory
        Directory of the archive.
    chosen
        Some of its members.
    """
    headers = {member.header for member in chosen}
    extents = directory.extents()
    return ByteRanges(
        (member.header, member_end(member, following)) for member, following in extents if member.header in headers
    )


def coalesced(missing: ByteRanges, held: ByteRanges, gap: int = GAP) -> ByteRanges:
    """Return the ranges to request for missing bytes: short gaps between them are requested, too.

    Parameters
    ----------
    missing
        The bytes that are needed.
    held
        The bytes that are here; none of them is requested, and no gap is joined that has one.
    gap
        Maximum length in bytes of a gap that is requested.
    """
    needed = [
        (first, end)
        for span in missing
        for first, end, is_here in held.split(*span)
        if not is_here
    ]  # fmt: skip
    joined = ByteRanges(needed)
    for (_, end), (first, _) in pairwise(needed):
        if first - end <= gap and not any(is_here for *_, is_here in held.split(end, first)):
            joined.add(end, first)
    return joined
