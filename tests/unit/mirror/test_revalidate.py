"""Which versions of an archive are different ones."""

from __future__ import annotations

import pytest

from collgs_async.ledger.change_records import Validators
from collgs_async.mirror.revalidate import Revalidation
from collgs_async.mirror.versions import differences

NOON = "Tue, 03 Nov 2026 12:00:00 GMT"
HERE = Validators(7, '"a"', NOON)


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        (HERE, HERE, []),
        (HERE, HERE._replace(size=8), ["length"]),
        (HERE, HERE._replace(etag='"b"'), ["ETag"]),
        (HERE, HERE._replace(modified="Tue, 03 Nov 2026 12:00:01 GMT"), ["Last-Modified"]),
        (HERE, Validators(8, '"b"', "never"), ["length", "ETag", "Last-Modified"]),
        (HERE, Validators(7), []),
        (Validators(7), HERE, []),
        (Validators(), HERE, []),
        (HERE, HERE._replace(etag='W/"a"'), []),
        (HERE._replace(etag='W/"a"'), HERE._replace(etag='W/"b"'), ["ETag"]),
        (HERE, HERE._replace(etag=""), []),
        (HERE, HERE._replace(modified="Tuesday, 03-Nov-26 12:00:00 GMT"), []),
        (HERE, HERE._replace(modified="Tue, 03 Nov 2026 13:00:00 +0100"), []),
        (HERE._replace(modified="x"), HERE._replace(modified="x"), []),
    ],
)
def test_what_both_sides_tell_is_compared(here: Validators, there: Validators, expected: list[str]) -> None:
    assert expected == differences(here, there)


def test_what_was_not_tried_to_an_end_is_left() -> None:
    assert 2 == Revalidation(asked=9, changed=7, replaced=2, same=1, failed=2).left
