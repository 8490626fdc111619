"""OpenSearch description documents, which list the search parameters (OpenSearch 1.1; OGC 10-032r8 and 13-026r9)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode
from xml.sax.saxutils import quoteattr

from collgs_async.demo.feed import DESCRIPTION_PATH, SEARCH_PATH
from collgs_async.demo.parameters import known_parameters
from collgs_async.demo.responses import text_reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from collgs_async.demo.dialects import Dialect
    from collgs_async.demo.parameters import Kind, Limits, Parameter
    from collgs_async.demo.responses import Response

__all__ = ["description_reply"]

_TYPE: Final = "application/opensearchdescription+xml"
_DOCUMENT: Final = """<?xml version="1.0" encoding="UTF-8"?>
<OpenSearchDescription xmlns="http://a9.com/-/spec/opensearch/1.1/" \
xmlns:param="http://a9.com/-/spec/opensearch/extensions/parameters/1.0/" \
xmlns:geo="http://a9.com/-/opensearch/extensions/geo/1.0/" \
xmlns:time="http://a9.com/-/opensearch/extensions/time/1.0/" \
xmlns:eo="http://a9.com/-/opensearch/extensions/eo/1.0/" xmlns:atom="http://www.w3.org/2005/Atom">\
<ShortName>OSEO</ShortName><Description>Earth Observation search of the embedded catalogue</Description>\
<Contact>nobody@example.org</Contact><Tags>EarthObservation OGC CEOS-OS-BP-V1.2/L1</Tags>{urls}\
<LongName>OpenSearch for Earth Observation</LongName><SyndicationRight>open</SyndicationRight>\
<AdultContent>false</AdultContent><Language>en-us</Language><OutputEncoding>UTF-8</OutputEncoding>\
<InputEncoding>UTF-8</InputEncoding></OpenSearchDescription>
"""
_PATTERNS: Final[Mapping[Kind, str]] = {
    # The integer pattern requires a sign, which no request has: a fault of the real server, kept here.
    int: "[+-][0-9]+",
    float: r"[-+]?[0-9]*\.?[0-9]+",
    datetime: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[\+\-][0-9]{2}:[0-9]{2})$",
}
_GEOMETRIES: Final = ("LINESTRING", "POINT", "POLYGON", "MULTILINESTRING", "MULTIPOINT", "MULTIPOLYGON")


def description_reply(parent: str | None, origin: str, limits: Limits, dialect: Dialect) -> Response:
    """Describe the search for collections (`parent` None), or that in one of them."""
    fixed: dict[str, str] = {} if parent is None else {dialect.parent_key: parent}
    parameters = known_parameters(parent, limits, dialect).values()
    described = "".join(_parameter(parameter, origin) for parameter in parameters)
    kind = "collection" if parent is None else "results"
    own = f"{origin}{DESCRIPTION_PATH}" + (f"?{urlencode(fixed)}" if fixed else "")
    urls = _url(rel="self", template=own, type=_TYPE)
    answers = {"atom": "application/atom+xml", "json": "application/geo+json"}
    for name, media_type in answers.items() if dialect.description == "Atom and JSON" else [("atom", answers["atom"])]:
        template = f"{origin}{SEARCH_PATH}?{_query(fixed, parameters, name)}"
        urls += _url(described, rel=kind, template=template, type=media_type, indexOffset="1")
    return text_reply(200, _DOCUMENT.format(urls=urls), _TYPE)


def _query(fixed: Mapping[str, str], parameters: Iterable[Parameter], name: str) -> str:
    """Write the query of a template; that of one collection names the parent twice, as the real server does."""
    blanks = [f"{parameter.key}={{{parameter.qualified}?}}" for parameter in parameters]
    return "&".join([*([urlencode(fixed)] if fixed else []), *blanks, f"httpAccept={name}"])


def _url(content: str = "", **attributes: str) -> str:
    return f"<Url{_attributes(attributes)}>{content}</Url>"


def _parameter(parameter: Parameter, origin: str) -> str:
    attributes = {"name": parameter.key, "value": f"{{{parameter.qualified}}}", "minimum": "0"}
    if parameter.least is not None:
        attributes["minInclusive"] = str(parameter.least)
    if parameter.most is not None:
        attributes["maxInclusive"] = str(parameter.most)
    if parameter.kind in _PATTERNS:
        attributes["pattern"] = _PATTERNS[parameter.kind]
    return f"<param:Parameter{_attributes(attributes)}>{_profiles(parameter.key, origin)}</param:Parameter>"


def _profiles(key: str, origin: str) -> str:
    """Link to the documentation of a parameter's values."""
    if key == "searchTerms":
        title = "Simple search term parameter specification"
        return _profile(f"{origin}/catalog/docs/searchTerms.html", title)
    if key == "geometry":
        kinds = (
            _profile(f"http://www.opengis.net/wkt/{kind}", f"This service accepts WKT {kind}") for kind in _GEOMETRIES
        )
        return "".join(kinds)
    return ""


def _profile(href: str, title: str) -> str:
    return f"<atom:link{_attributes({'rel': 'profile', 'href': href, 'title': title})}/>"


def _attributes(attributes: Mapping[str, str]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
