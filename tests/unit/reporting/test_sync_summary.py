"""The words of a run of ``sync``: what has changed, what is wrong, what is left."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from collgs_async.models.report import Report
from collgs_async.reporting.sync_summary import (
    SyncFacts,
    done_lines,
    found_lines,
    left_lines,
    revalidated_lines,
    trouble_lines,
)

QUIET = SyncFacts(requests=12)


def test_a_quiet_run_says_little() -> None:
    assert found_lines(QUIET) == ["The catalogue: nothing new (12 requests)."]
    assert done_lines(Report(), Path("mirror")) == ["Nothing to download."]
    assert trouble_lines(QUIET) == []
    assert left_lines(QUIET, 500) == []


def test_what_has_changed_is_counted_and_named() -> None:
    facts = SyncFacts(new=3, returned=["A"], absent=2, gone=[f"G{n}" for n in range(7)], aged=1, missing=1, requests=1)
    lines = found_lines(facts)
    assert lines[0] == "The catalogue: 3 new, 1 listed again, 2 absent, 7 gone, 1 too old by now (1 request)."
    assert lines[1:3] == ["Listed again:", "  A"]
    assert lines[3:10] == ["Gone:", "  G0", "  G1", "  G2", "  G3", "  G4", "  and 2 more"]
    assert lines[10:] == ["1 archive not here any more, or has another length: it is wanted again."]


def test_new_products_that_are_not_wanted_are_counted_as_such() -> None:
    assert found_lines(SyncFacts(new=9, unwanted=4, requests=2)) == [
        "The catalogue: 9 new, 4 of them not wanted (2 requests)."
    ]


def test_a_search_that_ended_early_has_not_found_nothing_new() -> None:
    assert found_lines(SyncFacts(is_broken=True)) == ["The catalogue: not listed to its end (0 requests)."]
    assert found_lines(SyncFacts(is_broken=True, new=2, requests=3)) == [
        "The catalogue: 2 new, and not listed to its end (3 requests)."
    ]


def test_what_the_store_has_replaced_is_counted() -> None:
    assert revalidated_lines(QUIET) == []
    assert revalidated_lines(SyncFacts(asked=1)) == ["The store: 1 archive asked about, none was replaced there."]
    facts = SyncFacts(asked=9, changed=6, replaced=2, same=1, unreplaced=1)
    assert revalidated_lines(facts) == [
        "The store: 9 archives asked about, 6 replaced there, 1 of the same bytes; 2 fetched and replaced here."
    ]
    (line,) = trouble_lines(facts)
    assert line.startswith("1 archive was replaced at the store and could not be replaced here: it stays as before")
    assert left_lines(facts, 500) == ["2 archives replaced at the store, still to be fetched by the next sync."]


def test_names_of_servers_cannot_write_on_the_terminal() -> None:
    lines = found_lines(SyncFacts(gone=["\x1b[2Jevil"]))
    assert all("\x1b" not in line for line in lines)


def test_each_reason_for_exit_code_1_is_told() -> None:
    facts = SyncFacts(
        lost=60,
        had=100,
        files_lost=30,
        files_had=90,
        twins=["T"],
        outside=2,
        waiting=1,
        final=4,
        due=datetime(2026, 11, 30, 12, 30, tzinfo=UTC),
    )
    told = "\n".join(trouble_lines(facts))
    assert "The catalogue lists 60 of 100 products no more." in told
    assert "30 of 90 archives of the ledger are not in the folder." in told
    assert "  T" in told
    assert "The catalogue counts 2 products that it lists at no time" in told
    assert "1 product failed, to be tried again, the next one from 2026-11-30 12:30 UTC on; collgs-async retry" in told
    assert "4 products failed for good" in told


def test_what_the_next_runs_have_to_do_is_told() -> None:
    facts = SyncFacts(unread=3, left=2)
    assert left_lines(facts, 500) == [
        (
            "Stopped at a limit: 500 requests a run (--max-requests); 3 spans of time were not listed yet, and the "
            "next run goes on."
        ),
        "2 wanted products not here yet.",
    ]
    old = left_lines(SyncFacts(oldest=datetime(2026, 9, 1, tzinfo=UTC)), 500)
    assert old == [
        (
            "Part of the catalogue was listed last on 2026-09-01, longer ago than --listing-cycle; run sync more "
            "often, or with a larger --max-requests."
        )
    ]


def test_what_was_not_listed_in_this_run_is_told() -> None:
    (line,) = left_lines(SyncFacts(rest=12, rest_since=datetime(2026, 9, 1, tzinfo=UTC)), 500)
    assert line.startswith("12 spans of time were not listed in this run (--max-requests), but since 2026-09-01;")


def test_a_catalogue_that_is_away_is_no_limit() -> None:
    assert left_lines(SyncFacts(unread=1, is_broken=True), 500) == []
