"""The notebook display of search results: a plain table, and the map page in a frame."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

from collgs_async.http.messages import printable
from collgs_async.models.text import format_bytes
from collgs_async.reporting.map.page import page
from collgs_async.reporting.map.scenes import orbit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collgs_async.models.product import Product

__all__ = ["notebook_html"]

_MAX_ROWS: Final = 10
_HEIGHT: Final = 680
_COLUMNS: Final = ("identifier", "sensing start", "cloud %", "orbit", "size")


def notebook_html(products: Sequence[Product], *, area: Mapping[str, Any] | None = None, title: str = "Scenes") -> str:
    """Return the HTML for ``_repr_html_``: the first products as a table, and all of them on the map.

    The frame may run its own script only, and reaches neither the notebook nor the network. Where frames are removed,
    as on a code host, the table remains.

    Parameters
    ----------
    products, area, title
        As for `page`.
    """
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    rows = "".join(_row(product) for product in products[:_MAX_ROWS])
    more = len(products) - _MAX_ROWS
    rest = f'<tr><td colspan="{len(_COLUMNS)}">… and {more:,} more</td></tr>' if more > 0 else ""
    inside = html.escape(page(products, area=area, title=title, whole_world=False))
    return (
        f'<table style="white-space: nowrap"><thead><tr>{head}</tr></thead><tbody>{rows}{rest}</tbody></table>'
        f'<iframe title="{html.escape(printable(title))}" sandbox="allow-scripts allow-downloads" '
        f'allow="clipboard-write" style="width: 100%; height: {_HEIGHT}px; border: 0" srcdoc="{inside}"></iframe>'
    )


def _row(product: Product) -> str:
    cells = (
        product.identifier,
        (product.raw.start or "")[:16].replace("T", " "),
        "" if product.cloud_cover is None else f"{product.cloud_cover:.1f}",
        orbit(product) or "",
        "" if product.size is None else format_bytes(product.size),
    )
    return "<tr>" + "".join(f"<td>{html.escape(printable(cell))}</td>" for cell in cells) + "</tr>"
