"""The values of a product: sensing times as datetimes, and the text that they came as."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.models.product import Outcome, Product, RawTimes, Status

NOON = datetime(2025, 6, 1, 12, 0, 0, 24_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2025-06-01T12:00:00.024Z", NOON),
        ("2025-06-01T14:00:00.024+02:00", NOON),
        ("2025-06-01T12:00:00.024", NOON),
        ("2025-06-01", datetime(2025, 6, 1, tzinfo=UTC)),
        *((written, None) for written in (None, "", "yesterday", "2025-13-01", "9999-12-31T23:59:59-23:59", "0")),
    ],
)
def test_sensing_times_are_aware_and_in_utc(written: str | None, read: datetime | None) -> None:
    product = Product("A", None, raw=RawTimes(written, written))

    assert (read, read) == (product.sensing_start, product.sensing_end)
    assert (written, written) == (product.raw.start, product.raw.end)
    assert read is None or product.sensing_start is None or product.sensing_start.tzinfo is UTC


@given(st.datetimes(), st.integers(-23 * 60, 23 * 60))
def test_every_time_with_an_offset_is_that_moment(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    found = Product("A", None, raw=RawTimes(aware.isoformat())).sensing_start

    assert found is None or (found == aware and found.utcoffset() == timedelta(0))
    assert found is not None or not 1 < aware.year < 9999


@given(st.text())
def test_no_text_is_an_error(written: str) -> None:
    assert isinstance(Product("A", None, raw=RawTimes(written)).sensing_start, datetime | None)


def test_a_row_for_a_table_has_datetimes_and_a_row_for_a_file_has_the_text() -> None:
    product = Product("A", None, "S2_MSIL2A", RawTimes("2025-06-01T14:00:00.024+02:00"), cloud_cover=3)

    row, record = product.to_dict(), product.to_record()

    assert ("A", NOON, None, 3) == (row["identifier"], row["sensing_start"], row["sensing_end"], row["cloud_cover"])
    assert ("2025-06-01T14:00:00.024+02:00", None) == (record["start"], record["end"])
    assert not {"raw"} & (row.keys() | record.keys())
    assert ["identifier", "url", "collection", "start", "end", "footprint"] == list(record)[:6]


def test_the_place_of_an_archive_is_its_path_or_its_url() -> None:
    product = Product("A", None)
    here = Outcome(product, Status.DOWNLOADED, Path("a/A.zip"))
    there = Outcome(product, Status.DOWNLOADED, place="s3://bucket/a/A.zip")

    assert ("a/A.zip", "s3://bucket/a/A.zip", None) == (here.place, there.place, Outcome(product, Status.FAILED).place)
    assert there.path is None
    assert [here, there] == pickle.loads(pickle.dumps([here, there]))
    assert "s3://bucket/a/A.zip" in repr(there)
    with pytest.raises(ValueError, match=r"^s3://bucket/a/A\.zip is in an object store"):
        there.checksum()
