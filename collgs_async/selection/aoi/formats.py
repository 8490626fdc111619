"""Detect the file format of an area by content, since names may be wrong, and a pipe has none."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.http.messages import printable
from collgs_async.models.parameter_values import quote_value
from collgs_async.selection.aoi import geojson, geopackage, kml, shapefile, wellknown
from collgs_async.selection.aoi.area import Area
from collgs_async.selection.aoi.places import ParseNotes, refusal
from collgs_async.selection.aoi.reprojection import reprojected
from collgs_async.selection.aoi.systems import read_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from collgs_async.selection.aoi.places import ParsedGeometry

__all__ = ["read"]

MAX_BYTES: Final = 50 * 10**6
"""Limit in bytes; a larger file is a data set, not an area of interest."""

_CLOSED: Final = 0x1 | 0x20 | 0x40
"""Flags of unsupported ZIP members (APPNOTE 4.4.4): encrypted, patch data, strongly encrypted."""

_FLAG = "--aoi"
_KINDS = "GeoJSON, WKT, KML, KMZ, GeoPackage or shapefile"
_BESIDE_SHAPEFILE = {".dbf", ".shx", ".prj", ".cpg", ".qix"}


def read(source: str | Path) -> Area:
    """Read an area from a file, or from WKT or GeoJSON itself where no file has that name."""
    notes = ParseNotes()
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
            raise refusal(_FLAG, expected, f"{quote_value(text)} ({reason})") from None
        found = _text(text, _FLAG, notes)
    else:
        found = _geometries(data, path, place, notes)
    try:
        return Area.from_geometries(found, place, notes)
    except RecursionError:
        raise refusal(place, "collections of geometries", "more of them in each other than can be followed") from None


def _content(path: Path, place: str) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise refusal(place, f"at most {MAX_BYTES // 10**6} MB", "more")
    return data


def _geometries(data: bytes, path: Path, place: str, notes: ParseNotes) -> Iterable[ParsedGeometry]:
    """Parse the file with the module for its format."""
    if not data.strip():
        raise refusal(place, _KINDS, "an empty file")
    if data.startswith(b"PK\x03\x04"):
        return _zip(data, place, notes)
    if data.startswith(b"SQLite format 3\x00"):
        beside = {
            suffix: _read_companion(path.with_name(path.name + suffix), place) for suffix in geopackage.SIDE_FILES
        }
        content = {"": data} | {suffix: side for suffix, side in beside.items() if side}
        return geopackage.read(content, place, MAX_BYTES, notes)
    if data.startswith(shapefile.SIGNATURE) and path.suffix.lower() != ".shx":
        return _shapefile(data, lambda suffix: _read_companion(path.with_suffix(suffix), place), place, notes)
    if path.suffix.lower() in _BESIDE_SHAPEFILE:
        raise refusal(place, "the .shp file of a shapefile", f"the {path.suffix} file beside it")
    if wellknown.looks_like_wkb(data):
        return wellknown.parse_wkb(data, place, notes)
    return _text(_decode(data), place, notes)


def _decode(data: bytes) -> str:
    """Decode text of any encoding; the fallback can only garble names."""
    try:
        return data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _text(text: str, place: str, notes: ParseNotes) -> Iterable[ParsedGeometry]:
    begin = text.lstrip(" \t\r\n\x1e")[:1]
    if begin in ("{", "["):
        notes.winding = True
        return geojson.parse(text, place, notes)
    if begin == "<":
        return kml.parse(text, place, notes)
    if wellknown.looks_like_wkt(text):
        return wellknown.parse_wkt(text, place, notes)
    raise refusal(place, _KINDS, quote_value(text[:40]))


def _read_companion(path: Path, place: str) -> bytes | None:
    """Read a file beside the given one; its suffix may be in upper case."""
    for variant in (path, path.with_suffix(path.suffix.upper())):
        with suppress(FileNotFoundError):
            return _content(variant, f"{place}, its {path.suffix}")
    return None


def _shapefile(
    data: bytes, beside: Callable[[str], bytes | None], place: str, notes: ParseNotes
) -> Iterable[ParsedGeometry]:
    projection, system = beside(".prj"), None
    if projection is None:
        notes.add(place, "has no .prj beside it; its coordinates are taken for longitude and latitude in WGS 84")
    else:
        system = read_system(_decode(projection), f"{place}, its .prj", notes)
    return reprojected(shapefile.parse(data, beside(".shx"), beside(".dbf"), place, notes), system)


def _zip(data: bytes, place: str, notes: ParseNotes) -> Iterable[ParsedGeometry]:
    """Read a KMZ, or a zipped shapefile."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = {name.lower(): name for name in archive.namelist() if not name.startswith("__MACOSX/")}
            shapes = [name for name in names if name.endswith(".shp")]
            documents = [name for name in names if name.endswith(".kml")]
            if len(shapes) > 1:
                raise refusal(place, "one .shp in the archive", f"{len(shapes)}")
            if not shapes and not documents:
                raise refusal(place, "a .kml or a .shp in the archive", f"{len(names)} other files")
            shape = _shapefile_members(archive, names, shapes[0], place) if shapes else {}
            texts = {} if shapes else _documents(archive, [names[name] for name in documents], place)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        # ValueError: a name that is not the UTF-8 it claims to be, or an offset before the file. NotImplementedError: a
        # version of the format that is yet to come.
        raise refusal(place, "a ZIP archive that can be read", f"one that cannot: {error}") from None
    if shapes:
        return _shapefile(shape[".shp"], shape.get, f"{place}, {printable(names[shapes[0]])}", notes)
    return chain.from_iterable(kml.parse(_decode(text), inner, notes, documents) for inner, text in texts.items())


def _shapefile_members(archive: zipfile.ZipFile, names: Mapping[str, str], name: str, place: str) -> dict[str, bytes]:
    """Return the contents of a shapefile by their suffixes."""
    stem = name.removesuffix(".shp")
    members = {suffix: names.get(stem + suffix) for suffix in (".shp", ".prj", ".shx", ".dbf")}
    return {suffix: _member(archive, member, place) for suffix, member in members.items() if member}


def _documents(archive: zipfile.ZipFile, names: Iterable[str], place: str) -> dict[str, bytes]:
    """Return the contents of KML documents by their places, of bounded size together."""
    texts, left = {}, MAX_BYTES
    for name in names:
        texts[f"{place}, {printable(name)}"] = content = _member(archive, name, place, left)
        left -= len(content)
    return texts


def _member(archive: zipfile.ZipFile, name: str, place: str, most: int = MAX_BYTES) -> bytes:
    info = archive.getinfo(name)
    # Corrupt members raise anything from RuntimeError to LZMAError.
    if info.flag_bits & _CLOSED:
        raise refusal(f"{place}, {printable(name)}", "a member that anybody can read", "an encrypted or patched one")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise refusal(f"{place}, {printable(name)}", "a stored or deflated member", f"method {info.compress_type}")
    with archive.open(info) as member:
        content = member.read(most + 1)
    if len(content) > most:
        raise refusal(f"{place}, {printable(name)}", f"at most {MAX_BYTES // 10**6} MB", "more")
    return content
