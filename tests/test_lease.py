"""The lease: one fetcher at a time, whoever dies, stops, sleeps or lives elsewhere."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collgs_async import lease as room
from collgs_async.lease import BEAT, STALE, Holder, Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROCESSES = 8
HOLD = """
import sys
from pathlib import Path
from collgs_async.lease import Lease
print(Lease(Path(sys.argv[1])).take(), flush=True)
sys.stdin.read()
"""
RACE = """
import os, random, sys
from pathlib import Path
from collgs_async.lease import Lease
wins = 0
sys.stdin.readline()
for path in random.sample(sys.argv[1:], len(sys.argv) - 1):
    lease, marker = Lease(Path(path)), Path(path + ".marker")
    while not lease.take():
        os.sched_yield()
    marker.open("xb").close()
    os.sched_yield()
    assert lease.still_mine()
    marker.unlink()
    lease.release()
    wins += 1
print(wins, flush=True)
"""
CHARGE = """
import sys, time
from pathlib import Path
from collgs_async.lease import Lease
for line in sys.stdin:
    start, path = line.rstrip().split(" ", 1)
    lease = Lease(Path(path))
    while time.monotonic() < float(start):
        pass
    taken = lease.take()
    print(int(taken), int(lease.still_mine()), flush=True)
"""
HEX = st.text("0123456789abcdef", min_size=32, max_size=32)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
LOOKALIKE = st.fixed_dictionaries(
    {"host": JSON, "namespace": JSON, "pid": st.integers() | JSON, "started": JSON, "token": HEX | JSON}
)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "S2A.zip.part"


def plant(lease: Lease, content: bytes | Holder, age: float = 0) -> Holder | None:
    """Lay somebody else's lease in the way, with a heartbeat that is `age` seconds old."""
    lease.path.write_bytes(content if isinstance(content, bytes) else json.dumps(asdict(content)).encode())
    grow_old(lease.path, age)
    return content if isinstance(content, Holder) else None


def grow_old(path: Path, age: float) -> None:
    os.utime(path, (time.time() - age,) * 2)


def dead() -> Holder:
    """Describe a process of this machine that is gone: its number may be in use, its start never was."""
    return replace(Holder.here(), started="before everything")


def foreign() -> Holder:
    return replace(dead(), host="another machine")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def child(script: str, *arguments: Path | str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow, as if the disk had no room for a single byte."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextmanager
def holder_process(part: Path) -> Iterator[int]:
    with child(HOLD, part) as process:
        assert "True" == answer(process)
        yield process.pid


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def answer(process: subprocess.Popen[str]) -> str:
    return pipe(process.stdout).readline().strip()


def tell(process: subprocess.Popen[str], line: str) -> None:
    pipe(process.stdin).write(f"{line}\n")
    pipe(process.stdin).flush()


def test_free_lease_is_taken_held_and_leaves_nothing_behind(part: Path) -> None:
    lease = Lease(part)

    assert lease.take()
    assert lease.still_mine()
    assert ["S2A.zip.part.lease"] == files(part.parent)
    lease.release()
    assert not lease.still_mine()
    assert [] == files(part.parent)


def test_missing_folder_is_made(tmp_path: Path) -> None:
    assert Lease(tmp_path / "new" / "deep" / "S2A.zip.part").take()


def test_second_task_of_the_same_process_stays_out(part: Path) -> None:
    first, second = Lease(part), Lease(part)

    assert first.take()
    assert not second.take()
    assert not second.still_mine()
    second.release()
    assert first.still_mine()


def test_taking_twice_is_refused_and_keeps_the_lease(part: Path) -> None:
    lease = Lease(part)

    assert [True, False] == [lease.take(), lease.take()]
    assert lease.still_mine()


def test_released_lease_can_be_taken_again(part: Path) -> None:
    lease = Lease(part)

    for _ in range(3):
        assert lease.take()
        lease.release()
        lease.release()


def test_leases_of_two_products_do_not_touch_each_other(tmp_path: Path) -> None:
    assert Lease(tmp_path / "a.zip.part").take()
    assert Lease(tmp_path / "b.zip.part").take()


def test_living_process_keeps_others_out(part: Path) -> None:
    with holder_process(part):
        assert not Lease(part).take()


def test_killed_holder_is_stale_at_once_even_before_its_parent_looks(part: Path) -> None:
    with holder_process(part) as pid:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # a zombie still has a number and a start

        assert Lease(part).take()
    assert ["S2A.zip.part.lease"] == files(part.parent)


def test_killed_and_reaped_holder_is_stale_at_once(part: Path) -> None:
    with holder_process(part) as pid:
        os.kill(pid, signal.SIGKILL)

    assert Lease(part).take()


def test_stopped_holder_on_this_machine_keeps_its_lease_however_old_its_heartbeat(part: Path) -> None:
    with holder_process(part) as pid:
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        grow_old(Lease(part).path, 100 * STALE)

        assert not Lease(part).take()


def test_number_of_a_dead_process_that_is_used_again_is_not_taken_for_it(part: Path) -> None:
    lease = Lease(part)
    plant(lease, replace(Holder.here(), started="1"))

    assert lease.take()


@pytest.mark.parametrize(
    "holder",
    [
        foreign(),
        replace(dead(), namespace="pid:[1]"),
        replace(dead(), started=None),
        b"",
        b"\0" * 250,
        b'{"host": "torn',
        b"[]",
        b"[" * 4000,
    ],
    ids=["machine", "container", "unknown start", "empty", "zeros", "torn", "list", "deep"],
)
@pytest.mark.parametrize(
    ("age", "stale"), [(0, False), (STALE - 2 * BEAT, False), (STALE + BEAT, True), (-STALE - BEAT, True)]
)
def test_heartbeat_decides_for_a_holder_that_cannot_be_seen(
    part: Path, holder: Holder | bytes, age: float, stale: bool
) -> None:
    lease = Lease(part)
    plant(lease, holder, age)
    before = lease.path.read_bytes()

    assert stale == lease.take()
    assert stale == lease.still_mine()
    assert stale == (lease.path.read_bytes() != before)
    assert ["S2A.zip.part.lease"] == files(part.parent)


def test_renewing_lets_the_heart_beat(part: Path) -> None:
    lease = Lease(part)
    lease.take()
    grow_old(lease.path, 2 * STALE)

    lease.renew()

    assert BEAT > time.time() - lease.path.stat().st_mtime


def test_lease_that_was_taken_over_is_no_longer_mine_nor_mine_to_renew_or_release(part: Path) -> None:
    lease = Lease(part)
    lease.take()
    other = plant(lease, foreign(), STALE)
    beat = lease.path.stat().st_mtime_ns

    assert not lease.still_mine()
    lease.renew()
    lease.release()

    assert other == Holder.parse(lease.path.read_bytes())
    assert beat == lease.path.stat().st_mtime_ns


def test_sleeper_learns_that_another_process_took_over(part: Path) -> None:
    lease = Lease(part)
    lease.take()
    # As seen from elsewhere: the sleeper is on another machine and its heart does not beat.
    plant(lease, replace(Holder.here(), host="another machine"), 2 * STALE)

    with holder_process(part):
        assert not lease.still_mine()
        lease.release()
        assert not Lease(part).take()


def test_lease_that_somebody_removed_is_no_longer_mine(part: Path) -> None:
    lease = Lease(part)
    lease.take()
    lease.path.unlink()

    assert not lease.still_mine()
    lease.renew()
    lease.release()
    assert [] == files(part.parent)


@pytest.mark.parametrize("crashes", [1, 2])
def test_crash_in_the_middle_of_a_takeover_is_cleaned_up(part: Path, crashes: int) -> None:
    lease = Lease(part)
    for depth in range(crashes + 1):
        path = lease.path.with_name(lease.path.name + "~" * depth)
        path.write_text(json.dumps(asdict(replace(dead(), token=uuid.uuid4().hex))))

    assert lease.take()
    assert ["S2A.zip.part.lease"] == files(part.parent)


def test_stale_lease_is_left_to_the_living_process_that_is_replacing_it(part: Path) -> None:
    lease, rival = Lease(part), Lease(part)
    rival.path = lease.path.with_name(f"{lease.path.name}~")
    plant(lease, dead())
    plant(rival, Holder.here())

    assert not lease.take()
    assert ["S2A.zip.part.lease", "S2A.zip.part.lease~"] == files(part.parent)


def test_trouble_with_the_folder_goes_up(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        Lease(tmp_path / "file" / "S2A.zip.part").take()


@pytest.mark.parametrize("planted", [[], ["S2A.zip.part.lease"]], ids=["free", "stale"])
def test_full_disk_goes_up_and_leaves_no_torn_lease(part: Path, planted: list[str]) -> None:
    lease = Lease(part)
    for _ in planted:
        plant(lease, dead())

    with full_disk(), pytest.raises(OSError, match="too large"):
        lease.take()

    assert planted == files(part.parent)
    assert not lease.still_mine()


def test_full_disk_hinders_neither_a_refusal_nor_the_heartbeat_nor_the_release(part: Path) -> None:
    lease = Lease(part)
    lease.take()

    with full_disk():
        assert not Lease(part).take()
        lease.renew()
        assert lease.still_mine()
        lease.release()

    assert [] == files(part.parent)


def test_eight_processes_race_for_leases_and_never_share_one(tmp_path: Path) -> None:
    parts = [tmp_path / f"{number:03}.zip.part" for number in range(200)]
    for part in random.sample(parts, 100):
        plant(Lease(part), dead())

    with ExitStack() as stack:
        racers = [stack.enter_context(child(RACE, *parts)) for _ in range(PROCESSES)]
        for racer in racers:
            tell(racer, "go")

        assert [str(len(parts))] * PROCESSES == [answer(racer) for racer in racers]
    assert [] == files(tmp_path)


@pytest.mark.parametrize(("holder", "age"), [(dead, 0.0), (foreign, 2 * STALE)], ids=["gone here", "silent elsewhere"])
def test_takeover_race_has_exactly_one_winner(tmp_path: Path, holder: Callable[[], Holder], age: float) -> None:
    with ExitStack() as stack:
        takers = [stack.enter_context(child(CHARGE)) for _ in range(PROCESSES)]
        for number in range(100):
            lease = Lease(tmp_path / f"{number:03}.zip.part")
            plant(lease, holder(), age)
            start = time.monotonic() + 0.003
            for taker in takers:
                tell(taker, f"{start} {tmp_path / lease.path.stem}")
            answers = sorted(answer(taker) for taker in takers)
            assert ["0 0"] * (PROCESSES - 1) + ["1 1"] == answers
    assert [f"{number:03}.zip.part.lease" for number in range(100)] == files(tmp_path)


def test_this_process_is_alive_and_a_reaped_one_is_not() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    assert Holder.here().alive() is True
    assert replace(Holder.here(), pid=process.pid).alive() is False


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="there is no ps here")
def test_system_without_proc_asks_ps(part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_PROC", tmp_path / "no proc")
    room._place.cache_clear()
    try:
        with child("input()") as process:
            holder = replace(Holder.here(), pid=process.pid, started=room._started(process.pid))
            monkeypatch.setenv("TZ", "Pacific/Auckland")
            assert holder.alive() is True
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert holder.alive() is False
        assert holder.alive() is False
        assert [True, False] == [Lease(part).take(), Lease(part).take()]
    finally:
        room._place.cache_clear()


def test_process_that_hides_is_judged_by_its_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Holder.here()
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").touch()
    monkeypatch.setattr(room, "_PROC", tmp_path)

    assert holder.alive() is None


def test_holder_survives_the_way_to_the_disk_and_back() -> None:
    holder = Holder.here()

    assert holder == Holder.parse(holder.text())
    assert holder != Holder.here()


@given(st.binary() | (JSON | LOOKALIKE).map(lambda value: json.dumps(value).encode()))
@example(b"9" * 4096)
@example(json.dumps({**asdict(dead()), "pid": True}).encode())
@example(json.dumps({**asdict(dead()), "pid": 2**31}).encode())
@example(json.dumps({**asdict(dead()), "started": 0}).encode())
@example(json.dumps({**asdict(dead()), "token": "../../x"}).encode())
def test_anything_reads_as_nobody_or_as_somebody_whole(text: bytes) -> None:
    holder = Holder.parse(text)

    if holder is not None:
        assert {str} == {type(holder.host), type(holder.namespace), type(holder.token)}
        assert type(holder.started) in (str, type(None))
        assert type(holder.pid) is int
        assert 0 < holder.pid < 2**31
        assert 32 == len(holder.token)
        assert holder.alive() in (True, False, None)


@given(
    st.sampled_from(["host", "namespace", "pid", "started", "token"]), JSON.filter(lambda v: type(v) in (list, dict))
)
def test_lease_with_a_field_of_another_make_is_nobodys(field: str, value: object) -> None:
    assert Holder.parse(json.dumps({**asdict(dead()), field: value}).encode()) is None
