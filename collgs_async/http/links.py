"""Keep links byte for byte as they were received, since a signed URL is invalid if any byte is written differently.

Only the host is normalized; the rest is neither changed, unquoted nor reordered. Only bytes that HTTP cannot carry are
percent-encoded: blanks, control characters and non-ASCII characters (RFC 3986 §2.1, RFC 9112 §3.2).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_plus

from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["exact_url", "join_link", "with_parameters"]

_PARTS: Final = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(\?[^#]*)?(?:#.*)?", re.S)
"""RFC 3986, appendix B; the query includes its question mark, since an empty query differs from none."""

_UNSENDABLE: Final = re.compile(r"[^\x21-\x7e]+")
_BLANKS: Final = "".join(map(chr, range(0x21)))


class _Link(NamedTuple):
    scheme: str
    authority: str | None
    path: str
    query: str


def exact_url(link: str | URL) -> URL:
    """Return the URL of an absolute link, whose path and query are sent byte for byte as given.

    User name, password and fragment are dropped, as they are not part of the request target.

    Raises
    ------
    ValueError
        The link has no host, or an invalid one.
    """
    return link if isinstance(link, URL) else _url_of(_parse(link))


def join_link(base: str | URL, reference: str) -> URL:
    """Resolve a link against the URL of its document (RFC 3986 §5.2).

    Dot segments are removed only where a relative path is merged with that of the base. Of a link that is neither http
    nor https, or has an empty host, only the scheme is returned; it must not be requested.

    Raises
    ------
    ValueError
        The reference is not a link, or its host is invalid.
    """
    found, at = _parse(reference), _parse(str(base))
    scheme = found.scheme.lower()
    if scheme not in {"", "http", "https"} or found.authority == "":
        return URL.build(scheme=scheme or at.scheme)
    if found.authority is not None:
        return _url_of(found._replace(scheme=scheme or at.scheme))
    if scheme not in {"", at.scheme}:
        raise ValueError("it has no host")
    path, query = found.path, found.query
    if not path:
        path, query = at.path, query or at.query
    elif not path.startswith("/"):
        path = _without_dots(at.path.rpartition("/")[0] + "/" + path)
    return _url_of(_Link(at.scheme, at.authority, path, query))


def with_parameters(link: str | URL, parameters: Mapping[str, str]) -> URL:
    """Add query parameters to a link; they replace those of the same name, and all others are kept as given."""
    if not parameters:
        return exact_url(link)
    at = _parse(str(link))
    kept = [pair for pair in at.query[1:].split("&") if pair and unquote_plus(pair.partition("=")[0]) not in parameters]
    added = URL.build(query=parameters).raw_query_string
    return _url_of(at._replace(query="?" + "&".join([*kept, added])))


def _parse(link: str) -> _Link:
    found = _PARTS.fullmatch(link.strip(_BLANKS))
    scheme, authority, path, query = found.groups() if found else ("", None, "", "")
    return _Link(scheme or "", authority, path, query or "")


def _url_of(link: _Link) -> URL:
    if "\\" in (link.authority or ""):  # URL parsers disagree on which side of a backslash is the host
        raise ValueError(f"{link.authority!r} is no name of a host")
    origin = _origin(link)
    target = _sendable((link.path or "/") + link.query)
    url = URL(origin + target, encoded=True)
    if url.raw_path_qs == target:
        return url
    # yarl drops an empty query; its question mark is kept as part of the path.
    scheme, _, authority = origin.partition("://")
    return URL.build(scheme=scheme, authority=authority, path=target, encoded=True)


_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]+\](:[0-9]*)?")
"""A host in brackets (RFC 3986 §3.2.2); yarl reads other brackets differently each time."""


def _origin(link: _Link) -> str:
    """Return scheme, host and port; raise ValueError for a host name that cannot be encoded, or is invalid punycode.

    yarl decodes the host only when ``URL.host`` is read, and the resolver raises an unrelated exception.
    """
    host = (link.authority or "").rpartition("@")[2]
    if set("[]") & set(host) and not _IPV6.fullmatch(host):
        raise ValueError(f"{link.authority!r} is no name of a host")
    try:
        # Parsed twice: of "[::1 \u0130]", yarl makes a host that it cannot read.
        origin = URL(str(URL(f"{link.scheme}://{link.authority or ''}").origin()))
        (origin.raw_host or "").encode("idna")
        _ = origin.host
    except (UnicodeError, IndexError) as error:  # yarl raises IndexError for "[]@"
        raise ValueError(f"{link.authority!r} is no name of a host") from error
    return str(origin)


def _sendable(text: str) -> str:
    return _UNSENDABLE.sub(lambda found: "".join(f"%{byte:02X}" for byte in _bytes_of(found[0])), text)


def _bytes_of(text: str) -> bytes:
    """Return the bytes that text was decoded from: header fields with surrogate escapes, JSON with lone surrogates."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _without_dots(path: str) -> str:
    """Remove dot segments (RFC 3986 §5.2.4) of a path that begins with a slash."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    end = "/" if segments[-1] in {".", ".."} and kept else ""
    return "/" + "/".join(kept) + end
