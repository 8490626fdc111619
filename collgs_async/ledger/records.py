"""Rows of the ledger as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

__all__ = ["REMOVED", "AttemptRecord", "Event", "FileRecord", "ProductRecord", "RunRecord", "State"]

REMOVED: Final = "removed here"
"""Why a product is not wanted whose archive the user has removed, and said so."""


class State(IntEnum):
    """What a product is to the mirror; the numbers are those in the ledger."""

    WANTED = 1
    """It is listed and wanted, and not here."""

    HELD = 2
    """Its whole archive is here."""

    PART = 3
    """Chosen members of its archive are here."""

    FAILED = 4
    """It is not here; it is tried again when it is due."""

    FINAL = 5
    """It is not here, and not tried again by itself: the store does not have it, or its archive was bad twice."""

    SUPERSEDED = 6
    """A newer edition of its acquisition is here."""

    WITHDRAWN = 7
    """It was here, and the catalogue has not listed it for a while."""

    AGED = 8
    """It was here, and a rolling time range does not include it any more."""

    EXCLUDED = 9
    """It is listed and not wanted."""


class Event(IntEnum):
    """What has happened to a product; the numbers are those of ``attempt.outcome``."""

    DOWNLOADED = 1
    SKIPPED = 2
    FAILED = 3
    CHECKED = 4
    """Its archive was verified."""

    BAD = 5
    """Its archive was verified, and is damaged."""

    ADOPTED = 6
    """Its archive was found, and is not of a recorded download."""

    MISSING = 7
    """Its archive was recorded, and not found."""

    MOVED = 8
    DELETED = 9
    SUPERSEDED = 10
    GONE = 11
    """The catalogue has stopped to list it."""

    RETURNED = 12
    """The catalogue lists it again."""

    CHANGED = 13
    """The catalogue's entry, or the archive at the store, has changed."""

    AGED = 14
    EXCLUDED = 15


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The archive of a product, or the folder with members of it.

    Attributes
    ----------
    path
        Relative to the output folder, with slashes; None: it is not here.
    size, mtime
        Bytes, and milliseconds UTC, when it was recorded; None for a folder.
    sha256
        32 bytes; None: not computed.
    etag, modified
        Entity tag and Last-Modified of the archive at the store, as the download was told them; where it was not, or
        the archive was found here, as the store told them when it was first asked. None: unknown.
    fetched, checked, stac, told
        When it was downloaded, last verified, its STAC item written, and ``--on-archive`` done; None: never.
    run
        The run that has downloaded it.
    how
        How it was verified last: ``size``, ``structure``, ``crc`` or ``manifest``.
    bad
        Why it is damaged; None: it is not.
    members
        Number of its members that are here; None: the whole archive.
    moving
        The path to which it is being moved; None: it is not.
    """

    path: str | None
    size: int | None = None
    mtime: int | None = None
    sha256: bytes | None = None
    etag: str | None = None
    modified: str | None = None
    fetched: int | None = None
    run: int | None = None
    checked: int | None = None
    how: str | None = None
    bad: str | None = None
    members: int | None = None
    stac: int | None = None
    told: int | None = None
    moving: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One thing that has happened to a product.

    Attributes
    ----------
    at
        Milliseconds UTC.
    run
        The run in which; None: not known.
    bytes, seconds, requests
        Of a download.
    error
        Why it failed, or further words.
    """

    at: int
    event: Event
    run: int | None = None
    bytes: int = 0
    seconds: float = 0.0
    requests: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run; times are milliseconds UTC.

    Attributes
    ----------
    ended
        None: it goes on, or was killed.
    words
        The command.
    code
        Its exit code; None: unknown.
    told
        Its summary, as JSON.
    """

    id: int
    begun: int
    ended: int | None
    words: str
    host: str
    version: str
    code: int | None
    told: str | None


@dataclass(frozen=True, slots=True)
class ProductRecord:
    """One product; times are milliseconds UTC.

    Attributes
    ----------
    acquisition
        Equal for all editions of one acquisition; None: the name does not tell.
    edition
        Sorts as the processing baselines do; None: the name has none.
    first_seen, seen
        When it was known first, and the last complete listing that had it.
    absent
        In how many complete listings in a row it was not, or since when; 0: it was in the last one.
    gone
        Since when it is not listed; None: it is.
    wanted
        None: yes; else the kind of why not.
    tries
        Failures in a row.
    retry_at
        When it is tried again; None: not.
    error
        The last error.
    """

    id: int
    identifier: str
    state: State
    collection: str | None = None
    start: int | None = None
    stop: int | None = None
    acquisition: int | None = None
    edition: str | None = None
    produced: int | None = None
    created: int | None = None
    updated: int | None = None
    first_seen: int | None = None
    seen: int | None = None
    absent: int = 0
    gone: int | None = None
    wanted: str | None = None
    tries: int = 0
    retry_at: int | None = None
    error: str | None = None
