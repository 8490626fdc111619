"""Which archives the store is asked about, in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from collgs_async.ledger.change_records import (
    Validators,
    archives_to_ask,
    begin_change,
    changes,
    end_change,
    note_asked,
    note_fetched,
    note_same,
    note_unchanged,
)
from collgs_async.ledger.listing_records import Listed, record_listed
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.products import attempts_of, file_of, product_id
from collgs_async.ledger.recording import record_outcome
from collgs_async.ledger.records import Event
from collgs_async.models.product import Product

if TYPE_CHECKING:
    from sqlite3 import Connection

    from collgs_async.ledger.change_records import Change, HeldArchive

THERE = Validators(9, '"new"', "Tue, 03 Nov 2026 00:00:00 GMT")
FETCHED = OutcomeRecord("A", Event.DOWNLOADED, 7000, path="A.zip", size=9, mtime=600, etag='"new"', how="crc")


def put(tables: Connection, name: str, at: int = 1000) -> None:
    """List a product, and download it."""
    product = Product(name, f"http://127.0.0.1/{name}.zip")
    record_listed(tables, 1, "S2_MSIL2A", [Listed(product, None)], now=1, run=None)
    record = replace(FETCHED, identifier=name, path=f"{name}.zip", size=7, etag='"old"', at=at)
    record_outcome(tables, record, run=1, now=at)


def asked(tables: Connection, most: int) -> list[str]:
    return [one.product.identifier for one in archives_to_ask(tables, 1, most)]


def held(tables: Connection, name: str) -> HeldArchive:
    return next(one for one in archives_to_ask(tables, 1, 100) if one.product.identifier == name)


def the_change(tables: Connection) -> Change:
    (change,) = changes(tables)
    return change


def test_those_asked_about_longest_ago_come_first_and_a_download_counts_as_an_answer(tables: Connection) -> None:
    for name, at in {"A": 3000, "B": 1000, "C": 2000}.items():
        put(tables, name, at)
    tables.execute("UPDATE file SET asked = NULL WHERE path = 'A.zip'")  # as one that was found here

    assert ["A", "B", "C"] == asked(tables, 10)
    note_asked(tables, [held(tables, "A").number], 4000)
    assert ["B", "C", "A"] == asked(tables, 10)
    assert ["B"] == asked(tables, 1)
    note_asked(tables, [held(tables, "B").number], None)
    assert ["B"] == asked(tables, 1)


def test_what_is_known_to_have_changed_comes_before_all_others(tables: Connection) -> None:
    for name, at in {"A": 1000, "B": 2000, "C": 3000}.items():
        put(tables, name, at)
    begin_change(tables, held(tables, "C"), THERE, now=5000)
    begin_change(tables, held(tables, "B"), THERE, now=6000)

    assert ["C", "B", "A"] == asked(tables, 3)
    assert ["C", "B"] == asked(tables, 1)
    note_unchanged(tables, [held(tables, "C").number], 7000)
    assert ["B", "A"] == asked(tables, 2)


@pytest.mark.parametrize(
    "words",
    [
        "UPDATE file SET path = NULL",
        "UPDATE file SET bad = 'IntegrityError'",
        "UPDATE file SET members = 2",
        "UPDATE file SET moving = 'elsewhere.zip'",
        "UPDATE product SET gone = 5",
        "UPDATE product SET absent = 5",
        "UPDATE product SET state = 1",
        "UPDATE entry SET url = NULL",
        "UPDATE listed SET watch = 2",
    ],
)
def test_only_whole_archives_that_are_here_and_listed_are_asked_about(tables: Connection, words: str) -> None:
    put(tables, "A")
    assert ["A"] == asked(tables, 1)
    tables.execute(words)
    assert [] == asked(tables, 1)


def test_a_change_becomes_a_download_of_its_product(tables: Connection) -> None:
    put(tables, "A")
    begin_change(tables, held(tables, "A"), THERE, now=5000, is_due=True)
    begun = the_change(tables)
    assert (THERE, 7, 600, None, None, False) == (begun.there, *begun[4:6], *begun[7:10])

    note_fetched(tables, begun._replace(record=FETCHED, aside=".collgs/old/replaced/2026-11/A.zip"))
    fetched = the_change(tables)
    assert (FETCHED, ".collgs/old/replaced/2026-11/A.zip") == (fetched.record, fetched.aside)
    assert [] == asked(tables, 5)

    end_change(tables, fetched, run=None, now=8000, why="the old archive was moved")
    number = product_id(tables, "A", now=1)
    file = file_of(tables, number)
    assert file is not None
    assert ("A.zip", 9, '"new"', 7000, 0) == (file.path, file.size, file.etag, file.fetched, file.told)
    events = attempts_of(tables, number)
    assert [Event.DOWNLOADED, Event.CHANGED, Event.DOWNLOADED] == [one.event for one in events]
    assert [] == changes(tables)


def test_of_the_same_bytes_only_the_validators_are_noted(tables: Connection) -> None:
    put(tables, "A")
    begin_change(tables, held(tables, "A"), THERE, now=5000)

    note_same(tables, the_change(tables), replace(FETCHED, modified="later"), now=6000)

    assert Validators(7, '"new"', "later") == held(tables, "A").here
    assert [] == changes(tables)


def test_a_change_is_obsolete_once_the_archive_was_fetched_otherwise(tables: Connection) -> None:
    put(tables, "A")
    begin_change(tables, held(tables, "A"), THERE, now=5000)
    record_outcome(tables, replace(FETCHED, at=6000), run=None, now=6000)

    assert the_change(tables).is_obsolete
