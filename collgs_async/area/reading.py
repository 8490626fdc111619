"""What kind of file it is: told by its content, for names lie and are missing in a pipe."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.area import geojson, geopackage, kml, shapefile, wellknown
from collgs_async.area.interest import Area
from collgs_async.area.places import Notes, refusal
from collgs_async.query import shown
from collgs_async.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from collgs_async.area.places import Found

__all__ = ["read"]

BIGGEST: Final = 50 * 10**6
"""Bytes; an area of interest that needs more is a data set."""

_CLOSED: Final = 0x1 | 0x20 | 0x40
"""Flags of a member (APPNOTE 4.4.4): encrypted, a patch of something else, strongly encrypted."""

_FLAG = "--aoi"
_KINDS = "GeoJSON, WKT, KML, KMZ, GeoPackage or shapefile"
_BESIDE_SHAPEFILE = {".dbf", ".shx", ".prj", ".cpg", ".qix"}


def read(source: str | Path) -> Area:
    """Read an area of interest from a file, or from WKT or GeoJSON itself where there is no file of that name."""
    notes = Notes()
    text = str(source)
    path = Path(source)
    place = printable(text)
    try:
        data = _content(path, place)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        place = _FLAG
        if not text.lstrip().startswith("{") and not wellknown.looks_like_wkt(text):
            reason = error.strerror if isinstance(error, OSError) else error
            expected = "a file that can be read, or WKT such as POLYGON((5.7 49.4, 6.6 49.4, 6.1 50.2, 5.7 49.4))"
            raise refusal(_FLAG, expected, f"{shown(text)} ({reason})") from None
        found = _text(text, _FLAG, notes)
    else:
        found = _geometries(data, path, place, notes)
    try:
        return Area.drawn(found, place, notes)
    except RecursionError:
        raise refusal(place, "collections of geometries", "more of them in each other than can be followed") from None


def _content(path: Path, place: str) -> bytes:
    with path.open("rb") as file:
        data = file.read(BIGGEST + 1)
    if len(data) > BIGGEST:
        raise refusal(place, f"at most {BIGGEST // 10**6} MB", "more")
    return data


def _geometries(data: bytes, path: Path, place: str, notes: Notes) -> Iterator[Found]:
    """Hand the file to whoever can read it."""
    if not data.strip():
        raise refusal(place, _KINDS, "an empty file")
    if data.startswith(b"PK\x03\x04"):
        yield from _zipped(data, place, notes)
    elif data.startswith(b"SQLite format 3\x00"):
        yield from geopackage.read(path, place, BIGGEST)
    elif data.startswith(shapefile.SIGNATURE) and path.suffix.lower() != ".shx":
        yield from _shapefile(data, _beside(path), place, notes)
    elif path.suffix.lower() in _BESIDE_SHAPEFILE:
        raise refusal(place, "the .shp file of a shapefile", f"the {path.suffix} file beside it")
    elif data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        yield from kml.parse(data.removeprefix(b"\xef\xbb\xbf").lstrip(), place)
    else:
        yield from _text(_decoded(data, place), place, notes)


def _decoded(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refusal(
            place, f"{_KINDS} in UTF-8", f"bytes that are none of these, from byte {error.start + 1}"
        ) from None


def _text(text: str, place: str, notes: Notes) -> Iterator[Found]:
    if text.lstrip()[:1] in ("{", "["):
        notes.winding = True
        yield from geojson.parse(text, place)
    elif wellknown.looks_like_wkt(text):
        yield from wellknown.parse_wkt(text, place)
    else:
        raise refusal(place, _KINDS, shown(text[:40]))


def _beside(path: Path) -> str | None:
    for suffix in (".prj", ".PRJ"):
        try:
            return path.with_suffix(suffix).read_text("utf-8", "replace")
        except FileNotFoundError:
            continue
    return None


def _shapefile(data: bytes, projection: str | None, place: str, notes: Notes) -> Iterator[Found]:
    if projection is None:
        notes.add(place, "has no .prj beside it; its coordinates are taken for longitude and latitude in WGS 84")
    else:
        shapefile.check_projection(projection, f"{place}, its .prj")
    yield from shapefile.parse(data, place)


def _zipped(data: bytes, place: str, notes: Notes) -> Iterator[Found]:
    """Read a KMZ, or a shapefile as portals hand it out."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {name.lower(): name for name in archive.namelist() if not name.startswith("__MACOSX/")}
            wanted = [name for name in names if name.endswith((".kml", ".shp"))]
            if not wanted:
                raise refusal(place, "a .kml or a .shp in the archive", f"{len(names)} other files")
            name = wanted[0]
            if name.endswith(".shp") and len(wanted) > 1:
                raise refusal(place, "one .shp in the archive", f"{len(wanted)}")
            content = _member(archive, names[name], place)
            projection = names.get(name.removesuffix(".shp") + ".prj")
            beside = _member(archive, projection, place).decode("utf-8", "replace") if projection else None
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError, NotImplementedError) as error:
        # The last two: a name that is not the UTF-8 that it says it is, and a version of the format yet to come.
        raise refusal(place, "a ZIP archive that can be read", f"one that cannot: {error}") from None
    inner = f"{place}, {printable(names[name])}"
    if name.endswith(".shp"):
        yield from _shapefile(content, beside, inner, notes)
    else:
        yield from kml.parse(content.removeprefix(b"\xef\xbb\xbf").lstrip(), inner)


def _member(archive: zipfile.ZipFile, name: str, place: str) -> bytes:
    info = archive.getinfo(name)
    # What these would stumble over is raised as anything from RuntimeError to LZMAError.
    if info.flag_bits & _CLOSED:
        raise refusal(f"{place}, {printable(name)}", "a member that anybody can read", "an encrypted or patched one")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise refusal(f"{place}, {printable(name)}", "a stored or deflated member", f"method {info.compress_type}")
    with archive.open(info) as member:
        content = member.read(BIGGEST + 1)
    if len(content) > BIGGEST:
        raise refusal(f"{place}, {printable(name)}", f"at most {BIGGEST // 10**6} MB", "more")
    return content
