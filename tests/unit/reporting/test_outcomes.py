"""The outcomes of a run: read anew by each iteration, and in a file where there are many."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async import NotAvailableError, Outcome, Product, Report, Status, StorageError
from collgs_async.reporting import outcomes as module
from collgs_async.reporting.outcomes import Outcomes


def outcome(number: int) -> Outcome:
    footprint = {"type": "Point", "coordinates": [number, 1]}
    product = Product(f"P{number}", f"https://h/{number}", footprint=footprint)
    return Outcome(product, Status.DOWNLOADED, Path(f"P{number}.zip"), number, 0.5, 1)


@given(st.integers(0, 350))
@settings(max_examples=20)
def test_all_of_them_come_in_order_as_often_as_one_likes(count: int) -> None:
    outcomes = Outcomes()
    for number in range(count):
        outcomes.add(outcome(number))

    one, other = iter(outcomes), iter(outcomes)
    pairs = list(zip(one, other, strict=True))  # two iterations at the same time

    assert [(outcome(number),) * 2 for number in range(count)] == pairs
    assert count == len(outcomes)
    assert tuple(outcomes) == pickle.loads(pickle.dumps(outcomes))
    assert (outcome(count - 1) in outcomes) == (count > 0)


def test_those_of_a_long_run_are_in_a_file_which_goes_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IN_MEMORY", 1000)
    outcomes = Outcomes()
    for number in range(5000):
        outcomes.add(outcome(number))

    file = outcomes._file
    assert file._rolled  # type: ignore[attr-defined]
    assert [outcome(4999)] == list(outcomes)[4999:]
    del outcomes
    gc.collect()
    assert file.closed


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_temporary_folder_does_not_stop_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115  (it is closed with the outcomes)
    monkeypatch.setattr(module, "SpooledTemporaryFile", lambda **_: full)
    outcomes = Outcomes()
    for number in range(250):
        outcomes.add(outcome(number))

    assert 250 == len(outcomes)
    with pytest.raises(StorageError, match="could not be kept in the temporary folder: No space left on device"):
        list(outcomes)


HOSTILE = "<script>alert(1)</script>\x1b[2J"


def test_outcomes_and_reports_are_shown_in_few_words_and_in_tables() -> None:
    failed = Outcome(Product(HOSTILE, None), Status.FAILED, error=NotAvailableError(HOSTILE))
    report = Report(1, 2, 12, 3_400_000_000, 100.4, failures=(failed,) * 12, left_out={"older baseline": 3})

    assert "Report(downloaded=1, skipped=2, failed=12, bytes=3400000000, seconds=100.4, ok=False)" == repr(report)
    assert repr(outcome(1)) == "Outcome('P1', status='downloaded', path='P1.zip', moved='1 B in 00:00', requests='1')"
    for shown in (report._repr_html_(), failed._repr_html_()):
        assert "<script" not in shown
        assert "\x1b" not in shown
        assert "&lt;script&gt;alert(1)&lt;/script&gt;?" in shown
    assert "… and 2 more" in report._repr_html_()
    assert "3 older baseline" in report._repr_html_()
    assert "3.4 GB in 01:40" in report._repr_html_()


def test_a_report_of_what_is_complete_says_no_more() -> None:
    shown: Any = Report(downloaded=1)._repr_html_()

    assert "1 product</caption>" in shown
    assert "None" not in shown
