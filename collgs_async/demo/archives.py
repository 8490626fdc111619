"""Create archives shaped as real products, whose bytes depend only on the scene and its version."""

from __future__ import annotations

import random
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

from collgs_async.demo.layouts import header_bytes, layout
from collgs_async.demo.manifests import ListedFile, digest_for, manifest, manifest_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

    from collgs_async.demo.layouts import Part
    from collgs_async.demo.scenes import Scene

__all__ = ["member_byte", "write_archive"]

_BLOCK = 1 << 20
_YEAR = 2021
_LOCAL_HEADER = 30
_END_RECORD = 22
_STORED, _DEFLATED, _DEFLATE64 = 0, 8, 9
_UTF8 = 1 << 11
_FACTS = struct.Struct("<5H3I2H")
_UNIX_FILE = 0o100644 << 16
_MANIFEST_SHARE = 3
"""The manifest takes at most a third of an archive's data: a tiny one states no digests."""

_METADATA = b'<?xml version="1.0"?><metadata><mission>%s</mission><start>%s</start></metadata>\n'
_ROW = b"<!-- 0.42 0.07 -->\n"


def write_archive(scene: Scene, path: Path, version: int = 0, edition: int = 0) -> None:
    """Write the archive of a scene.

    Parameters
    ----------
    scene
        Its `size` is the length of the file in bytes: exact from 640 bytes to 2 GiB, and at least that of the smallest
        archive. The members have the names of its product type; a small archive lacks some of them.
    path
        The file, which is overwritten.
    version
        Another version has other bytes, and the same length.
    edition
        Another edition holds the same data, zipped in another year: only its headers differ.
    """
    rng = random.Random(f"{scene.identifier}/{version}")
    method = _DEFLATED if scene.deflated else _STORED
    folder, parts = layout(scene)
    room = scene.size - _END_RECORD - sum(header_bytes(folder, parts))
    contents = _contents(parts, scene, room, rng)
    manifest_part, blanks = next(contents)
    listed: list[ListedFile] = []
    with path.open("wb") as file:
        archive = _Archive(file, _YEAR + edition)
        archive.reserve(f"{folder}/{manifest_part.name}", sum(map(len, blanks)), method)
        for part, data in contents:
            digest = digest_for(scene)
            claimed = _DEFLATE64 if scene.unreadable and part.is_image else None
            is_last = part is parts[-1]  # the length of deflated noise is unknown in advance: this one fills the rest
            blocks = _noise(rng, max(1, room - archive.packed)) if is_last else data
            size = archive.add(f"{folder}/{part.name}", blocks, _STORED if is_last else method, claimed, digest)
            listed.append(ListedFile(part.name, size, digest.hexdigest()))
        archive.fill(manifest(listed, digest.name))
        archive.close()


def member_byte(path: Path) -> int:
    """Return the position of a byte in the middle of the largest member's data."""
    with zipfile.ZipFile(path) as archive:
        member = max(archive.infolist(), key=lambda info: info.compress_size)
    return member.header_offset + _LOCAL_HEADER + len(member.filename.encode()) + member.compress_size // 2


def _contents(parts: list[Part], scene: Scene, room: int, rng: random.Random) -> Iterator[tuple[Part, Iterable[bytes]]]:
    """Yield each part with its data, which all together fit into the room when they are packed."""
    total = sum(part.weight for part in parts)
    metadata = _METADATA % (scene.platform.encode(), scene.start.isoformat().encode())
    texts = {part.name: _filled(metadata, room * part.weight // total) for part in parts if not part.is_image}
    texts[parts[0].name] = bytes(max(len(texts[parts[0].name]), _manifest_length(parts, scene, room)))
    # Deflate adds to noise five bytes a block, and some to each member.
    room -= sum(map(len, texts.values())) + (room // 256 + 32 * len(parts) if scene.deflated else 0)
    total = sum(part.weight for part in parts if part.is_image)
    for part in parts:
        if part.is_image:
            yield part, _noise(rng, max(1, room * part.weight // total))
        else:
            yield part, [texts[part.name]]


def _manifest_length(parts: list[Part], scene: Scene, room: int) -> int:
    """Return the least length of the manifest; that of a tiny archive has no room for digests, and lists no file."""
    length = manifest_length(parts[1:], scene)
    return length if length <= room // _MANIFEST_SHARE else len(manifest([], ""))


def _filled(text: bytes, length: int) -> bytes:
    """Return a document of about this length, and at least the shortest of its kind."""
    return text + _ROW * ((length - len(text)) // len(_ROW))


def _noise(rng: random.Random, length: int) -> Iterator[bytes]:
    for position in range(0, length, _BLOCK):
        yield rng.randbytes(min(_BLOCK, length - position))


def _packed_as_is(data: bytes, method: int) -> bytes:
    """Pack data so that the length depends on theirs only."""
    if method == _STORED:
        return data
    packer = zlib.compressobj(0, wbits=-15)
    return packer.compress(data) + packer.flush()


class _Archive:
    """A ZIP archive that is being written; `zipfile` takes several times as long for many small members."""

    def __init__(self, file: BinaryIO, year: int) -> None:
        self._file = file
        self._date = year - 1980 << 9 | 1 << 5 | 1
        self._headers: list[tuple[int, bytes, bytes]] = []
        self._end = 0
        self.packed = 0
        """Bytes of packed data so far."""

    def add(self, name: str, blocks: Iterable[bytes], method: int, claimed: int | None, digest: Any) -> int:
        """Add a member, packed by a method, and return its length; its headers may claim another method."""
        encoded = name.encode()
        self._file.write(bytes(_LOCAL_HEADER) + encoded)
        crc = size = packed = 0
        # Noise is not worth a search for repetitions: it deflates to the same blocks without.
        packer = zlib.compressobj(wbits=-15, strategy=zlib.Z_HUFFMAN_ONLY) if method == _DEFLATED else None
        for block in blocks:
            crc = zlib.crc32(block, crc)
            digest.update(block)
            size += len(block)
            packed += self._file.write(packer.compress(block) if packer else block)
        packed += self._file.write(packer.flush()) if packer else 0
        self._append(encoded, method if claimed is None else claimed, crc, packed, size)
        return size

    def reserve(self, name: str, length: int, method: int) -> None:
        """Leave room for the first member, which `fill` writes."""
        encoded, packed = name.encode(), _packed_as_is(bytes(length), method)
        self._file.write(bytes(_LOCAL_HEADER) + encoded + packed)
        self._append(encoded, method, 0, len(packed), length)

    def fill(self, text: bytes) -> None:
        """Write the manifest as the first member, with blanks after it, or an empty one if it does not fit."""
        offset, fields, name = self._headers[0]
        facts = list(_FACTS.unpack(fields))
        length = facts[7]
        text = (text if len(text) <= length else manifest([], "")).ljust(length)
        facts[5] = zlib.crc32(text)
        self._headers[0] = (offset, _FACTS.pack(*facts), name)
        self._file.seek(offset + _LOCAL_HEADER + len(name))
        self._file.write(_packed_as_is(text, facts[2]))
        self._file.seek(self._end)

    def _append(self, name: bytes, method: int, crc: int, packed: int, size: int) -> None:
        flags = 0 if name.isascii() else _UTF8
        facts = _FACTS.pack(20, flags, method, 0, self._date, crc, packed, size, len(name), 0)
        self._headers.append((self._end, facts, name))
        self._end += _LOCAL_HEADER + len(name) + packed
        self.packed += packed

    def close(self) -> None:
        """Write the directory, and the headers of the members, whose fields are known only after their data."""
        directory = b"".join(
            b"PK\1\2\x14\3" + fields + struct.pack("<3H2I", 0, 0, 0, _UNIX_FILE, offset) + name
            for offset, fields, name in self._headers
        )
        count = len(self._headers)
        self._file.write(directory)
        self._file.write(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), self._end, 0))
        for offset, fields, _ in self._headers:
            self._file.seek(offset)
            self._file.write(b"PK\3\4" + fields)
