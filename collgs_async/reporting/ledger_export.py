"""Write the products of a ledger: as JSON lines, CSV, or the checksums of the archives for ``sha256sum -c``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from collgs_async.http.messages import json_text
from collgs_async.models.redaction import without_userinfo
from collgs_async.reporting.listing import csv_line
from collgs_async.reporting.status import event_values, time_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import TextIO

    from collgs_async.ledger.export import Exported

__all__ = ["FORMATS", "write_export"]

_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


async def write_export(products: AsyncIterator[Exported], form: str, out: TextIO) -> int:
    """Write each product as it comes.

    Parameters
    ----------
    form
        One of `FORMATS`. ``sha256sums`` has the archives that are here and whose SHA-256 is known, by the path
        from the output folder.

    Returns
    -------
    int
        The number of archives that are here, and left out since their SHA-256 is not known; 0 for the other formats.
    """
    left_out = 0
    if form == "csv":
        out.write(csv_line(_columns(None)))
    line = FORMATS[form]
    async for one in products:
        text = line(one)
        if text is None:
            left_out += one.file is not None and one.file.path is not None and one.file.members is None
        else:
            out.write(text)
    return left_out


def _columns(one: Exported | None) -> dict[str, Any]:
    """Return the cells of one product by name; of none, the names."""
    product, file = (one.product, one.file) if one else (None, None)
    return {
        "identifier": product and product.identifier,
        "collection": product and product.collection,
        "state": product and product.state.name.lower(),
        "sensing_start": product and time_text(product.start),
        "sensing_end": product and time_text(product.stop),
        "edition": product and product.edition,
        "produced": product and time_text(product.produced),
        "first_seen": product and time_text(product.first_seen),
        "seen": product and time_text(product.seen),
        "gone": product and time_text(product.gone),
        "not_wanted": product and product.wanted,
        "failures": product and product.tries,
        "retry_at": product and time_text(product.retry_at),
        "error": product and product.error,
        "url": without_userinfo(one.url) if one and one.url else None,
        "path": file and file.path,
        "size": file and file.size,
        "mtime": file and time_text(file.mtime),
        "sha256": file.sha256.hex() if file and file.sha256 else None,
        "etag": file and file.etag,
        "last_modified": file and file.modified,
        "members": file and file.members,
        "fetched": file and time_text(file.fetched),
        "checked": file and time_text(file.checked),
        "how": file and file.how,
        "bad": file and file.bad,
    }


def _json_line(one: Exported) -> str:
    return json_text({**_columns(one), "history": [event_values(event) for event in one.attempts]}) + "\n"


def _sum_line(one: Exported) -> str | None:
    """Return a line of coreutils' format, in which a name with a backslash or a line break is escaped."""
    file = one.file
    if file is None or file.path is None or file.sha256 is None or file.members is not None:
        return None
    name = file.path.translate(_ESCAPES)
    mark = "\\" if name != file.path else ""
    return f"{mark}{file.sha256.hex()}  {name}\n"


FORMATS: Final[dict[str, Callable[[Exported], str | None]]] = {
    "jsonl": _json_line,
    "csv": lambda one: csv_line(_columns(one).values()),
    "sha256sums": _sum_line,
}
"""The line of one product in each format; None leaves it out."""
