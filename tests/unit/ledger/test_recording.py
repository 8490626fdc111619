"""What an outcome changes in the ledger: state, file, history, and when a product is due again."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async import FileError, IntegrityError, NotAvailableError, Outcome, Product, Status, TransferError
from collgs_async.ledger.outcomes import OutcomeRecord, checked_file, is_below, outcome_record
from collgs_async.ledger.products import attempts_of, file_of, find_product, name_facts
from collgs_async.ledger.recording import record_outcome
from collgs_async.ledger.records import Event, FileRecord, ProductRecord, State
from collgs_async.ledger.times import from_ms, next_retry, to_ms
from collgs_async.models.product import ELSEWHERE, EXISTS
from collgs_async.storage.audit import CheckedFile
from collgs_async.storage.verify import Verdict

if TYPE_CHECKING:
    from pathlib import Path
    from sqlite3 import Connection

    from collgs_async import ProductError

ID = "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718"
NEWER = "S2A_MSIL2A_20210924T163021_N0500_R083_T15SYR_20230110T101010"
MINUTE = 60_000
FETCHED = OutcomeRecord(ID, Event.DOWNLOADED, 1000, path="x.zip", size=7, mtime=500, etag='"a"', how="crc", received=7)


def product(tables: Connection, identifier: str = ID) -> ProductRecord:
    found = find_product(tables, identifier)
    assert found is not None
    return found


def file(tables: Connection, identifier: str = ID) -> FileRecord:
    found = file_of(tables, product(tables, identifier).id)
    assert found is not None
    return found


def events(tables: Connection, identifier: str = ID) -> list[Event]:
    return [one.event for one in attempts_of(tables, product(tables, identifier).id)]


def record(tables: Connection, *records: OutcomeRecord, run: int | None = 1, now: int = 10**12) -> None:
    for one in records:
        record_outcome(tables, one, run=run, now=now)


def failed(kind: str, at: int = 1000) -> OutcomeRecord:
    return OutcomeRecord(ID, Event.FAILED, at, kind=kind, error="the store said no")


def test_a_downloaded_archive_is_held(tables: Connection) -> None:
    record(tables, failed("TransferError"), FETCHED)

    held = product(tables)
    assert (State.HELD, 0, None, None) == (held.state, held.tries, held.retry_at, held.error)
    assert FileRecord("x.zip", 7, 500, etag='"a"', fetched=1000, run=1, checked=1000, how="crc") == file(tables)
    assert [Event.FAILED, Event.DOWNLOADED] == events(tables)


def test_a_hook_is_due_for_what_a_run_with_one_has_fetched(tables: Connection) -> None:
    record_outcome(tables, FETCHED, run=1, now=2000, is_due=True)
    assert 0 == file(tables).told
    record_outcome(tables, replace(FETCHED, at=2000), run=1, now=2000)
    assert file(tables).told is None


def test_members_are_a_part_and_the_whole_replaces_them(tables: Connection) -> None:
    record(tables, replace(FETCHED, path="x.parts", size=None, mtime=None, members=3))
    assert (State.PART, 3) == (product(tables).state, file(tables).members)

    record(tables, FETCHED)
    assert (State.HELD, None) == (product(tables).state, file(tables).members)


def test_a_failure_is_due_again_after_a_growing_pause(tables: Connection) -> None:
    due = []
    for _ in range(8):
        record(tables, failed("TransferError", at=10**9))
        due.append(((product(tables).retry_at or 0) - 10**9) / MINUTE)

    assert [10, 40, 160, 640, 2560, 10080, 10080, 10080] == due
    assert (State.FAILED, 8, "TransferError: the store said no") == (
        product(tables).state,
        product(tables).tries,
        product(tables).error,
    )
    assert next_retry(10**9, 0) == 7 * 24 * 60 * MINUTE


def test_what_the_store_does_not_have_is_final_at_once_and_a_bad_archive_the_second_time(tables: Connection) -> None:
    record(tables, failed("NotAvailableError"))
    assert (State.FINAL, None) == (product(tables).state, product(tables).retry_at)
    record(tables, failed("IntegrityError"))
    assert State.FAILED is product(tables).state
    record(tables, failed("TransferError"), failed("IntegrityError"))
    assert State.FAILED is product(tables).state
    record(tables, failed("IntegrityError"))
    assert (State.FINAL, None) == (product(tables).state, product(tables).retry_at)


@pytest.mark.parametrize("state", [State.SUPERSEDED, State.WITHDRAWN, State.AGED, State.EXCLUDED, State.HELD])
def test_a_failure_changes_no_state_but_that_of_what_is_to_be_fetched(tables: Connection, state: State) -> None:
    record(tables, FETCHED)
    tables.execute("UPDATE product SET state = ?", (state,))
    record(tables, failed("NotAvailableError"))
    assert (state, 1) == (product(tables).state, product(tables).tries)
    record(tables, FETCHED)
    assert (state, 0) == (product(tables).state, product(tables).tries)


def test_an_archive_that_is_here_already_is_adopted_once(tables: Connection) -> None:
    found = OutcomeRecord(ID, Event.SKIPPED, 5000, path="x.zip", size=7, mtime=500)
    record(tables, found, found, replace(found, mtime=1900))
    assert (State.HELD, None, None) == (product(tables).state, file(tables).fetched, file(tables).checked)
    assert [Event.ADOPTED] == events(tables)

    record(tables, replace(found, mtime=9000))
    assert 9000 == file(tables).mtime
    record(tables, replace(found, path=None))
    assert ("x.zip", [Event.ADOPTED] * 2) == (file(tables).path, events(tables))


def test_a_recorded_archive_that_moved_keeps_what_is_known_of_it(tables: Connection) -> None:
    record(tables, FETCHED, OutcomeRecord(ID, Event.SKIPPED, 5000, path="2021/x.zip", size=7, mtime=500))
    assert ("2021/x.zip", 1000, '"a"') == (file(tables).path, file(tables).fetched, file(tables).etag)
    assert [Event.DOWNLOADED] == events(tables)


def test_an_archive_that_is_here_does_not_need_another_try(tables: Connection) -> None:
    record(tables, FETCHED)
    tables.execute("UPDATE product SET state = ?", (State.WANTED,))
    record(tables, failed("TransferError"), OutcomeRecord(ID, Event.SKIPPED, 2000, path="x.zip", size=7, mtime=500))
    assert (State.HELD, None) == (product(tables).state, product(tables).retry_at)


def test_a_bad_archive_is_wanted_until_it_is_fetched_or_found_right(tables: Connection) -> None:
    bad = OutcomeRecord(
        ID, Event.BAD, 2000, path="x.zip", size=7, mtime=500, how="crc", kind="IntegrityError", error="x"
    )
    skipped = OutcomeRecord(ID, Event.SKIPPED, 3000, path="x.zip", size=7, mtime=500)
    record(tables, FETCHED, bad, skipped)
    assert (State.WANTED, "IntegrityError: x") == (product(tables).state, file(tables).bad)

    record(tables, replace(bad, event=Event.CHECKED, kind=None, error=None, at=4000, sha256="ab" * 32))
    assert (State.HELD, None, 4000) == (product(tables).state, file(tables).bad, file(tables).checked)
    assert bytes([0xAB] * 32) == file(tables).sha256
    record(tables, replace(bad, at=5000), replace(FETCHED, at=6000))
    assert (State.HELD, None) == (product(tables).state, file(tables).bad)
    assert [Event.DOWNLOADED, Event.BAD, Event.CHECKED, Event.BAD, Event.DOWNLOADED] == events(tables)


@pytest.mark.parametrize("event", [Event.DOWNLOADED, Event.FAILED, Event.BAD, Event.CHECKED])
def test_what_is_handed_in_late_changes_only_the_history(tables: Connection, event: Event) -> None:
    record(tables, FETCHED)
    before = product(tables), file(tables)
    record(tables, replace(FETCHED, event=event, at=900, kind="IntegrityError", etag='"old"'))
    assert before == (product(tables), file(tables))
    assert [Event.DOWNLOADED, event] == events(tables)


def test_a_clock_that_was_set_back_hides_no_download(tables: Connection) -> None:
    record(tables, replace(FETCHED, at=9 * 10**11), replace(FETCHED, at=1000, size=8), now=9 * 10**11)
    assert 7 == file(tables).size
    record(tables, replace(FETCHED, at=2000, size=8), now=3000)
    assert (8, 2000) == (file(tables).size, file(tables).fetched)


def test_a_check_of_another_file_changes_nothing(tables: Connection) -> None:
    checked = OutcomeRecord(ID, Event.BAD, 2000, path="copy/x.zip", size=7, mtime=500, kind="IntegrityError")
    record(tables, replace(checked, identifier="notes"))
    assert find_product(tables, "notes") is None
    record(tables, FETCHED, checked)
    assert (State.HELD, None) == (product(tables).state, file(tables).bad)


def test_a_file_whose_name_was_changed_is_found_by_its_path(tables: Connection) -> None:
    name = f"_odd-{'0' * 32}"
    record(tables, replace(FETCHED, identifier="/odd", path=f"{name}.zip"))
    record(tables, OutcomeRecord(name, Event.CHECKED, 9000, path=f"{name}.zip", size=7, mtime=500, how="crc"))
    assert 9000 == file(tables, "/odd").checked
    assert find_product(tables, name) is None


def test_twenty_events_are_kept(tables: Connection) -> None:
    for at in range(50):
        record(tables, failed("TransferError", at=at))
    record(tables, replace(FETCHED, identifier="other"))
    kept = attempts_of(tables, product(tables).id)
    assert [*range(30, 50)] == [one.at for one in kept]
    assert [Event.DOWNLOADED] == events(tables, "other")


def test_an_outcome_of_the_future_is_of_now(tables: Connection) -> None:
    record(tables, replace(FETCHED, at=2**62), now=77)
    assert (77, 77) == (file(tables).fetched, product(tables).first_seen)


def test_names_tell_of_acquisition_and_edition() -> None:
    older, newer = name_facts(ID), name_facts(NEWER)
    assert older.acquisition == newer.acquisition
    assert older.edition is not None
    assert newer.edition is not None
    own = name_facts(ID.replace("N0301", "N9999")).edition
    assert own is not None
    assert own < older.edition < newer.edition
    assert to_ms(from_ms(older.start)) == older.start
    assert "2021-09-24 16:30:21+00:00" == str(from_ms(older.start))
    assert (None,) * 5 == name_facts("anything")
    assert from_ms(2**62) is None


@pytest.mark.parametrize(
    "identifier", ["", "\ud800", "a\0b", "'; DROP TABLE product; --", "x" * 100_000, "=1+1", "\x1b[2J", "../../etc"]
)
def test_any_identifier_is_kept(tables: Connection, identifier: str) -> None:
    record(tables, replace(FETCHED, identifier=identifier), replace(FETCHED, identifier=identifier, at=2000))
    assert 2000 == file(tables, identifier).fetched
    assert [Event.DOWNLOADED] * 2 == events(tables, identifier)


# ------------------------------------------------------------------------------------------------------ from outcomes


def of(outcome: Outcome, folder: Path) -> OutcomeRecord | None:
    return outcome_record(outcome, folder, at=1, how="crc")


def test_an_outcome_tells_of_its_file(tmp_path: Path) -> None:
    archive = tmp_path / "2021" / "x.zip"
    archive.parent.mkdir()
    archive.write_bytes(b"1234567")
    there = Product(ID, "https://h/x", collection="C")
    outcome = Outcome(there, Status.DOWNLOADED, archive, bytes=9, seconds=1.23456, attempts=2, etag='"e"', size=7)
    told = of(outcome, tmp_path)

    assert told == OutcomeRecord(
        *(ID, Event.DOWNLOADED, 1, "C", "2021/x.zip", 7, archive.stat().st_mtime_ns // 10**6, '"e"'),
        how="crc",
        received=9,
        seconds=1.235,
        requests=2,
    )
    elsewhere = of(outcome, tmp_path / "other")
    assert elsewhere is not None
    assert elsewhere.path is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotAvailableError("404 of https://me:secret@h/x"), "NotAvailableError"),
        (type("Inner", (TransferError,), {})("https://me:secret@h/x\n\x1b"), "TransferError"),
        (FileError("x" * 10_000), "FileError"),
    ],
)
def test_an_error_is_told_by_its_public_class_in_one_line(tmp_path: Path, error: ProductError, kind: str) -> None:
    told = of(Outcome(Product(ID, "https://h"), Status.FAILED, error=error), tmp_path)
    assert told is not None
    assert kind == told.kind
    assert told.error
    assert "secret" not in told.error
    assert told.error.isprintable()
    assert len(told.error) <= 500


def test_what_tells_nothing_of_a_product_is_left_out(tmp_path: Path) -> None:
    twin = Product(ID, "https://h", problem="another product has its name")
    assert of(Outcome(twin, Status.FAILED, error=NotAvailableError("x")), tmp_path) is None
    assert of(Outcome(Product(ID, "u"), Status.SKIPPED, reason=ELSEWHERE), tmp_path) is None
    assert of(Outcome(Product(ID, "u"), Status.SKIPPED, tmp_path / "gone.zip", reason=EXISTS), tmp_path) is not None


def test_checks_of_what_was_set_aside_or_lies_elsewhere_are_left_out(tmp_path: Path) -> None:
    def told(path: Path, found: Any = None) -> OutcomeRecord | None:
        return checked_file(CheckedFile(path, 7, 5 * 10**6, found or Verdict()), tmp_path, at=1, how="crc")

    assert told(tmp_path / ".collgs/old/x.zip") is None
    assert told(tmp_path.parent / "x.zip") is None
    right, bad = told(tmp_path / "a" / "x.zip"), told(tmp_path / "x.zip", IntegrityError("torn"))
    assert right == OutcomeRecord("x", Event.CHECKED, 1, path="a/x.zip", size=7, mtime=5, how="crc")
    assert bad is not None
    assert (Event.BAD, "IntegrityError", "torn") == (bad.event, bad.kind, bad.error)


# ---------------------------------------------------------------------------------------------------------- as lines


def test_a_line_is_read_back() -> None:
    full = replace(FETCHED, collection="Ü", sha256="ab" * 32, members=2, seconds=1.5, requests=3, kind="K", error="e\n")
    for one in (FETCHED, full, failed("TransferError")):
        line = one.to_line()
        assert one == OutcomeRecord.from_line(line)
        assert line.isascii()
        assert 1 == line.count(b"\n")


@given(
    st.dictionaries(
        st.sampled_from([*OutcomeRecord.__slots__, "x"]),
        st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists),
    )
)
def test_any_other_line_is_refused_or_harmless(values: dict[str, Any]) -> None:
    for event in ("DOWNLOADED", "FAILED", "BAD", values.get("event")):
        found = OutcomeRecord.from_line(json.dumps({"identifier": "X", "at": 1, **values, "event": event}).encode())
        if found is None:
            continue
        assert found.identifier
        assert 0 <= found.at < 2**63
        assert found.path is None or is_below(found.path)
        assert all(0 <= (number or 0) < 2**63 for number in (found.size, found.mtime, found.received, found.requests))


@given(st.lists(st.sampled_from([*string.printable, "..", "/", ".", "\0", "~"])).map("".join))
def test_a_path_stays_below_the_folder(path: str) -> None:
    import os.path

    if is_below(path):
        assert os.path.normpath(f"/a/b/{path}").startswith("/a/b/")
        assert not path.startswith("/")
