"""Small tables for notebooks, as HTML without style of their own."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from collgs_async.models.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["facts_table", "rows_table"]


def facts_table(title: str, facts: Mapping[str, object]) -> str:
    """Return a heading and a table of names and values; values that are None or empty text are left out."""
    rows = "".join(
        f'<tr><th style="text-align: left">{_cell(name)}</th><td style="text-align: left">{_cell(value)}</td></tr>'
        for name, value in facts.items()
        if value not in (None, "")
    )
    return f"<table><caption>{_cell(title)}</caption><tbody>{rows}</tbody></table>"


def rows_table(heads: Sequence[str], rows: Iterable[Sequence[object]], *, more: int = 0) -> str:
    """Return a table with a heading for each column; `more` counts the rows that are not shown."""
    head = "".join(f'<th style="text-align: left">{_cell(name)}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align: left">{_cell(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    rest = f'<tr><td colspan="{len(heads)}">… and {more:,} more</td></tr>' if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}{rest}</tbody></table>"


def _cell(value: object) -> str:
    return html.escape(printable(str(value)))
