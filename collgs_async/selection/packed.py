"""A long list of a plan's entries, compressed: about 70 bytes each instead of some thousand."""

from __future__ import annotations

import hashlib
import json
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Packed", "Packer", "by_name"]

_ITEMS: Final = 32
"""Items of a block, which is unpacked as a whole."""

_LEVEL: Final = 1
"""Compression: higher levels take longer, and save little of what repeats in each line."""


class Named(Protocol):
    """What has a name."""

    @property
    def identifier(self) -> str:
        """Its name."""


T = TypeVar("T", bound=Named)
T_co = TypeVar("T_co", bound=Named, covariant=True)


class Packer:
    """Packs entries, one after the other."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._open: list[str] = []
        self._keys = array("Q")

    def add(self, identifier: str, text: str) -> None:
        """Add an entry by its JSON text, in which a line break can only be white space."""
        self._keys.append(_key(identifier))
        self._open.append(text.replace("\n", " "))
        if len(self._open) == _ITEMS:
            self._close()

    def _close(self) -> None:
        self._blocks.append(zlib.compress("\n".join(self._open).encode(), _LEVEL))
        self._open.clear()

    def packed(self, parse: Callable[[Mapping[str, Any]], T]) -> Packed[T]:
        """Return all entries added, which `parse` makes of what JSON has."""
        if self._open:
            self._close()
        return Packed(self._blocks, self._keys, parse)


class Packed(Sequence[T_co]):
    """Entries of a file, parsed anew whenever they are asked for; equal to a tuple of the same ones."""

    def __init__(self, blocks: Sequence[bytes], keys: array[int], parse: Callable[[Mapping[str, Any]], T_co]) -> None:
        self._blocks = tuple(blocks)
        self._keys = keys
        self._parse = parse
        self._last: tuple[int, list[str]] = (-1, [])
        self._order: array[int] | None = None

    def parsed_by(self, parse: Callable[[Mapping[str, Any]], T]) -> Packed[T]:
        """Return the same entries, of which something else is made."""
        return Packed(self._blocks, self._keys, parse)

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, index: int) -> T_co: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T_co, ...]: ...

    def __getitem__(self, index: int | slice) -> T_co | tuple[T_co, ...]:
        if isinstance(index, slice):
            return tuple(self[at] for at in range(len(self))[index])
        block, place = divmod(range(len(self))[index], _ITEMS)
        last = self._last
        if last[0] != block:
            last = self._last = block, self._texts(block)
        return self._parse(json.loads(last[1][place]))

    def __iter__(self) -> Iterator[T_co]:
        for block in range(len(self._blocks)):
            yield from map(self._parse, map(json.loads, self._texts(block)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Packed | tuple):
            return NotImplemented
        return len(self) == len(other) and all(one == another for one, another in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # it is equal to tuples, whose hash it does not have

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, islice(self, 3)))
        return f"<{len(self):,} entries: {shown}{', …' if len(self) > 3 else ''}>"

    def _texts(self, block: int) -> list[str]:
        return zlib.decompress(self._blocks[block]).decode().split("\n")

    def twin(self) -> tuple[int, int, str] | None:
        """Return the first index whose name an earlier entry has, that of the earlier one, and the name; None: none."""
        order, keys = self._sorted(), self._keys
        alike = {at for pair in pairwise(order) if keys[pair[0]] == keys[pair[1]] for at in pair}
        seen: dict[str, int] = {}
        for at in sorted(alike):
            name = self[at].identifier
            if (first := seen.setdefault(name, at)) != at:
                return at, first, name
        return None

    def find(self, identifier: str) -> T_co | None:
        """Return the last entry of this name; None: none has it."""
        order, keys, key = self._sorted(), self._keys, _key(identifier)
        found: T_co | None = None
        for place in range(bisect_left(order, key, key=keys.__getitem__), len(order)):
            if keys[order[place]] != key:
                break
            entry = self[order[place]]
            found = entry if entry.identifier == identifier else found
        return found

    def _sorted(self) -> array[int]:
        """Return the indices by key; those of equal keys in order."""
        if self._order is None:
            self._order = array("L", sorted(range(len(self)), key=self._keys.__getitem__))
        return self._order


class _ByName(Mapping[str, T]):
    """Packed entries by their names, in order."""

    def __init__(self, entries: Packed[T]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> T:
        found = self._entries.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (entry.identifier for entry in self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def by_name(entries: Sequence[T]) -> Mapping[str, T]:
    """Return entries by name, in order; packed ones stay packed. Of several of one name, the last one is found."""
    return _ByName(entries) if isinstance(entries, Packed) else {entry.identifier: entry for entry in entries}


def _key(identifier: str) -> int:
    """Return a digest of a name; where two are equal, the names decide."""
    name = identifier.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")
