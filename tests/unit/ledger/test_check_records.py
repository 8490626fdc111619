"""Which archives are due for a check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collgs_async.ledger.check_records import bad_files, earlier_damage, oldest_files
from collgs_async.ledger.item_records import archives_without_item, note_item
from collgs_async.ledger.products import add_event, file_of, product_id
from collgs_async.ledger.records import AttemptRecord, Event, State
from collgs_async.ledger.stored_products import pack
from collgs_async.models.product import Product

if TYPE_CHECKING:
    from sqlite3 import Connection

S2 = "S2A_MSIL2A_20210924T103021_N0301_R108_T31UGR_20210924T132718"


def put(
    tables: Connection,
    name: str,
    size: int | None = 100,
    checked: int | None = None,
    state: State = State.HELD,
    **more: object,
) -> int:
    number = product_id(tables, name, now=1, collection="S2_MSIL2A", state=state)
    values = {"path": f"{name}.zip", "size": size, "mtime": 5, "checked": checked, **more}
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    tables.execute(f"INSERT INTO file(product, {names}) VALUES (?, {marks})", (number, *values.values()))
    return number


def names(tables: Connection, share: float | str) -> list[str]:
    return [file.identifier for file in oldest_files(tables, share)]


def test_those_never_checked_come_first_then_the_oldest(tables: Connection) -> None:
    for name, checked in {"A": 30, "B": None, "C": 10, "D": 20}.items():
        put(tables, name, checked=checked)

    assert ["B", "C", "D", "A"] == names(tables, "100%")
    assert ["B", "C"] == names(tables, "50%")
    assert ["B", "C"] == names(tables, 101)
    assert ["B"] == names(tables, 100)
    assert ["B"] == names(tables, "0.001%")
    assert ["B"] == names(tables, 1)


def test_a_share_is_one_of_bytes_and_goes_round(tables: Connection) -> None:
    sizes = {f"P{number:03}": 1 + number * 37 % 101 for number in range(100)}
    for name, size in sizes.items():
        put(tables, name, size)
    for now in range(2, 200):
        found = oldest_files(tables, "7%")
        nbytes = sum(file.size or 0 for file in found)
        assert sum(sizes.values()) * 0.07 <= nbytes < sum(sizes.values()) * 0.07 + 101
        for file in found:
            tables.execute("UPDATE file SET checked = ? WHERE product = ?", (now, file.product))
    (oldest,) = tables.execute("SELECT MIN(checked) FROM file").fetchone()
    assert oldest >= 199 - 16


def test_of_folders_with_members_a_share_of_the_number_is_checked(tables: Connection) -> None:
    for number in range(10):
        put(tables, f"T{number}", None, members=3, mtime=None, path=f"T{number}.parts")
    put(tables, "A")

    assert ["A", "T0", "T1"] == sorted(names(tables, "20%"))
    tables.execute("DELETE FROM file WHERE members IS NULL")
    assert 1 == len(names(tables, "1%"))
    assert 10 == len(names(tables, 5_000))


@pytest.mark.parametrize("path", [None, ".collgs/old/A.zip", "../A.zip", "/A.zip", "a/../../A.zip", ""])
def test_what_is_not_in_the_folder_is_never_read(tables: Connection, path: str | None) -> None:
    put(tables, "A", path=path)

    assert [] == names(tables, "100%")
    assert [] == archives_without_item(tables, 0, 10)


def test_an_empty_ledger_and_archives_without_a_length(tables: Connection) -> None:
    assert [] == names(tables, "100%")
    for name in "AB":
        put(tables, name, None)
    assert ["A"] == names(tables, "1%")


def test_the_bad_ones_that_are_due_are_repaired(tables: Connection) -> None:
    put(tables, "A", bad="x", state=State.WANTED)
    put(tables, "B", bad="x", state=State.SUPERSEDED)
    put(tables, "C", state=State.WANTED)
    put(tables, "D", bad="x", path=None, state=State.WANTED)
    for name, due in {"E": 50, "F": 51}.items():
        number = put(tables, name, bad="x", state=State.FAILED)
        tables.execute("UPDATE product SET retry_at = ? WHERE id = ?", (due, number))

    assert ["A", "E"] == [file.identifier for file in bad_files(tables, "S2_MSIL2A", 50)]
    assert [] == bad_files(tables, "S1_SAR_GRD", 50)


def test_earlier_damage_is_told_in_order(tables: Connection) -> None:
    number = put(tables, "A")
    for at, event, error in [(1, Event.BAD, "one"), (2, Event.DOWNLOADED, None), (3, Event.BAD, "two")]:
        add_event(tables, number, AttemptRecord(at, event, error=error))

    assert ["one", "two"] == earlier_damage(tables, number)


def test_an_archive_without_an_item_has_what_is_known_of_it(tables: Connection) -> None:
    first, second, third = (put(tables, name) for name in (S2, "B", "C"))
    product = Product(S2, "https://h/a.zip", "S2_MSIL2A", cloud_cover=3.0)
    tables.execute("INSERT INTO entry VALUES (?, ?, ?)", (first, product.url, pack(product)))
    tables.execute("INSERT INTO entry VALUES (?, ?, ?)", (second, None, b"damaged"))
    tables.execute("UPDATE file SET stac = 7 WHERE product = ?", (third,))

    one, two = archives_without_item(tables, 0, 10)

    assert (product, f"{S2}.zip", None) == (one.product, one.path, one.sha256)
    assert Product("B", None, "S2_MSIL2A") == two.product
    assert ["B"] == [one.product.identifier for one in archives_without_item(tables, first, 10)]
    assert 1 == len(archives_without_item(tables, 0, 1))
    note_item(tables, first, sha256="ab" * 32, now=9)
    note_item(tables, second, sha256=None, now=9)
    assert [] == archives_without_item(tables, 0, 10)
    known = file_of(tables, first)
    assert known is not None
    assert (9, b"\xab" * 32) == (known.stac, known.sha256)
