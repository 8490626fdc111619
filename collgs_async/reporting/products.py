"""A list of products: for notebooks a table and a map, for other programs GeoJSON and rows."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from collgs_async.models.geojson import feature
from collgs_async.models.product import Product
from collgs_async.selection.search import SelectedProducts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Products", "SearchResults"]


class Products(list[Product]):
    """A list of products, which a notebook displays as a table and on a map.

    Parameters
    ----------
    products
        Its items.
    area
        The area of interest, for the map: GeoJSON as in RFC 7946; None: none.

    Attributes
    ----------
    area
        The area of interest.
    """

    def __init__(self, products: Iterable[Product] = (), *, area: Mapping[str, Any] | None = None) -> None:
        super().__init__(products)
        self.area = area

    def to_geojson(self) -> dict[str, Any]:
        """Return a FeatureCollection (RFC 7946), with the properties that ``search --format geojson`` has.

        Footprints are cut at the antimeridian (RFC 7946 §3.1.9); a product without one has the geometry None. All
        values are what the module `json` writes.
        """
        return {"type": "FeatureCollection", "features": [feature(product) for product in self]}

    @property
    def __geo_interface__(self) -> dict[str, Any]:
        """The same as `to_geojson`, by the name that geopandas, shapely and others look for."""
        return self.to_geojson()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the attributes of each product by name, for ``pandas.DataFrame`` and the like.

        Sensing times are datetimes in UTC, footprints GeoJSON geometries as the catalogue gave them.
        """
        return [product.to_dict() for product in self]

    def _repr_html_(self) -> str:
        """Return a table of the first products, and a map of all that needs no network."""
        from collgs_async.reporting.map.notebook import notebook_html

        return notebook_html(self, area=self.area, title=f"{len(self):,} {'product' if len(self) == 1 else 'products'}")


class SearchResults(SelectedProducts):
    """The selected products of a search: an asynchronous iterator, which requests pages as needed.

    No request is made before the first product is needed. It can be iterated once.

    Attributes
    ----------
    area
        The area of interest; None: none, or not read yet (see `prepare`).
    excluded
        The number of excluded products by reason.
    missing
        Requested identifiers that no search has found.
    total
        The catalogue's count of results, before any selection; None while it is unknown.
    yielded
        The number of products yielded.
    """

    async def collect(self) -> Products:
        """Read all pages, and return all products at once.

        Raises
        ------
        CatalogueError
            A request failed, or the response holds no results.
        """
        async with aclosing(aiter(self)) as products:
            found = [product async for product in products]
        return Products(found, area=self.area.geojson() if self.area else None)
