"""A list of products: for notebooks a table and a map, for other programs GeoJSON, STAC and rows."""

from __future__ import annotations

from contextlib import aclosing
from importlib import import_module
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from collgs_async.models.geojson import feature, valid_geometry
from collgs_async.models.product import Product
from collgs_async.models.text import plural
from collgs_async.selection.search import SelectedProducts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

__all__ = ["Products", "SearchResults"]

_SHOWN = 5
_COLUMNS = tuple(name for name in Product("", None).to_dict() if name not in {"footprint", "alternatives"})
"""The columns of a GeoDataFrame beside its geometry, also of an empty one."""


class Products(list[Product]):
    """A list of products, which a notebook displays as a table and on a map; so are its slices.

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

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Product: ...

    @overload
    def __getitem__(self, index: slice, /) -> Self: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> Product | Self:
        found = super().__getitem__(index)
        return self._like(found) if isinstance(found, list) else found

    def copy(self) -> Self:
        """Return a copy, with the area of interest."""
        return self._like(self)

    def _like(self, products: Iterable[Product]) -> Self:
        return type(self)(products, area=self.area)

    def __repr__(self) -> str:
        shown = [repr(product) for product in self[:_SHOWN]]
        return f"Products([{', '.join(shown)}{f', … {len(self) - _SHOWN:,} more' if len(self) > _SHOWN else ''}])"

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

    def to_stac(self) -> dict[str, Any]:
        """Return a STAC ItemCollection, such as ``pystac.ItemCollection.from_dict`` reads; see `Product.to_stac`.

        Raises
        ------
        ValueError
            A product has no sensing time, which STAC requires; its identifier is in the message.
        """
        return {"type": "FeatureCollection", "features": [_item(product) for product in self]}

    def to_geodataframe(self) -> Any:
        """Return a ``geopandas.GeoDataFrame`` in EPSG:4326, a row per product.

        Columns are the attributes by name, but for ``alternatives``, which fit into no cell; sensing times are
        timestamps in UTC. The geometry is the footprint, cut at the antimeridian (RFC 7946 §3.1.9).

        Raises
        ------
        ImportError
            geopandas is not installed; the message says how to install it.
        """
        try:
            geopandas, pandas = import_module("geopandas"), import_module("pandas")
        except ImportError as error:
            raise ImportError(
                f"a GeoDataFrame needs the package {error.name}: python -m pip install geopandas"
            ) from None
        import shapely.geometry

        rows = pandas.DataFrame.from_records(self.to_dicts(), columns=_COLUMNS)
        for name in ("sensing_start", "sensing_end"):
            rows[name] = pandas.to_datetime(rows[name], utc=True)
        footprints = [valid_geometry(product.footprint) for product in self]
        shapes = [footprint and shapely.geometry.shape(footprint) for footprint in footprints]
        return geopandas.GeoDataFrame(rows, geometry=shapes, crs="EPSG:4326")

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the attributes of each product by name, for ``pandas.DataFrame`` and the like.

        Sensing times are datetimes in UTC, footprints GeoJSON geometries as the catalogue gave them.
        """
        return [product.to_dict() for product in self]

    def _repr_html_(self) -> str:
        """Return a table of the first products, and a map of all that needs no network."""
        from collgs_async.reporting.map.notebook import notebook_html

        return notebook_html(self, area=self.area, title=plural(len(self), "product"))


def _item(product: Product) -> dict[str, Any]:
    try:
        return product.to_stac()
    except ValueError as error:
        raise ValueError(f"{product.identifier}: {error}") from None


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
