"""Decide where colours and cursor moves may be written, and write colours.

A stream is a screen if it is a terminal that can move its cursor (``TERM`` is not ``dumb``). Colours are for screens
only; a variable that is not empty changes that: ``NO_COLOR`` (no-color.org) forbids them, and ``FORCE_COLOR``
(force-color.org) demands them anywhere. What programs read, such as listings and reports, never has colours.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["Colour", "has_colour", "is_screen", "paint"]

Colour: TypeAlias = Literal["bold", "red", "green", "yellow"]

_CODES: Final[dict[Colour, str]] = {"bold": "1", "red": "31", "green": "32", "yellow": "33"}
"""Select graphic rendition (ECMA-48 §8.3.117)."""


def is_screen(file: TextIO) -> bool:
    """Whether a stream is a terminal that can move its cursor."""
    try:
        return file.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # it is closed
        return False


def has_colour(file: TextIO) -> bool:
    """Whether text for people on this stream is coloured."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_screen(file)


def paint(text: str, colour: Colour | None) -> str:
    """Return a text in a colour; None: as it is."""
    return text if colour is None else f"\x1b[{_CODES[colour]}m{text}\x1b[0m"
