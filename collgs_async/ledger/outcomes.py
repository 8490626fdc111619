"""What a run tells the ledger of one product: an outcome of a download, or of a check."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import ProductError
from collgs_async.ledger.paths import OWN_FOLDER
from collgs_async.ledger.records import Event
from collgs_async.ledger.values import as_integer, as_line
from collgs_async.models.product import EXISTS, Status
from collgs_async.storage.verify import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.errors import CollgsError
    from collgs_async.models.product import Outcome
    from collgs_async.storage.audit import CheckedFile

__all__ = ["OutcomeRecord", "checked_file", "damage_record", "outcome_record"]

_EVENTS: Final = {Status.DOWNLOADED: Event.DOWNLOADED, Status.SKIPPED: Event.SKIPPED, Status.FAILED: Event.FAILED}
_HANDED_IN: Final = {event.name: event for event in (*_EVENTS.values(), Event.CHECKED, Event.BAD)}
_ERRORS: Final = "collgs_async.errors"
_LONGEST: Final = 10_000


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """The outcome of one product, as a line of JSON can hold it.

    Attributes
    ----------
    identifier
        The product's name.
    event
        One of DOWNLOADED, SKIPPED (it is here already), FAILED, CHECKED and BAD.
    at
        Milliseconds UTC.
    collection
        None: unknown.
    path
        Of the archive or folder, relative to the output folder, with slashes; None: none is here.
    size, mtime
        Bytes of the file, and milliseconds UTC; None for a folder.
    etag, modified
        Of the archive at the store; None: unknown.
    sha256
        In hexadecimal digits; None: not computed.
    how
        How it was verified: ``size``, ``structure``, ``crc`` or ``manifest``; None: it was not.
    members
        Number of members that are here; None: the whole archive.
    received, seconds, requests
        Of the download; received are bytes.
    kind, error
        Name of the error's class, and its message; None: no error.
    """

    identifier: str
    event: Event
    at: int
    collection: str | None = None
    path: str | None = None
    size: int | None = None
    mtime: int | None = None
    etag: str | None = None
    modified: str | None = None
    sha256: str | None = None
    how: str | None = None
    members: int | None = None
    received: int = 0
    seconds: float = 0.0
    requests: int = 0
    kind: str | None = None
    error: str | None = None

    def to_line(self) -> bytes:
        """Return it as a line of JSON, in ASCII, with a line feed; what has no value is left out."""
        values = {name: value for name, value in asdict(self).items() if value not in (None, 0)}
        return json.dumps({**values, "event": self.event.name}).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> OutcomeRecord | None:
        """Parse a line; None for any other one. A value of another type, or an unsafe path, counts as missing."""
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            return None
        match values:
            case {"identifier": str(identifier), "event": str(name), "at": at} if (
                name in _HANDED_IN and identifier and as_integer(at) is not None
            ):
                return cls(identifier[:_LONGEST], _HANDED_IN[name], at, **_read(values))
        return None


def _read(values: dict[str, Any]) -> dict[str, Any]:
    texts = {name: values.get(name) for name in ("collection", "etag", "modified", "how", "kind", "error", "sha256")}
    read: dict[str, Any] = {name: text[:_LONGEST] if isinstance(text, str) else None for name, text in texts.items()}
    read |= {name: as_integer(values.get(name)) for name in ("size", "mtime", "members")}
    read |= {name: as_integer(values.get(name)) or 0 for name in ("received", "requests")}
    seconds = values.get("seconds")
    read["seconds"] = float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < math.inf else 0.0
    path = values.get("path")
    read["path"] = path if isinstance(path, str) and is_below(path) else None
    if read["sha256"] is not None and not _is_sha256(read["sha256"]):
        read["sha256"] = None
    return read


def is_below(path: str) -> bool:
    """Whether a relative path, with slashes, stays below the folder that it is joined to."""
    parts = PurePosixPath(path).parts
    return bool(parts) and len(path) < _LONGEST and "\0" not in path and not {"/", "//", ".."} & {*parts}


def _is_sha256(digits: str) -> bool:
    return len(digits) == 64 and {*digits} <= {*"0123456789abcdef"}


def outcome_record(outcome: Outcome, folder: Path, *, at: int, how: str) -> OutcomeRecord | None:
    """Return an outcome for the ledger; its file is looked at for size and time.

    None: there is nothing to tell of it, since another run is fetching the product, or another product has its name.

    Parameters
    ----------
    folder
        The output folder, absolute.
    at
        When it was known, in milliseconds UTC.
    how
        How a downloaded archive was verified.
    """
    product, status = outcome.product, outcome.status
    if product.is_twin or (status is Status.SKIPPED and outcome.reason != EXISTS):
        return None
    return OutcomeRecord(
        product.identifier,
        _EVENTS[status],
        at,
        collection=product.collection,
        etag=outcome.etag,
        modified=outcome.last_modified,
        how=how if status is Status.DOWNLOADED else None,
        members=outcome.members,
        received=outcome.bytes,
        seconds=round(outcome.seconds, 3),
        requests=outcome.attempts,
        **_file(outcome.path, folder),
        **_problem(outcome.error),
    )


def checked_file(one: CheckedFile, folder: Path, *, at: int, how: str) -> OutcomeRecord | None:
    """Return the result of a check for the ledger; None for what was moved out of the way, or lies elsewhere.

    Parameters
    ----------
    folder, at, how
        As for `outcome_record`.
    """
    problem = one.found if isinstance(one.found, ProductError) else None
    path = _relative(one.path, folder)
    if path is None or path.startswith(f"{OWN_FOLDER}/"):
        return None
    return OutcomeRecord(
        one.path.stem,
        Event.CHECKED if problem is None else Event.BAD,
        at,
        path=path,
        size=None if one.mtime is None else one.size,
        mtime=None if one.mtime is None else one.mtime // 10**6,
        sha256=one.found.sha256 if isinstance(one.found, Verdict) else None,
        how=how,
        **_problem(problem),
    )


def damage_record(record: OutcomeRecord, problem: CollgsError) -> OutcomeRecord:
    """Return that an archive, which was found, is damaged."""
    return replace(record, event=Event.BAD, how="structure", **_problem(problem))


def _file(path: Path | None, folder: Path) -> dict[str, Any]:
    """Return path, length and time of an archive; of a folder with members, the path."""
    if path is None:
        return {}
    try:
        status = path.stat()
    except OSError:  # removed in the meantime
        return {}
    if path.is_dir():
        return {"path": _relative(path, folder)}
    return {"path": _relative(path, folder), "size": status.st_size, "mtime": status.st_mtime_ns // 10**6}


def _relative(path: Path, folder: Path) -> str | None:
    try:
        return path.absolute().relative_to(folder).as_posix()
    except ValueError:  # it is not in this folder
        return None


def _problem(error: CollgsError | None) -> dict[str, Any]:
    """Return the public class of an error, and its message without passwords."""
    if error is None:
        return {}
    kind = next((one.__name__ for one in type(error).__mro__ if one.__module__ == _ERRORS), "CollgsError")
    return {"kind": kind, "error": as_line(str(error))}
