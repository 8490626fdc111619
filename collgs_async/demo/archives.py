"""Create SAFE-shaped ZIP archives whose bytes depend only on the scene and its version."""

from __future__ import annotations

import random
import struct
import zipfile
from typing import TYPE_CHECKING

from collgs_async.demo.scenes import COLLECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from collgs_async.demo.scenes import Scene

__all__ = ["member_byte", "write_archive"]

_BLOCK = 1 << 20
_YEAR = 2021
_END_RECORD = 22
_DEFLATE64 = 9
_MEMBER_RECORDS = 30 + 46
_ROOM_FOR_IMAGES = 4_096
_MANIFEST = b'<?xml version="1.0"?><xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" version="2.1"/>\n'
_METADATA = b'<?xml version="1.0"?><metadata><mission>%s</mission><start>%s</start></metadata>\n'


def write_archive(scene: Scene, path: Path, version: int = 0, edition: int = 0) -> None:
    """Write the archive of a scene.

    Parameters
    ----------
    scene
        Its `size` is the length of the file in bytes: exact from 640 bytes to 2 GiB, and at least that of the smallest
        archive.
    path
        The file, which is overwritten.
    version
        Another version has other bytes, and the same length.
    edition
        Another edition holds the same data, zipped in another year: only its headers differ.
    """
    rng = random.Random(f"{scene.identifier}/{version}")
    year = _YEAR + edition
    method = zipfile.ZIP_DEFLATED if scene.deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        archive.writestr(_entry(f"{scene.identifier}.SAFE/manifest.safe", method, year), _MANIFEST)
        images = list(_images(scene))
        if scene.size >= _ROOM_FOR_IMAGES:
            name, text = _metadata(scene)
            archive.writestr(_entry(name, method, year), text)
            share = (scene.size * 24 // 25 - 2_000) // len(images)
            for image in images[:-1]:
                _write_noise(archive, _entry(image, method, year), share, rng)
        # The length of deflated noise is unknown in advance; the last member, stored, fills the rest.
        last = _entry(images[-1], zipfile.ZIP_STORED, year)
        _write_noise(archive, last, _rest(scene, archive, images[-1]), rng)
    if scene.unreadable:
        _claim_method(path, images)


def member_byte(path: Path) -> int:
    """Return the position of a byte in the middle of the largest member's data."""
    with zipfile.ZipFile(path) as archive:
        member = max(archive.infolist(), key=lambda info: info.compress_size)
    return member.header_offset + 30 + len(member.filename.encode()) + member.compress_size // 2


def _images(scene: Scene) -> Iterator[str]:
    """Yield the names of the image members: few and short in a tiny archive, where each byte counts."""
    top = f"{scene.identifier}.SAFE"
    if scene.size < _ROOM_FOR_IMAGES:
        yield f"{top}/image.tiff" if _is_radar(scene) else f"{top}/B02.jp2"
    elif _is_radar(scene):
        yield from (f"{top}/measurement/s1-iw-grd-{polarisation}-001.tiff" for polarisation in ("vv", "vh"))
    else:
        images = f"{top}/GRANULE/L_{scene.start:%Y%m%dT%H%M%S}/IMG_DATA/{scene.start:%Y%m%dT%H%M%S}"
        yield from (f"{images}_{band}.jp2" for band in ("B02", "B03", "B04", "B08"))


def _is_radar(scene: Scene) -> bool:
    return not COLLECTIONS[scene.collection].optical


def _metadata(scene: Scene) -> tuple[str, bytes]:
    name = "annotation/s1-iw-grd-vv-001.xml" if _is_radar(scene) else "MTD_MSI.xml"
    text = _METADATA % (scene.platform.encode(), scene.start.isoformat().encode())
    return f"{scene.identifier}.SAFE/{name}", text


def _claim_method(path: Path, names: Sequence[str]) -> None:
    """Change headers to claim a compression method that hardly any program supports."""
    with zipfile.ZipFile(path) as archive:
        headers = [archive.getinfo(name).header_offset for name in names]
        place = archive.start_dir
        members = archive.infolist()
    with path.open("r+b") as file:
        for member in members:
            lengths = struct.unpack("<3H", _read_at(file, place + 28, 6))
            if member.header_offset in headers:
                for offset in (member.header_offset + 8, place + 10):
                    file.seek(offset)
                    file.write(_DEFLATE64.to_bytes(2, "little"))
            place += 46 + sum(lengths)


def _read_at(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


def _entry(name: str, method: int, year: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0))
    entry.compress_type = method
    entry.external_attr = 0o644 << 16
    return entry


def _rest(scene: Scene, archive: zipfile.ZipFile, last: str) -> int:
    """Return the bytes the last member must hold, stored, for the archive to have the scene's size."""
    directory = sum(46 + len(info.filename.encode()) for info in archive.infolist())
    end = archive.infolist()[-1]
    used = end.header_offset + 30 + len(end.filename.encode()) + end.compress_size
    return max(1, scene.size - used - directory - _MEMBER_RECORDS - 2 * len(last.encode()) - _END_RECORD)


def _write_noise(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, length: int, rng: random.Random) -> None:
    entry.file_size = length
    with archive.open(entry, "w") as member:
        for position in range(0, length, _BLOCK):
            member.write(rng.randbytes(min(_BLOCK, length - position)))
