"""Layouts: in which folder below the output folder a product's files lie, such as ``{platform}/{year}/{month}``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from collgs_async.errors import did_you_mean
from collgs_async.models.facts import facts_of
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.product_types import usual_collection

if TYPE_CHECKING:
    from collections.abc import Callable

    from collgs_async.models.facts import Facts
    from collgs_async.models.product import Product

__all__ = ["LAYOUT_WORDS", "Layout"]

_LONGEST: Final = 120
"""Letters of the name of a folder; file systems allow 255 bytes, and some limit the whole path."""

_DEEPEST: Final = 12
_WORD: Final = re.compile(r"\{([^{}]*)\}")
_LITERAL: Final = re.compile(r"[\w.\- ]*")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
_RESERVED: Final = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
"""Names that Windows keeps for devices."""

_TAKEN: Final = (".parts", ".zip", ".part", ".lease")
"""Endings of a product's own files and folders."""


def _collection(product: Product, facts: Facts) -> str | None:
    return product.collection or (usual_collection(facts.name) if facts.name else None)


def _baseline(facts: Facts) -> str | None:
    """Return the baseline as in the identifier: ``0511`` of Sentinel-2, ``004`` of Sentinel-3."""
    numbers = facts.name.baseline if facts.name else None
    if numbers is None:
        return None
    return f"{numbers[0]:03}" if len(numbers) == 1 else "".join(f"{number:02}" for number in numbers)


def _time(product: Product, facts: Facts, style: str) -> str | None:
    """Return a part of the sensing time: of the name, so that it is the same without the catalogue's entry."""
    start = (facts.name.start if facts.name else None) or product.sensing_start
    if start is None:
        return None
    return f"{start.year:04}" if style == "%Y" else start.strftime(style)


_VALUES: Final[dict[str, Callable[[Product, Facts], str | None]]] = {
    "collection": _collection,
    "platform": lambda _, facts: facts.platform,
    "year": lambda product, facts: _time(product, facts, "%Y"),
    "month": lambda product, facts: _time(product, facts, "%m"),
    "day": lambda product, facts: _time(product, facts, "%d"),
    "doy": lambda product, facts: _time(product, facts, "%j"),
    "tile": lambda _, facts: facts.tile,
    "orbit": lambda _, facts: None if facts.relative_orbit is None else f"{facts.relative_orbit:03}",
    "baseline": lambda _, facts: _baseline(facts),
    "type": lambda _, facts: facts.product_type,
    "level": lambda _, facts: facts.name.level if facts.name else None,
}

LAYOUT_WORDS: Final = tuple(_VALUES)
"""What may stand in braces."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Folders by the facts of a product, from its identifier, or else from the catalogue's entry.

    Parameters
    ----------
    template
        Names of folders with words in braces, such as ``{collection}/{platform}/{year}``; see `parse`.
    """

    template: str

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Validate a layout.

        Raises
        ------
        ValueError
            A word in braces is unknown, there is none, or a name is not a safe one; the message says which.
        """
        template = text.strip().removesuffix("/")
        for word in _WORD.findall(template):
            if word not in _VALUES:
                known = ", ".join(f"{{{one}}}" for one in LAYOUT_WORDS)
                near = did_you_mean(f"{{{word}}}", [f"{{{one}}}" for one in LAYOUT_WORDS])
                raise ValueError(f"expected words such as {known}, found {quote_value(f'{{{word}}}')}{near}")
        names = template.split("/")
        if not _WORD.search(template):
            raise ValueError(f"expected at least one word in braces such as {{year}}, found {quote_value(text)}")
        if len(names) > _DEEPEST:
            raise ValueError(f"expected at most {_DEEPEST} folders in each other, found {len(names)}")
        for name in names:
            if not _is_safe(_WORD.sub("0", name)):
                raise ValueError(
                    f"expected names of folders with letters, digits, dots and dashes, found {quote_value(name)}"
                )
        return cls(template)

    def folder(self, product: Product) -> str:
        """Return the folder of a product's files, relative to the output folder, with slashes; empty: that itself.

        A name with a value that is unknown is left out with its slash.
        """
        facts = facts_of(product)
        words = _WORD.findall(self.template)
        values = {word: _clean(_VALUES[word](product, facts) or "") for word in words}
        return "/".join(
            _named(_WORD.sub(lambda found: values[found[1]], name))
            for name in self.template.split("/")
            if all(values[word] for word in _WORD.findall(name))
        )

    def __str__(self) -> str:
        return self.template


def _is_safe(name: str) -> bool:
    """Whether a folder may have this name, on each system, and it is no name of the program's own."""
    if not name or not _LITERAL.fullmatch(name) or len(name) > _LONGEST:
        return False
    is_plain = name[0] not in ".- " and name[-1] not in ". "
    return is_plain and not _RESERVED.match(name) and not name.lower().endswith(_TAKEN)


def _clean(value: str) -> str:
    """Return a value as a part of a folder's name: it may come from a server, and be anything."""
    return _UNSAFE.sub("_", value.strip())[:_LONGEST].strip(".-")


def _named(name: str) -> str:
    """Return a folder's name that no system refuses, and that is none of a product's own files."""
    short = name[:_LONGEST].rstrip(".- ")
    ending = "_" if short.lower().endswith(_TAKEN) else ""
    return f"{'_' if _RESERVED.match(short) else ''}{short}{ending}"
