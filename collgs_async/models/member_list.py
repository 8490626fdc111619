"""The members of an archive, as its directory in the store lists them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from collgs_async.models.text import format_bytes, plural

if TYPE_CHECKING:
    from collgs_async.models.product import Product

__all__ = ["ArchiveMember", "MemberList", "share_of"]

_SHOWN: Final = 100
"""Rows of a table in a notebook."""


def share_of(part: int, whole: int) -> str:
    """Return a part of an archive, such as ``138 MB of 1.0 GB (13.6 %)``; both are in bytes."""
    percent = 100 * part / whole if whole else 100.0
    return f"{format_bytes(part)} of {format_bytes(whole)} ({percent:.1f} %)"


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A file within an archive.

    Attributes
    ----------
    name
        Its path in the archive, as its directory has it: any text.
    size
        Its length in bytes, once it is extracted.
    packed
        Its length in bytes in the archive.
    band
        The word of ``bands`` that chooses it, such as ``B02``, ``SCL``, ``VV`` or ``Oa03``; None: there is none.
    resolution
        In metres; None: unknown, or it is no image of Sentinel-2.
    wanted
        Whether the settings ask for it; all are wanted where these name no parts.
    here
        Whether its file is in the output folder, in the tree of the product.
    """

    name: str
    size: int
    packed: int
    band: str | None = None
    resolution: int | None = None
    wanted: bool = True
    here: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class MemberList:
    """The members of a product's archive, without folders, in the order of its directory.

    Attributes
    ----------
    product
        The product.
    size
        Length of the archive in bytes.
    members
        All its members.
    wanted_bytes
        Bytes of the archive that are fetched for its wanted members if nothing is here: its directory and short gaps
        between members included; without a wish, `size`.
    here_bytes
        Those of `wanted_bytes` that need not be fetched, because members are here.
    has_wish
        Whether only some members were asked for.
    """

    product: Product
    size: int
    members: tuple[ArchiveMember, ...] = field(compare=False)
    wanted_bytes: int
    here_bytes: int = 0
    has_wish: bool = False

    @property
    def wanted(self) -> tuple[ArchiveMember, ...]:
        """The members that are wanted."""
        return tuple(member for member in self.members if member.wanted)

    @property
    def bytes_to_fetch(self) -> int:
        """Bytes of the archive that a download moves."""
        return self.wanted_bytes - self.here_bytes

    @property
    def missing_on_disk(self) -> int:
        """Bytes that the wanted members which are not here take once they are extracted."""
        return sum(member.size for member in self.members if member.wanted and not member.here)

    @property
    def sized_product(self) -> Product:
        """The product with `size`, and `wanted` if only some members are wanted."""
        return replace(self.product, size=self.size, wanted=self.wanted_bytes if self.has_wish else None)

    def __str__(self) -> str:
        """Summarise it, such as ``7 of 87 members, 138 MB of 1.0 GB (13.6 %)``."""
        count = plural(len(self.members), "member")
        if not self.has_wish:
            return f"{count}, {format_bytes(self.size)}"
        return f"{len(self.wanted)} of {count}, {share_of(self.wanted_bytes, self.size)}"

    def __repr__(self) -> str:
        return f"<MemberList of {self.product.identifier}: {self}>"

    def _repr_html_(self) -> str:
        """Return a table for notebooks: the members that are wanted."""
        from collgs_async.models.tables import rows_table

        rows = [
            (one.name, one.band or "", one.resolution or "", format_bytes(one.size), format_bytes(one.packed))
            for one in self.wanted
        ]
        heads = (f"{self.product.identifier}: {self}", "band", "metres", "size", "packed")
        return rows_table(heads, rows[:_SHOWN], more=len(rows) - _SHOWN)
