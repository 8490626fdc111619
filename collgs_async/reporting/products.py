"""Products as a list, which a notebook shows as a table and on a map."""

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
        What is in it.
    area
        The area of interest, for the map: GeoJSON as RFC 7946 has it; None: none.

    Attributes
    ----------
    area
        The area of interest.
    """

    def __init__(self, products: Iterable[Product] = (), *, area: Mapping[str, Any] | None = None) -> None:
        super().__init__(products)
        self.area = area

    def _repr_html_(self) -> str:
        """Show the first of them as a table, and all on a map that asks the network for nothing."""
        from collgs_async.reporting.map.notebook import notebook_html

        return notebook_html(self, area=self.area, title=f"{len(self):,} {'product' if len(self) == 1 else 'products'}")
