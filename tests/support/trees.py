"""Trees of archives' members, as an extraction leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collgs_async.storage.parts_record import PartsRecord
from collgs_async.storage.parts_tree import PartsTree
from collgs_async.storage.sidecar import RemoteVersion
from collgs_async.storage.zip_directory import read_members

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collgs_async.models.wish import Wish

__all__ = ["ID", "extracted", "files_below", "record_of"]

ID = "S2A_MSIL2A_20250501T103021_N0511_R008_T31UGR_20250501T120000"


def record_of(data: bytes, *, identifier: str = ID, wish: Wish | None = None) -> PartsRecord:
    """The record of an empty tree for an archive of these bytes."""
    at = data.rfind(b"PK\5\6")
    assert at >= 0
    start = int.from_bytes(data[at + 16 : at + 20], "little")
    remote = RemoteVersion(f"http://store/{identifier}.zip", len(data), '"tag"', "Fri, 02 May 2025 10:00:00 GMT")
    return PartsRecord.begin(identifier, remote, data[start:], wish)


def extracted(folder: Path, data: bytes, names: Sequence[str] | None = None) -> tuple[PartsTree, PartsRecord]:
    """A tree with these members of an archive (all: None), and its record, which is written."""
    archive = folder / "source.part"
    folder.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(data)
    directory = read_members(archive)
    chosen = [member for member in directory.members if names is None or member.name in names]
    tree = PartsTree(folder / f"{ID}.parts")
    held, damaged = tree.extract(archive, directory, chosen)
    assert [] == damaged
    archive.unlink()
    record = PartsRecord.begin(ID, record_of(data).remote, data[directory.start :]).with_members(held)
    tree.write_record(record)
    return tree, record


def files_below(folder: Path) -> dict[str, bytes]:
    """The content of each regular file below a folder, by its path."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
