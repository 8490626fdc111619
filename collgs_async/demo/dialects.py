"""Differences between catalogues of this kind and the stock software."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["STOCK", "Dialect"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """Switches; their defaults are the behaviour of GeoServer's community module "opensearch-eo".

    Attributes
    ----------
    absolute_hrefs
        Download links are URLs, not paths relative to the root of the origin.
    leading_slash
        Relative download links begin with a slash.
    total
        Responses have ``totalResults``.
    links
        Responses have the feed's links (``first``, ``next``, ...).
    echo
        Responses have ``queries.request``.
    acquisition_object
        A product's ``acquisitionInformation`` is an object, not an array.
    sizes
        Download links have a ``length`` in bytes.
    parent_key
        ``parentId``: an old server that does not know the newer name.
    xml_errors
        Errors are RSS documents, whatever format was requested.
    html_errors
        Every error is a proxy's HTML page with status 503.
    newcomers
        The number of new products that appear at the front once the first page was read.
    bare
        Products have a name, a footprint and a download link only.
    description
        Response formats in description documents; None: there are no such documents, as at older servers.
    product_platforms
        Products have columns of their own for platform, serial identifier, instrument, sensor type, product type and
        processing level, which so become search parameters.
    geometry
        The search supports shapes; otherwise boxes only.
    without_columns
        Columns of the stock software that products lack, and so no search parameters.
    """

    absolute_hrefs: bool = False
    leading_slash: bool = False
    total: bool = True
    links: bool = True
    echo: bool = True
    acquisition_object: bool = False
    sizes: bool = False
    parent_key: Literal["parentIdentifier", "parentId"] = "parentIdentifier"
    xml_errors: bool = False
    html_errors: bool = False
    newcomers: int = 0
    bare: bool = False
    description: Literal["Atom and JSON", "Atom"] | None = "Atom and JSON"
    product_platforms: bool = False
    geometry: bool = True
    without_columns: frozenset[str] = frozenset()


STOCK = Dialect()
"""The stock software."""
