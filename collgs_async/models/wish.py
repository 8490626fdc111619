"""A wish: which members of an archive are to be fetched, instead of all of them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Literal

from collgs_async.models.band_words import canonical_word
from collgs_async.models.parameter_values import quote_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["EXPECTED", "RESOLUTIONS", "Wish", "read_bands", "read_members", "read_resolution"]

RESOLUTIONS: Final = (10, 20, 60)
"""Resolutions that images of Sentinel-2 have, in metres."""

_MOST_WORDS: Final = 1000
_LONGEST_PATTERN: Final = 1000
_WORD = re.compile("[A-Za-z0-9]{1,20}")
_METRES = re.compile("([1-9][0-9]{0,3}) ?m?")


@dataclass(frozen=True, slots=True)
class Wish:
    """Which members of an archive are wanted; an empty wish is false, and means the whole archive.

    A resolution alone is a wish as well: all images of that resolution. Bands and members add up.

    Attributes
    ----------
    bands
        Words as in `models.band_words`: ``B02``, ``SCL``, ``VV``, ``IW2``, ``CAL``, ``Oa03``, ``GEO``.
    resolutions
        In metres, in order of preference: of each band, the first that it has; empty: the finest that there is.
    every_resolution
        Whether each band is wanted in all its resolutions.
    metadata_only
        Whether the metadata are wanted, and no image.
    members
        Patterns for the path of a member below the top folder of the archive; see `selection.bands`.
    """

    bands: tuple[str, ...] = ()
    resolutions: tuple[int, ...] = ()
    every_resolution: bool = False
    metadata_only: bool = False
    members: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))

    def __str__(self) -> str:
        """Say what is wanted, as the flags that ask for it."""
        return shlex.join(self.as_flags())

    def as_flags(self) -> list[str]:
        """Return the words of a command line that ask for this."""
        resolution = "all" if self.every_resolution else ",".join(map(str, self.resolutions))
        values = {"bands": ",".join(self.bands), "resolution": resolution, "members": ",".join(self.members)}
        words = [word for name, value in values.items() if value for word in (f"--{name}", value)]
        return [*words, *(["--metadata-only"] if self.metadata_only else [])]

    def as_dict(self) -> dict[str, Any]:
        """Return the form for JSON: ``bands``, ``resolution``, ``metadata_only`` and ``members``, without defaults."""
        values: dict[str, Any] = {
            "bands": list(self.bands),
            "resolution": "all" if self.every_resolution else list(self.resolutions),
            "metadata_only": self.metadata_only,
            "members": list(self.members),
        }
        return {name: value for name, value in values.items() if value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Wish:
        """Parse the form for JSON; keys that are absent have their defaults.

        Raises
        ------
        ValueError
            A key or a value is invalid; the message begins with the key.
        """
        if (unknown := next((name for name in values if name not in _READERS), None)) is not None:
            raise ValueError(f"{quote_value(unknown)}: unknown key")
        read = {name: _at(name, read, values[name]) for name, read in _READERS.items() if name in values}
        wish = cls.from_settings(**read)
        if problem := wish.contradiction():
            raise ValueError(problem)
        return wish

    @classmethod
    def from_settings(
        cls,
        bands: tuple[str, ...] = (),
        resolution: tuple[int, ...] | Literal["all"] = (),
        *,
        metadata_only: bool = False,
        members: tuple[str, ...] = (),
    ) -> Wish:
        """Create a wish from values that `read_bands`, `read_resolution` and `read_members` return."""
        if resolution == "all":
            return cls(bands, (), True, metadata_only, members)
        return cls(bands, resolution, False, metadata_only, members)

    def contradiction(self) -> str | None:
        """Return the error for wishes that exclude each other, beginning with its key; None: there is none."""
        if self.metadata_only and (self.bands or self.resolutions or self.every_resolution):
            beside = "bands" if self.bands else "resolution"
            return f"metadata_only: expected no {beside} beside it, found {quote_value(self.as_dict()[beside])}"
        return None


def read_bands(value: object) -> tuple[str, ...]:
    """Read band words, a list or text with commas, in their usual spelling; whether a product has them is not checked.

    Raises
    ------
    ValueError
        Without a message: this is something else.
    """
    words = _words(value)
    if not all(map(_WORD.fullmatch, words)):
        raise ValueError
    return tuple(dict.fromkeys(map(canonical_word, words)))


def read_resolution(value: object) -> tuple[int, ...] | Literal["all"]:
    """Read resolutions in metres, one, a list or text with commas, or ``all``.

    Raises
    ------
    ValueError
        Without a message: this is something else, or a resolution that no image has.
    """
    items = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(item, bool) or not isinstance(item, int | str) for item in items):
        raise ValueError
    words = [word.lower() for item in items for word in _split(str(item))]
    if words == ["all"]:
        return "all"
    metres = [int(found[1]) if (found := _METRES.fullmatch(word)) else 0 for word in words]
    if not set(metres) <= set(RESOLUTIONS):
        raise ValueError
    return tuple(dict.fromkeys(metres))


def read_members(value: object) -> tuple[str, ...]:
    """Read patterns, a list or text with commas; a pattern with a comma is possible in a list only.

    Raises
    ------
    ValueError
        This is something else, or a pattern that no path below the top folder can match.
    """
    patterns = tuple(dict.fromkeys(_words(value)))
    for pattern in patterns:
        if pattern.startswith(("/", "./", "../")) or "\\" in pattern:
            raise ValueError(f"expected a pattern for the path below the top folder, found {quote_value(pattern)}")
        if len(pattern) > _LONGEST_PATTERN or not pattern.isprintable():
            raise ValueError
    return patterns


def _words(value: object) -> list[str]:
    """Return the items of a list, or those of text with commas; without empty ones."""
    if isinstance(value, str):
        words = _split(value)
    elif isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        words = [stripped for item in value if (stripped := item.strip())]
    else:
        raise ValueError
    if len(words) > _MOST_WORDS:
        raise ValueError
    return words


def _split(text: str) -> list[str]:
    return [stripped for word in text.split(",") if (stripped := word.strip())]


def _read_switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004  (as the other readers)
    return value


_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "bands": read_bands,
    "resolution": read_resolution,
    "metadata_only": _read_switch,
    "members": read_members,
}
EXPECTED: Final = {
    "bands": "a list of bands such as B02, SCL, VV or Oa03",
    "resolution": "a list of resolutions of 10, 20 and 60, or all",
    "metadata_only": "true or false",
    "members": "a list of patterns such as *_B02_10m.jp2",
}
"""What is expected of each key, for messages."""


def _at(key: str, read: Callable[[object], Any], value: object) -> Any:
    try:
        return read(value)
    except ValueError as error:
        problem = str(error) or f"expected {EXPECTED[key]}, found {quote_value(value)}"
        raise ValueError(f"{key}: {problem}") from None
