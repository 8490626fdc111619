"""The record of a tree, ``parts.json``: the version of its archive, and the files that were verified."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import re
import zlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import FileError, IntegrityError
from collgs_async.models.wish import Wish
from collgs_async.storage.archive_reading import never
from collgs_async.storage.files import readable, write_all
from collgs_async.storage.member_names import RECORD
from collgs_async.storage.sidecar import RemoteVersion
from collgs_async.storage.tree_files import TreeFiles
from collgs_async.storage.zip_directory import members_of_tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from collgs_async.storage.zip_directory import Directory

__all__ = ["LARGEST_DIRECTORY", "HeldMember", "PartsRecord", "load_record", "read_record", "write_record"]

log = logging.getLogger("collgs_async")

_FORMAT: Final = "collgs-async parts"
_VERSION: Final = 1
_LARGEST: Final = 64 * 2**20
LARGEST_DIRECTORY: Final = 32 * 2**20
"""Maximum bytes of a record, and of a directory in it; those of Sentinel archives have 20 kB."""

_PATH: Final = PurePosixPath(RECORD)
_CRC: Final = re.compile("[0-9a-f]{8}")
_SHA256: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class HeldMember:
    """A member whose file is in the tree, and had the CRC-32 of the directory when it got its name.

    Attributes
    ----------
    name
        Name of the member in the directory.
    crc
        CRC-32 of the file.
    sha256
        SHA-256 of the file in hexadecimal digits.
    size
        Length of the file in bytes.
    header
        Offset in the archive of the local header in bytes.
    method
        Compression method; 0 is stored.
    mtime_ns
        Time of the file's last change in nanoseconds since the epoch.
    local
        The local header with name and extra field; empty if the member's bytes in the archive cannot be made from the
        file.
    trailer
        Bytes of the archive between the data and what follows, such as a data descriptor.
    """

    name: str
    crc: int
    sha256: str
    size: int
    header: int
    method: int
    mtime_ns: int
    local: bytes = b""
    trailer: bytes = b""


@dataclass(frozen=True, slots=True)
class PartsRecord:
    """What is known about a tree.

    Attributes
    ----------
    identifier
        The product's identifier.
    remote
        Version of the archive that the members are of; its length is known.
    fetched
        Time of the last download of a member, in UTC as RFC 3339 writes it.
    wish
        The last wish; an empty one if it is unknown.
    directory
        The last bytes of the archive, from its central directory on.
    here
        The members whose files are in the tree.
    """

    identifier: str
    remote: RemoteVersion
    fetched: str
    wish: Wish
    directory: bytes = field(repr=False)
    here: tuple[HeldMember, ...] = ()

    @classmethod
    def begin(cls, identifier: str, remote: RemoteVersion, directory: bytes, wish: Wish | None = None) -> PartsRecord:
        """Return the record of a tree that has no file yet, at the present time."""
        return cls(identifier, remote, _now(), wish or Wish(), directory)

    @property
    def size(self) -> int:
        """Length of the archive in bytes."""
        return self.remote.size or 0

    @property
    def names(self) -> frozenset[str]:
        """Names of the members whose files are in the tree."""
        return frozenset(member.name for member in self.here)

    @property
    def archive_bytes(self) -> int:
        """Bytes of the archive that can be made again from the tree, so that they need not be fetched."""
        return len(self.directory) + sum(len(one.local) + one.size + len(one.trailer) for one in self.here if one.local)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the directory."""
        return hashlib.sha256(self.directory).digest()

    def read_directory(self, stop: Callable[[], bool] = never) -> Directory:
        """Read the central directory of the archive.

        Raises
        ------
        IntegrityError
            The bytes are no directory of an archive of this length.
        Stopped
            `stop()` returned True.
        """
        return members_of_tail(self.directory, self.size, stop=stop)

    def with_members(self, held: Iterable[HeldMember]) -> PartsRecord:
        """Return the record with further members, which replace those of the same name."""
        members = {member.name: member for member in (*self.here, *held)}
        return replace(self, here=tuple(sorted(members.values(), key=lambda one: one.header)), fetched=_now())

    def with_times(self, confirmed: Iterable[HeldMember]) -> PartsRecord:
        """Return the record with other times of change of members, as far as it has these with the same content."""
        times = {(member.name, member.sha256): member.mtime_ns for member in confirmed}
        here = (replace(one, mtime_ns=times.get((one.name, one.sha256), one.mtime_ns)) for one in self.here)
        return replace(self, here=tuple(here))

    def without(self, names: Iterable[str]) -> PartsRecord:
        """Return the record without some members, whose files have to be fetched again."""
        dropped = frozenset(names)
        return replace(self, here=tuple(member for member in self.here if member.name not in dropped))


def read_record(folder: Path) -> PartsRecord | None:
    """Read the record of a tree; None if there is none, or if it is damaged, which is logged.

    Without a record, each file of the tree is unknown, and is replaced when its member is extracted again.

    Raises
    ------
    FileError
        A later release wrote the record, or something else than a file has its name.
    StorageError
        The folder cannot be read.
    """
    try:
        return load_record(folder)
    except IntegrityError as error:
        log.warning("%s: %s; what is there is checked again", folder / RECORD, error)
        return None


def load_record(folder: Path) -> PartsRecord | None:
    """Read the record of a tree; None if there is none.

    Raises
    ------
    IntegrityError
        The record is damaged, or the disk cannot read it back.
    FileError, StorageError
        As from `read_record`.
    """
    try:
        with TreeFiles(folder) as files:
            data = _read(files)
    except FileNotFoundError:
        return None
    if data is None:
        return None
    try:
        return _parse(data, folder / RECORD)
    except (ValueError, TypeError, KeyError, RecursionError, zlib.error) as error:
        raise IntegrityError(f"the record is damaged ({type(error).__name__}: {error})"[:300]) from error


def _read(files: TreeFiles) -> bytes | None:
    descriptor = files.open(_PATH)
    if descriptor is None:
        return None
    with files.trouble(_PATH), readable(), os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > _LARGEST:
            raise IntegrityError(f"the record is damaged (it is longer than {_LARGEST} bytes)")
        return file.read(_LARGEST)


def write_record(folder: Path, record: PartsRecord) -> None:
    """Write the record of a tree: the old one stays until the new one is on the disk. The folder is created if missing.

    Raises
    ------
    IntegrityError
        The directory is too long to be recorded.
    FileError, StorageError
        It cannot be written.
    """
    if len(record.directory) > LARGEST_DIRECTORY:
        size = len(record.directory)
        raise IntegrityError(f"its central directory has {size} bytes, at most {LARGEST_DIRECTORY} are recorded")
    text = json.dumps(_as_dict(record)).encode()
    if len(text) > _LARGEST:
        raise IntegrityError(f"its record would have {len(text)} bytes, at most {_LARGEST} are read")
    with TreeFiles(folder, create=True) as files:
        with files.replace(_PATH) as descriptor, files.trouble(_PATH):
            write_all(descriptor, text, 0)
        files.sync()


def _as_dict(record: PartsRecord) -> dict[str, Any]:
    remote = record.remote
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "id": record.identifier,
        "url": remote.url,
        "size": remote.size,
        "etag": remote.etag,
        "last_modified": remote.last_modified,
        **({"date": remote.date} if remote.date else {}),
        "fetched": record.fetched,
        "wish": record.wish.as_dict(),
        "directory": base64.b64encode(zlib.compress(record.directory)).decode(),
        "here": [_member_as_dict(member) for member in record.here],
    }


def _member_as_dict(member: HeldMember) -> dict[str, Any]:
    return {
        "name": member.name,
        "crc32": f"{member.crc:08x}",
        "sha256": member.sha256,
        "size": member.size,
        "mtime_ns": member.mtime_ns,
        "header": member.header,
        "method": member.method,
        "local": member.local.hex(),
        **({"trailer": member.trailer.hex()} if member.trailer else {}),
    }


def _parse(data: bytes, path: Path) -> PartsRecord:
    fields = json.loads(data)
    if not isinstance(fields, dict) or fields.get("format") != _FORMAT:
        raise ValueError("it is no record of parts")
    if (version := _number(fields["version"])) != _VERSION:
        if version < _VERSION:
            raise ValueError(f"there is no version {version}")
        raise FileError(
            f"{path}: expected version {_VERSION}, found {version}: a later release of collgs-async wrote it; "
            f"update, or move the folder away"
        )
    optional = {name: _text(fields[name]) for name in ("etag", "last_modified", "date") if fields.get(name) is not None}
    size, directory = _number(fields["size"]), _inflated(base64.b64decode(_text(fields["directory"]), validate=True))
    if len(directory) > size:
        raise ValueError(f"a directory of {len(directory)} bytes in an archive of {size}")
    return PartsRecord(
        _text(fields["id"]),
        RemoteVersion(_text(fields["url"]), size, **optional),
        _text(fields["fetched"]),
        _wish(fields.get("wish")),
        directory,
        tuple(_member(member) for member in fields["here"]),
    )


def _wish(values: object) -> Wish:
    """Read a wish; one that this release does not know is no reason to fetch anything again."""
    try:
        return Wish.from_dict(values) if isinstance(values, dict) else Wish()
    except ValueError:
        return Wish()


def _inflated(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    directory = inflater.decompress(data, LARGEST_DIRECTORY)
    if not inflater.eof:
        raise ValueError("the directory is cut short, or too long")
    return directory


def _member(fields: Mapping[str, object]) -> HeldMember:
    if not _CRC.fullmatch(crc := _text(fields["crc32"])) or not _SHA256.fullmatch(sha256 := _text(fields["sha256"])):
        raise ValueError("a checksum is damaged")
    return HeldMember(
        _text(fields["name"]),
        int(crc, 16),
        sha256,
        size=_number(fields["size"]),
        header=_number(fields["header"]),
        method=_number(fields["method"]),
        mtime_ns=_number(fields["mtime_ns"]),
        local=bytes.fromhex(_text(fields["local"])),
        trailer=bytes.fromhex(_text(fields.get("trailer", ""))),
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("expected a number of 63 bits at most, not negative")
    return value
