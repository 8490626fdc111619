"""Packed entries behave like a tuple of them, and are found by name."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.models.product import Product
from collgs_async.selection.packed import Packed, Packer, by_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def parse(entry: Mapping[str, Any]) -> Product:
    return Product(entry["identifier"], None, size=entry["size"])


def packed(names: Iterable[str]) -> Packed[Product]:
    packer = Packer()
    for size, name in enumerate(names):
        packer.add(name, json.dumps({"identifier": name, "size": size}, indent=1 if size % 2 else None))
    return packer.packed(parse)


def plain(names: Iterable[str]) -> tuple[Product, ...]:
    return tuple(Product(name, None, size=size) for size, name in enumerate(names))


NAMES = [f"P{number * 7919 % 1000}é\n" for number in range(100)]


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 64, 100])
def test_they_are_those_that_were_added_in_order(count: int) -> None:
    entries, expected = packed(NAMES[:count]), plain(NAMES[:count])

    assert count == len(entries)
    assert list(expected) == list(entries) == [entries[at] for at in range(count)]
    assert entries == expected
    assert expected == entries
    assert entries == packed(NAMES[:count])
    assert entries != (*expected, Product("more", None))
    assert bool(entries) is bool(count)


def test_they_are_taken_from_both_ends_and_in_slices() -> None:
    entries, expected = packed(NAMES), plain(NAMES)

    assert expected[-1] == entries[-1]
    assert expected[5:70:3] == entries[5:70:3]
    assert expected[::-1] == tuple(reversed(entries)) == entries[::-1]
    assert expected[42] in entries
    assert 42 == entries.index(expected[42])
    with pytest.raises(IndexError):
        entries[100]
    assert entries != [*expected]
    assert entries != "x"


def test_they_are_pickled() -> None:
    assert plain(NAMES) == pickle.loads(pickle.dumps(packed(NAMES)))


def test_few_are_shown() -> None:
    assert "<100 entries: Product('P0é\\n'), Product('P919é\\n'), Product('P838é\\n'), …>" == repr(packed(NAMES))
    assert "<1 entries: Product('A')>" == repr(packed("A"))


@pytest.mark.parametrize("digest", [None, 0])
def test_they_are_found_by_name_also_where_digests_are_equal(
    monkeypatch: pytest.MonkeyPatch, digest: int | None
) -> None:
    if digest is not None:
        monkeypatch.setattr("collgs_async.selection.packed._key", lambda _: digest)
    found, expected = by_name(packed(NAMES)), by_name(plain(NAMES))

    assert dict(expected) == dict(found)
    assert list(expected) == list(found)
    assert "unknown" not in found
    assert found.get("unknown") is None
    assert packed(NAMES).twin() is None
    assert (100, 40, NAMES[40]) == packed([*NAMES, NAMES[40], NAMES[30]]).twin()
    assert (100, 40, NAMES[40]) == packed([*NAMES, NAMES[40], NAMES[40]]).twin()
    last = by_name(packed([*NAMES, NAMES[40]]))[NAMES[40]]
    assert by_name(plain([*NAMES, NAMES[40]]))[NAMES[40]] == last
