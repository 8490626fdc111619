"""Outcomes that other runs hand in: each is taken in once, whatever is torn, killed or hostile."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.ledger.ledger import Ledger
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.records import Event, RunRecord
from collgs_async.ledger.runs import latest_runs
from collgs_async.ledger.spool import LONGEST_LINE, SpoolWriter, is_spool_name, whole_lines
from collgs_async.ledger.taking_in import take_in_spool
from collgs_async.storage.lock import LockOwner
from tests.support.servers import files_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from sqlite3 import Connection

    from collgs_async.ledger.paths import LedgerPaths


def line(name: str, at: int = 1000) -> bytes:
    return OutcomeRecord(name, Event.FAILED, at, kind="TransferError", error="no").to_line()


def tries(connection: Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT identifier, tries FROM product ORDER BY id"))


def runs(connection: Connection) -> list[RunRecord]:
    return latest_runs(connection, 10)


@pytest.fixture
async def ledger(paths: LedgerPaths) -> AsyncIterator[Ledger]:
    async with Ledger.open(paths) as opened:
        yield opened


async def test_what_a_run_hands_in_is_taken_in_once(ledger: Ledger) -> None:
    writer = SpoolWriter(ledger.paths.spool, "download")
    writer.append(line("A", 2000) + line("B", 3000))

    assert 2 == await take_in_spool(ledger)
    assert 1 == len(files_in(ledger.paths.spool))  # its process is alive, and may append more
    assert is_spool_name(files_in(ledger.paths.spool)[0])
    writer.append(line("A", 4000))
    assert 1 == await take_in_spool(ledger)
    assert 0 == await take_in_spool(ledger)
    writer.close()
    writer.close()
    assert 0 == await take_in_spool(ledger)

    assert [] == files_in(ledger.paths.spool)
    assert {"A": 2, "B": 1} == await ledger.run(tries)
    (run,) = await ledger.run(runs)
    assert ("download", None) == (run.words, run.code)
    assert run.ended is not None
    assert run.ended >= run.begun


async def test_a_writer_whose_file_was_removed_makes_another(ledger: Ledger) -> None:
    writer = SpoolWriter(ledger.paths.spool, "download")
    writer.append(line("A"))
    (first,) = files_in(ledger.paths.spool)
    (ledger.paths.spool / first).unlink()
    writer.append(line("B"))
    assert first not in files_in(ledger.paths.spool)
    assert 1 == await take_in_spool(ledger)
    writer.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from collgs_async.ledger.outcomes import OutcomeRecord
from collgs_async.ledger.records import Event
from collgs_async.ledger.spool import SpoolWriter

writer = SpoolWriter(Path(sys.argv[1]), "download")
for number in range(int(sys.argv[3])):
    writer.append(OutcomeRecord(f"{sys.argv[2]}{number}", Event.FAILED, 1000, kind="K").to_line())
writer.append(b'{"identifier": "TORN", "event"')
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_two_processes_that_were_killed_leave_all_whole_lines(ledger: Ledger) -> None:
    command = [sys.executable, "-c", KILLED, str(ledger.paths.spool)]
    processes = [await asyncio.create_subprocess_exec(*command, name, "1500") for name in ("a", "b")]
    assert [-signal.SIGKILL] * 2 == [await process.wait() for process in processes]

    assert 3000 == await take_in_spool(ledger)
    assert [] == files_in(ledger.paths.spool)
    found = await ledger.run(tries)
    assert {f"{name}{number}": 1 for name in ("a", "b") for number in range(1500)} == found
    assert ["download", "download"] == [run.words for run in await ledger.run(runs)]


async def test_a_file_of_a_killed_writer_is_removed_though_it_was_taken_in_before(ledger: Ledger) -> None:
    """The ledger knows the outcomes, and the file is still there."""
    writer = SpoolWriter(ledger.paths.spool, "download")
    writer.append(line("A"))
    writer.close()
    (name,) = files_in(ledger.paths.spool)
    content = (ledger.paths.spool / name).read_bytes()
    assert 1 == await take_in_spool(ledger)
    (ledger.paths.spool / name).write_bytes(content)

    assert 0 == await take_in_spool(ledger)
    assert [] == files_in(ledger.paths.spool)
    assert {"A": 1} == await ledger.run(tries)
    await take_in_spool(ledger)
    assert [] == await ledger.run(lambda connection: connection.execute("SELECT name FROM spool").fetchall())


def file_of(spool: Path, content: bytes, number: int = 1) -> Path:
    path = spool / f"host-{number}-{'0' * 32}.jsonl"
    path.write_bytes(content)
    return path


async def test_hostile_files_do_no_harm(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    spool, owner = ledger.paths.spool, asdict(LockOwner.here())
    file_of(spool, b"\xff\x00\n" + b"[" * 100_000 + b"\n" + line("A") + b"null\n{}\n{'ended': 1}\n", 1)
    file_of(spool, json.dumps({"owner": owner, "words": ["\x1b"] * 100, "begun": -1}).encode() + b"\n" + line("B"), 2)
    file_of(spool, b"x" * 3 * LONGEST_LINE + b"\n" + line("C"), 3)
    file_of(spool, json.dumps({"owner": {"host": 1}, "begun": 2**70, "words": 3}).encode() + b"\n" + line("D"), 4)
    file_of(spool, b'{"ended": 99999999999999}\n', 5)
    (spool / f"link-1-{'0' * 32}.jsonl").symlink_to("/etc/passwd")
    os.mkfifo(spool / f"fifo-1-{'0' * 32}.jsonl")
    (spool / f"folder-1-{'0' * 32}.jsonl").mkdir()
    (spool / "notes.jsonl").write_bytes(line("E"))
    os.mkfifo(spool / "fifo")

    with caplog.at_level(logging.WARNING, "collgs_async"):
        assert 4 == await take_in_spool(ledger)
    assert {"A": 1, "B": 1, "C": 1, "D": 1} == await ledger.run(tries)
    told = [record.getMessage() for record in caplog.records]
    assert 3 == len(told)
    assert all("its outcomes are not in the ledger" in words and words.isprintable() for words in told)
    assert all(run.words.isprintable() for run in await ledger.run(runs))
    assert {"fifo", "notes.jsonl"} < {*files_in(spool)}
    caplog.clear()
    assert 0 == await take_in_spool(ledger)


async def test_a_file_of_another_host_is_removed_once_it_is_silent_for_long(ledger: Ledger) -> None:
    owner = {**asdict(LockOwner.here()), "host": "far away"}
    path = file_of(ledger.paths.spool, json.dumps({"owner": owner, "words": "download"}).encode() + b"\n" + line("A"))
    assert 1 == await take_in_spool(ledger)
    assert path.exists()
    os.utime(path, (1, 1))
    assert 0 == await take_in_spool(ledger)
    assert not path.exists()
    assert ["far"] == [run.host for run in await ledger.run(runs)]


async def test_a_spool_that_is_gone_holds_nothing(ledger: Ledger) -> None:
    ledger.paths.spool.rmdir()
    assert 0 == await take_in_spool(ledger)


def test_what_a_full_disk_has_cut_is_written_over(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, "download")
    writer.append(line("A"))
    (name,) = files_in(tmp_path)
    with (tmp_path / name).open("ab") as file:
        file.write(line("B")[:20])  # as a write that failed after so many bytes
    writer.append(line("B") + line("C"))
    writer.close()
    content = (tmp_path / name).read_bytes().splitlines()
    assert [line("A")[:-1], line("B")[:-1], line("C")[:-1]] == content[1:4]
    assert b'{"ended": ' == content[4][:10]


@given(st.lists(st.binary(max_size=40).filter(lambda text: b"\n" not in text), max_size=30), st.binary(max_size=30))
def test_lines_are_read_from_any_offset(lines: list[bytes], torn: bytes) -> None:
    content = b"".join(one + b"\n" for one in lines) + torn.replace(b"\n", b"")
    descriptor = os.memfd_create("lines")
    try:
        os.write(descriptor, content)
        offset = 0
        for number, (behind, one) in enumerate(whole_lines(descriptor, 0)):
            assert one == lines[number]
            assert content[offset:behind] == one + b"\n"
            assert [text for _, text in whole_lines(descriptor, behind)] == lines[number + 1 :]
            offset = behind
        assert torn.replace(b"\n", b"") == content[offset:]
    finally:
        os.close(descriptor)
