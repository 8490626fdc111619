"""Which edition of an acquisition is wanted, where its editions are listed in different runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from collgs_async import Product
from collgs_async.ledger.file_records import forget_missing
from collgs_async.ledger.listing_records import Listed, record_listed
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.products import find_product
from collgs_async.ledger.recording import record_outcome
from collgs_async.ledger.records import REMOVED, Event
from collgs_async.ledger.schema import create_schema
from collgs_async.mirror.editions import choose_newest, exclude_older
from collgs_async.models.shard import OTHER_SHARD

OLD = "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718"
NEW = "S2A_MSIL2A_20210924T163021_N0500_R083_T15SYR_20230110T101010"
GROUND = {"type": "Polygon", "coordinates": [[[5, 49], [6, 49], [6, 50], [5, 50], [5, 49]]]}


def test_one_that_was_removed_is_still_the_newest() -> None:
    with closing(sqlite3.connect(":memory:")) as tables:
        create_schema(tables)
        list_(tables, NEW, now=1)
        held = OutcomeRecord(NEW, Event.DOWNLOADED, 2, path=f"{NEW}.zip", size=7, mtime=500)
        record_outcome(tables, held, run=1, now=2)
        forget_missing(tables, [1], run=1, now=3, is_removed=True)

        (key,) = list_(tables, OLD, now=4)
        exclude_older(tables, 1, [key])
        again = choose_newest(tables, 1, [key])

        assert [wanted(tables, OLD), wanted(tables, NEW), again] == ["older baseline", REMOVED, []]


@pytest.mark.parametrize(("other", "mine", "left"), [(NEW, OLD, "older baseline"), (OLD, NEW, None)])
def test_one_of_another_shard_counts_and_is_never_wanted(other: str, mine: str, left: str | None) -> None:
    with closing(sqlite3.connect(":memory:")) as tables:
        create_schema(tables)
        list_(tables, mine, now=1)
        (key,) = list_(tables, other, now=2, unwanted=OTHER_SHARD)
        exclude_older(tables, 1, [key])
        assert [wanted(tables, mine), wanted(tables, other)] == [left, OTHER_SHARD]

        tables.execute("UPDATE product SET absent = 3, gone = 3 WHERE identifier = ?", (mine,))
        again = choose_newest(tables, 1, [key])

        assert [wanted(tables, other), again] == [OTHER_SHARD, []]


def list_(tables: sqlite3.Connection, name: str, *, now: int, unwanted: str | None = None) -> set[int]:
    """List a product, and return the acquisitions that this has changed."""
    product = Product(name, "http://localhost/a.zip", "S2_MSIL2A", footprint=GROUND)
    return record_listed(tables, 1, "S2_MSIL2A", [Listed(product, unwanted)], now=now, run=1).changed


def wanted(tables: sqlite3.Connection, name: str) -> str | None:
    found = find_product(tables, name)
    assert found is not None
    return found.wanted
