"""Rank the links of an entry that may lead to its archive.

Catalogues list previews, metadata, mirrors and internal paths beside the archive, in any order. The stated type only
decides the order of attempts; the response itself is verified in any case.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["archive_links"]


class _Rank(IntEnum):
    """Likelihood that a link leads to an archive; lower is better."""

    ZIP = 0
    """Named as an archive by its type or file name."""

    UNKNOWN = 1
    """No type, or a generic binary one."""

    OTHER = 2
    """Another type, such as XML; some servers state one for everything."""


_ZIP: Final = frozenset({"application/zip", "application/x-zip", "application/x-zip-compressed", "application/x-safe"})
_BYTES: Final = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/binary", "*/*"})
_PICTURES: Final = ("image/", "video/", "audio/", "font/")
_PICTURE_NAMES: Final = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".webp", ".jp2", ".svg")
_OTHER_NAMES: Final = (".xml", ".json", ".geojson", ".html", ".htm", ".txt", ".md5", ".sha256", ".pdf", ".kml", ".csv")


def archive_links(links: Iterable[Mapping[str, Any]]) -> list[tuple[str, object]]:
    """Return the links that may lead to an archive, in the order in which to try them.

    Parameters
    ----------
    links
        Objects with ``href``, optionally ``type`` (or ``mediaType``) and ``length``, in the catalogue's order.

    Returns
    -------
    list of (str, object)
        Address and length, both as written; pictures are left out. Unsupported schemes, such as ``s3:`` and ``file:``,
        come last: they explain why there is no download.
    """
    found = [(_order(link), link["href"].strip(), link.get("length")) for link in _usable(links)]
    return [(href, length) for order, href, length in sorted(found, key=lambda one: one[0])]


def _usable(links: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for link in links:
        href = link.get("href")
        if isinstance(href, str) and href.strip() and not _is_picture(link):
            yield link


def _order(link: Mapping[str, Any]) -> tuple[bool, _Rank]:
    return _scheme(link["href"]) not in {"", "http", "https"}, _rank(link)


def _rank(link: Mapping[str, Any]) -> _Rank:
    media, name = _media(link), _name(link["href"])
    if media in _ZIP or (name.endswith(".zip") and media in _BYTES):
        return _Rank.ZIP
    return _Rank.UNKNOWN if media in _BYTES and not name.endswith(_OTHER_NAMES) else _Rank.OTHER


def _is_picture(link: Mapping[str, Any]) -> bool:
    media = _media(link)
    return media.startswith(_PICTURES) or (media in _BYTES and _name(link["href"]).endswith(_PICTURE_NAMES))


def _media(link: Mapping[str, Any]) -> str:
    media_type = link.get("type") or link.get("mediaType")
    return media_type.partition(";")[0].strip().lower() if isinstance(media_type, str) else ""


def _name(href: str) -> str:
    try:
        return urlsplit(href.strip()).path.lower()
    except ValueError:
        return ""


def _scheme(href: str) -> str:
    try:
        return urlsplit(href.strip()).scheme.lower()
    except ValueError:
        return "?"
