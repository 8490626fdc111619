"""List the members of archives: as a table, or as JSON or CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import ConfigError
from collgs_async.http.messages import json_text, printable
from collgs_async.models.text import format_bytes
from collgs_async.models.width import elide_start
from collgs_async.reporting.formats import MEMBER_FORMATS
from collgs_async.reporting.listing import csv_line
from collgs_async.reporting.table import write_table

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TextIO

    from collgs_async.models.member_list import ArchiveMember, MemberList

__all__ = ["MemberListing"]


_UNKNOWN: Final = "-"
_FIELDS: Final = ("name", "size", "packed", "band", "resolution", "here")


class MemberListing:
    """Writes the wanted members of one archive after the other; a context manager, which closes JSON at its end.

    Parameters
    ----------
    form
        One of `MEMBER_FORMATS`. JSON has an object for each archive, CSV a row for each member.
    out
        The output.
    several
        Whether tables have the identifier of their product above them.

    Raises
    ------
    ConfigError
        `form` is none of them.
    """

    def __init__(self, form: str, out: TextIO, *, several: bool) -> None:
        if form not in MEMBER_FORMATS:
            raise ConfigError(f"--format: expected one of {', '.join(MEMBER_FORMATS)}, found {form!r}")
        self._form, self._out, self._several = form, out, several
        self._written = 0

    def __enter__(self) -> Self:
        if self._form == "json":
            self._out.write("[")
        elif self._form == "csv":
            self._out.write(csv_line(("identifier", *_FIELDS)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._form == "json" and not isinstance(error, BrokenPipeError):
            self._out.write("\n]\n" if self._written else "]\n")
            self._out.flush()

    def write(self, members: MemberList) -> None:
        """Write the wanted members of an archive.

        Raises
        ------
        OSError
            Writing failed; BrokenPipeError when the reader, such as ``head``, has ended.
        """
        match self._form:
            case "json":
                self._out.write(("," if self._written else "") + "\n" + json_text(_record(members)))
            case "jsonl":
                self._out.write(json_text(_record(members)) + "\n")
            case "csv":
                name = members.product.identifier
                self._out.writelines(csv_line((name, *_fields(one).values())) for one in members.wanted)
            case _:
                self._write_table(members)
        self._out.flush()
        self._written += 1

    def _write_table(self, members: MemberList) -> None:
        if self._several:
            self._out.write(("\n" if self._written else "") + printable(members.product.identifier) + "\n")
        start = _top_folder(members)
        rows = [
            (
                one.band or _UNKNOWN,
                _UNKNOWN if one.resolution is None else f"{one.resolution} m",
                format_bytes(one.size),
                format_bytes(one.packed),
                "yes" if one.here else _UNKNOWN,
                one.name[start:],
            )
            for one in members.wanted
        ]
        titles = ("band", "pixel", "size", "packed", "here", "member")
        write_table(titles, rows, self._out, right={"pixel", "size", "packed"}, shorten=elide_start)


def _top_folder(members: MemberList) -> int:
    """Return the length of the folder that all members are in, which is that of their product; 0: there is none."""
    tops = {one.name.partition("/")[:2] for one in members.members}
    folder, slash = tops.pop() if len(tops) == 1 else ("", "")
    return len(folder) + 1 if slash else 0


def _fields(member: ArchiveMember) -> dict[str, Any]:
    return {name: getattr(member, name) for name in _FIELDS}


def _record(members: MemberList) -> dict[str, Any]:
    product = members.sized_product
    return {
        "identifier": product.identifier,
        "size": members.size,
        "wanted": product.wanted,
        "count": len(members.members),
        "members": [_fields(one) for one in members.wanted],
    }
