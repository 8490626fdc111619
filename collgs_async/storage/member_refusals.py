"""Refuse members that are never unpacked to files: hostile names, unsupported methods, bombs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from collgs_async.errors import IntegrityError
from collgs_async.models.text import format_bytes, plural
from collgs_async.storage.archive_reading import quoted
from collgs_async.storage.member_names import is_folder, name_problem, twins
from collgs_async.storage.zip_format import ENCRYPTED
from collgs_async.storage.zip_members import method_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from collgs_async.storage.zip_directory import Directory, Member

__all__ = ["RefusedMembersError", "allowed_members", "refuse_members"]

_MIB: Final = 2**20

_BEST: Final = 200
_ALWAYS: Final = 64 * _MIB
_ALWAYS_ALL: Final = 1024 * _MIB
"""A member may unpack to so many times its packed length, plus this; and all of them together, plus that. Deflate packs
zeros by a thousand; of the members of Sentinel archives, small texts are packed best, by ten to fifty."""


class RefusedMembersError(IntegrityError):
    """Members that must not be unpacked to files."""

    advice: ClassVar[str | None] = (
        "Files that cannot be unpacked here are refused each time; choose others with --members."
    )


def refuse_members(directory: Directory, members: Collection[Member]) -> None:
    """Refuse members that must not be unpacked, before a byte of them is downloaded or written.

    Parameters
    ----------
    directory
        Directory of the archive.
    members
        The members to be unpacked; folders are ignored.

    Raises
    ------
    IntegrityError
        With the names of such members and the reasons.
    """
    _, refusal = allowed_members(directory, members)
    if refusal:
        raise refusal


def allowed_members(directory: Directory, members: Collection[Member]) -> tuple[list[Member], IntegrityError | None]:
    """Return the members that may be unpacked, and the refusal of the others; None if there are none."""
    alike = twins(member.name for member in directory.members)
    files = [member for member in members if not is_folder(member.name)]
    problems = {member: problem for member in files if (problem := _problem(member, alike))}
    packed, unpacked = sum(one.compressed for one in files), sum(one.uncompressed for one in files)
    if unpacked > _ALWAYS_ALL + _BEST * packed:
        error = f"its members would unpack from {format_bytes(packed)} to {format_bytes(unpacked)}"
        return [], RefusedMembersError(error)
    if not problems:
        return files, None
    named = [f"{quoted(member.name)} ({problem})" for member, problem in problems.items()]
    more = f"; and {len(named) - 3} more" if len(named) > 3 else ""
    some = f"{len(named)} of {plural(len(files), 'member')}"
    refusal = RefusedMembersError(f"{some} cannot be unpacked here: {'; '.join(named[:3])}{more}")
    return [member for member in files if member not in problems], refusal


def _problem(member: Member, alike: frozenset[str]) -> str | None:
    if problem := name_problem(member.name):
        return problem
    if member.name in alike:
        return "another member has this name on some file systems"
    if member.flags & ENCRYPTED:
        return "it is encrypted"
    if not member.readable:
        return f"it is packed with {method_name(member)}"
    if member.uncompressed > _ALWAYS + _BEST * member.compressed:
        return f"it would unpack from {format_bytes(member.compressed)} to {format_bytes(member.uncompressed)}"
    return None
