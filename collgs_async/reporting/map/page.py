"""Assemble the map page: the parts in ``resources``, the products as data, and a policy that forbids network access."""

from __future__ import annotations

import base64
import hashlib
import html
import math
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final

from collgs_async.http.messages import json_text, printable
from collgs_async.models.images import image_size, image_type
from collgs_async.reporting.map.outlines import outlines
from collgs_async.reporting.map.scenes import feature
from collgs_async.reporting.map.world import box_around, details, read_world, world_around

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from collgs_async.models.product import Product
    from collgs_async.reporting.map.background import Background

__all__ = ["page"]

_SCRIPTS: Final = (
    "data",
    "text",
    "colours",
    "store",
    "pictures",
    "projection",
    "canvas",
    "world",
    "rivers",
    "tiles",
    "labels",
    "drape",
    "map",
    "pointing",
    "timeline",
    "table",
    "card",
    "tray",
    "filters",
    "legend",
    "main",
)
"""The parts of the script, in the order in which they are joined into one module."""

_DETAIL_BYTES: Final = 150_000
"""The most that rivers and towns may add to a page."""

_FEW_DETAIL_BYTES: Final = 30_000
"""The same where the page is to be small."""

_MOST_PIXELS: Final = 4_000_000
"""Of a preview: some kilobytes may hold gigapixels, and the list shows many previews at a time."""

_RESOURCES = files("collgs_async.reporting.map") / "resources"


def page(
    products: Sequence[Product],
    *,
    area: Mapping[str, Any] | None = None,
    title: str = "Sentinel scenes",
    query: Sequence[str] = (),
    quicklooks: Mapping[str, bytes] | None = None,
    overlap: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
    command: str | None = None,
    whole_world: bool = True,
    background: Background | None = None,
) -> str:
    """Return a page with map, timeline and table of products, which needs no network.

    Parameters
    ----------
    products
        The products, in their initial order.
    area
        The area of interest: GeoJSON as in RFC 7946, so nothing in it crosses the antimeridian. None: no area.
    title
        The heading of the page and the title of the browser's tab.
    query
        What was asked for, such as the area, the dates and the cloud cover: the line below the heading.
    quicklooks
        Small previews (JPEG, PNG, GIF or WebP) by identifier, embedded unchanged; other formats, and more than four
        megapixels, are left out.
    overlap
        The percentage of the area that each product covers, by identifier.
    notes
        Further sentences for the reader, such as why the search ended early.
    command
        The command that downloads what ``chosen.txt`` names, the file that the page saves; None: the page shows none.
    whole_world
        Whether the world is detailed everywhere. Otherwise it is coarse outside the surroundings of products and area,
        which makes the page smaller by 200 kB.
    background
        The server whose tiles are shown below the scenes; the page says so, and requests images from it. None: the page
        makes no request.

    Returns
    -------
    str
        HTML, to be written as UTF-8.
    """
    style = _read("style.css")
    pictures = _images(quicklooks or {})
    script = "\n".join(_read(f"{name}.js") for name in _SCRIPTS)
    scenes = [feature(product, overlap or {}, pictured=product.identifier in pictures) for product in products]
    outline = outlines(area, unroll=False)
    box = box_around([outline, *(scene["shape"] for scene in scenes if "shape" in scene)])
    world = read_world() if whole_world else world_around(box)
    data = {
        "title": printable(title),
        "query": [printable(part) for part in query],
        "notes": [printable(note) for note in (*notes, *_background_note(background))],
        "background": background and {"template": background.template, "credit": printable(background.credit)},
        "command": command and printable(command),
        "area": outline,
        "scenes": scenes,
    }
    return Template(_read("page.html")).substitute(
        policy=_policy(script, style, background),
        referrer="strict-origin" if background else "no-referrer",  # servers of tiles may refuse requests without
        title=html.escape(printable(title)),
        style=style,
        script=script,
        world=_embedded({**world, **details(box, _DETAIL_BYTES if whole_world else _FEW_DETAIL_BYTES)}),
        data=_embedded(data),
        quicklooks=_embedded(pictures),
    )


def _read(name: str) -> str:
    return (_RESOURCES / name).read_text("utf-8")


def _background_note(background: Background | None) -> list[str]:
    if background is None:
        return []
    return [f"The background is requested from {background.host}, which learns what area is looked at."]


def _policy(script: str, style: str, background: Background | None) -> str:
    """Return a content security policy that permits this script, this style, embedded images and those tiles only."""
    images = " ".join(["data:", *([background.origin] if background else [])])
    return (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src {images}; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _embedded(data: object) -> str:
    """Return JSON that is safe inside a script element: pure ASCII, and without anything that looks like a tag."""
    text = json_text(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _images(quicklooks: Mapping[str, bytes]) -> dict[str, str]:
    """Return each preview as a data URL, but none that would take the browser's memory."""
    return {
        identifier: f"data:{kind.media_type};base64,{base64.b64encode(image).decode()}"
        for identifier, image in quicklooks.items()
        if (kind := image_type(image)) and math.prod(image_size(image) or (0,)) <= _MOST_PIXELS
    }
