"""Determine whether the store has another version of an archive than the one that is here."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from collgs_async.ledger.change_records import Validators
from collgs_async.storage.sidecar import RemoteVersion

if TYPE_CHECKING:
    from collgs_async.ledger.change_records import HeldArchive
    from collgs_async.mirror.client_beside import ClientBeside

__all__ = ["compared", "differences"]


def differences(here: Validators, there: Validators) -> list[str]:
    """Return in what two versions of an archive differ; what only one side tells is not compared.

    Entity tags are compared weakly (RFC 9110, section 8.8.3.2): a weak one is another one only by its text.
    """
    found = []
    if None not in (here.size, there.size) and here.size != there.size:
        found.append("length")
    if here.etag and there.etag and here.etag.removeprefix("W/") != there.etag.removeprefix("W/"):
        found.append("ETag")
    if here.modified and there.modified and not _is_same_time(here.modified, there.modified):
        found.append("Last-Modified")
    return found


def _is_same_time(one: str, other: str) -> bool:
    try:
        return one == other or parsedate_to_datetime(one) == parsedate_to_datetime(other)
    except (ValueError, TypeError, OverflowError):  # one is no date, or only one has a time zone
        return False


async def compared(
    client: ClientBeside, archive: HeldArchive, answer: RemoteVersion
) -> tuple[Validators, list[str]] | None:
    """Return the version that the store has, and in what it differs from the one here; None: that is not known.

    A difference that is not the length is asked about again. Some stores have other validators for each answer, or at
    each of their nodes; others have one of HEAD and one of GET, of which the archive that is here was told the latter.

    Parameters
    ----------
    answer
        What the store has said.
    """
    there = _validators(answer)
    different = differences(archive.here, there)
    if not different or "length" in different:
        return there, different
    again = await client.answer(archive.product)
    if not isinstance(again, RemoteVersion):
        return None
    if differences(there, _validators(again)):
        return Validators(), []
    served = await client.served(archive.product)
    if isinstance(served, RemoteVersion):  # else the download will say what is wrong
        there = _validators(served)
    return there, differences(archive.here, there)


def _validators(version: RemoteVersion) -> Validators:
    return Validators(version.size, version.etag, version.last_modified)
