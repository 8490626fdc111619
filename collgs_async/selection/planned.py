"""The products of a plan, with the interface of a selection, so that downloads and listings accept both."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from collgs_async.models.query import Query

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from collgs_async.models.product import Product
    from collgs_async.selection.aoi.area import Area
    from collgs_async.selection.plan import Plan

__all__ = ["PlannedProducts"]


class PlannedProducts:
    """The products of a plan, as an asynchronous iterator without any request.

    Attributes
    ----------
    total, expected
        The number of products.
    pages, excluded, missing
        Empty: the search was done when the plan was made.
    yielded
        The number of products yielded.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.total: int | None = len(plan.products)
        self.expected: int | None = self.total
        self.pages = 0
        self.excluded: Counter[str] = Counter()
        self.missing: list[str] = []
        self.yielded = 0

    @property
    def queries(self) -> tuple[Query, ...]:
        """The query that the plan was made with."""
        return (Query.parse(self._plan.parameters),)

    @property
    def area(self) -> Area | None:
        """The area of interest that the plan was made with."""
        geometry = self._plan.selection.get("aoi")
        if geometry is None:
            return None
        from collgs_async.selection.aoi.area import Area

        return Area.of(geometry)

    async def __aiter__(self) -> AsyncGenerator[Product, None]:
        """Yield each product, in the order of the plan."""
        for product in self._plan.products:
            self.yielded += 1
            yield product
