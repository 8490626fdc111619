"""A background map from a server of tiles, for those who want one: the page then requests its images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

__all__ = ["Background"]

_PLACEHOLDERS: Final = frozenset({"z", "x", "y"})
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_CLEAN: Final = re.compile(r"[!#-&(-;=?-Z\[\]_a-z{}~]+")
"""ASCII without controls, spaces, quotes, angle brackets, backslash, caret, grave and bar: what may stand in a URL."""

_HOST: Final = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
"""What a content security policy takes for a host: letters, digits, hyphens and dots (CSP Level 3, section 2.3.1)."""

_CREDITS: Final = {"openstreetmap.org": "© OpenStreetMap contributors"}
"""The credit that a server's licence demands, by domain."""


@dataclass(frozen=True, slots=True)
class Background:
    """A server of tiles.

    Attributes
    ----------
    template
        The URL of a tile, with ``{z}``, ``{x}`` and ``{y}`` for its zoom, column and row in web Mercator.
    origin
        Scheme, host and port of it: all that the page may request images from.
    host
        The host, as the page names it.
    credit
        Whom the page credits for the tiles.
    """

    template: str
    origin: str
    host: str
    credit: str

    @classmethod
    def parse(cls, template: str, credit: str | None = None) -> Background:
        """Parse the URL of a tile.

        Parameters
        ----------
        template
            See the attribute.
        credit
            None: that of a server which is known, else its host.

        Raises
        ------
        ValueError
            Saying what was expected; the URL is not repeated, since it may hold a key.
        """
        fields = _FIELD.findall(template)
        unknown = sorted(set(fields) - _PLACEHOLDERS)
        if unknown:
            raise ValueError(f"expected no placeholders but {{z}}, {{x}} and {{y}}, found {{{unknown[0]}}}")
        if not set(fields) >= _PLACEHOLDERS or not _CLEAN.fullmatch(template):
            raise ValueError(
                "expected the address of a tile with {z}, {x} and {y}, such as https://tiles.example/{z}/{x}/{y}.png"
            )
        try:
            parts = urlsplit(template)
            port, host = parts.port, (parts.hostname or "").lower()
        except ValueError:
            raise ValueError("expected an address with a host and a valid port") from None
        if parts.scheme not in {"http", "https"}:
            raise ValueError(f"expected an http or https address, found {parts.scheme or 'no scheme'}")
        if "@" in parts.netloc:
            raise ValueError("expected no user name or password")
        if not _HOST.fullmatch(host):
            raise ValueError("expected a host of letters, digits, hyphens and dots, without placeholders")
        origin = f"{parts.scheme}://{host}" + ("" if port is None else f":{port}")
        known = next((words for name, words in _CREDITS.items() if host == name or host.endswith(f".{name}")), host)
        return cls(template, origin, host, credit or known)
