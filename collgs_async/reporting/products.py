"""A list of products, which a notebook displays as a table and on a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from collgs_async.models.product import Product

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Products"]


class Products(list[Product]):
    """A list of products.

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

    def _repr_html_(self) -> str:
        """Return a table of the first products, and a map of all that needs no network."""
        from collgs_async.reporting.map.notebook import notebook_html

        return notebook_html(self, area=self.area, title=f"{len(self):,} {'product' if len(self) == 1 else 'products'}")
