"""Decide which archives are not wanted any more, and why; nothing is changed.

An archive is *superseded* once a newer edition of its acquisition is here. It is *withdrawn* once the catalogue has not
listed it for two weeks, unless it lists a newer edition: then it is superseded, and that edition has to be here. It is
*aged* once a rolling time range has left it behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from collgs_async.ledger import removal_records as records
from collgs_async.ledger.choice_records import at_work_since
from collgs_async.models.sentinel import recognise
from collgs_async.selection.baselines import supersedes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from sqlite3 import Connection

    from collgs_async.config.keep_options import KeepOptions, Policy
    from collgs_async.ledger.removal_records import KnownEdition

__all__ = ["GRACE", "Reason", "Removal", "find_removals"]

GRACE: Final = 14 * 86_400_000
"""Milliseconds for which a product that has gone from the catalogue is kept, since it may come back."""


class Reason(StrEnum):
    """Why an archive is not wanted any more."""

    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    AGED = "aged"


@dataclass(frozen=True, slots=True)
class Removal:
    """An archive that is to be moved or deleted.

    Attributes
    ----------
    edition
        The product and its archive.
    policy
        ``move`` or ``delete``.
    successors
        The newer editions that are here, the newest first; empty unless it is superseded.
    """

    edition: KnownEdition
    reason: Reason
    policy: Policy
    successors: tuple[KnownEdition, ...] = ()

    @property
    def identifier(self) -> str:
        """The name of the product."""
        return self.edition.product.identifier


def find_removals(connection: Connection, keep: KeepOptions, *, now: int) -> tuple[list[Removal], int]:
    """Return what the policies say is to be removed, the superseded first, and how much of it stays; each product once.

    What another configuration of the folder wants stays.

    Parameters
    ----------
    now
        Milliseconds UTC.
    """
    found: dict[int, Removal] = {}
    since = at_work_since(connection, now)
    if keep.superseded != "keep":
        for acquisition in records.shared_acquisitions(connection):
            for removal in _superseded(records.editions_here(connection, acquisition), keep):
                found[removal.edition.id] = removal
    if keep.withdrawn != "keep":
        for edition in records.withdrawn(connection, now - GRACE):
            if edition.id not in found and not _has_newer(connection, edition):
                found[edition.id] = Removal(edition, Reason.WITHDRAWN, keep.withdrawn)
    if keep.aged != "keep":
        for edition in records.aged(connection):
            found.setdefault(edition.id, Removal(edition, Reason.AGED, keep.aged))
    removals = [one for one in found.values() if not records.wanted_by_any(connection, one.edition.id, since)]
    return removals, len(found) - len(removals)


def _superseded(editions: Sequence[KnownEdition], keep: KeepOptions) -> Iterator[Removal]:
    """Yield the editions of one acquisition that have enough newer ones here."""
    here = sorted((one for one in editions if one.is_whole and one.listed), key=_newness, reverse=True)
    for edition in editions:
        newer = tuple(one for one in here if supersedes(one.product, edition.product))
        if edition.path is not None and len(newer) >= keep.keep_last:
            yield Removal(edition, Reason.SUPERSEDED, keep.superseded, newer)


def _has_newer(connection: Connection, edition: KnownEdition) -> bool:
    """Whether the catalogue lists a newer edition, whether that is here or not.

    Its footprint does not matter: the catalogue may have cut the scene in another way. Where names do not tell which
    one is newer, as for Sentinel-1, any other one counts.
    """
    key, newness = records.acquisition_of(connection, edition.id), _newness(edition)
    others = records.editions_here(connection, key) if key is not None else []
    return any(
        other.listed and other.id != edition.id and (not newness[0] or _newness(other) > newness) for other in others
    )


def _newness(edition: KnownEdition) -> tuple[tuple[int, ...], float]:
    name = recognise(edition.product.identifier)
    produced = name.produced.timestamp() if name and name.produced else 0.0
    return (name.edition if name else None) or (), produced
