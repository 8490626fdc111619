"""Write rows of text as a table of columns, for people."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from collgs_async.models.text import printable
from collgs_async.models.width import cut, pad, text_width
from collgs_async.reporting.colour import has_colour, paint

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import TextIO

__all__ = ["write_table"]

_GAP = "  "


def write_table(
    titles: Sequence[str],
    rows: Sequence[Sequence[str]],
    out: TextIO,
    *,
    right: Collection[str] = (),
    shorten: Callable[[str, int], str] = cut,
) -> None:
    """Write the columns that have values, as wide as these; on a terminal, lines fit its width.

    Parameters
    ----------
    titles
        Titles of the columns.
    rows
        The cells of each row; ``-`` is an unknown value. Without a row, nothing is written.
    right
        Titles of the columns whose cells are aligned to the right.
    shorten
        Shortens a cell of the last column to a number of columns of the terminal, 1 or more.
    """
    most = shutil.get_terminal_size().columns if out.isatty() else None
    columns = [[printable(cell) for cell in column] for column in zip(titles, *rows, strict=True)]
    columns = [column for column in columns if {*column[1:]} != {"-"}]
    widths = [max(map(text_width, column)) for column in columns]
    room = None if most is None else max(1, most - sum(len(_GAP) + width for width in widths[:-1]))
    sides = [column[0] in right for column in columns[:-1]]
    for number, line in enumerate(zip(*columns, strict=True) if rows else ()):
        *cells, last = line if room is None else (*line[:-1], shorten(line[-1], room))
        padded = [pad(cell, width, right=side) for cell, width, side in zip(cells, widths[:-1], sides, strict=True)]
        text = _GAP.join([*padded, last]).rstrip()
        text = text if most is None else cut(text, most)
        bold = number == 0 and most is not None and has_colour(out)
        out.write((paint(text, "bold") if bold else text) + "\n")
