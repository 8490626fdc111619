"""The lock: one fetcher at a time, also if its owner dies, stops, is suspended or runs on another machine."""

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

from collgs_async.storage import lock as lock_module
from collgs_async.storage.lock import HEARTBEAT, STALE_AFTER, LockOwner, ProductLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROCESSES = 8
HOLD = """
import sys
from pathlib import Path
from collgs_async.storage.lock import ProductLock
print(ProductLock(Path(sys.argv[1])).acquire(), flush=True)
sys.stdin.read()
"""
RACE = """
import os, random, sys
from pathlib import Path
from collgs_async.storage.lock import ProductLock
wins = 0
sys.stdin.readline()
for path in random.sample(sys.argv[1:], len(sys.argv) - 1):
    lock, marker = ProductLock(Path(path)), Path(path + ".marker")
    while not lock.acquire():
        os.sched_yield()
    marker.open("xb").close()
    os.sched_yield()
    assert lock.is_held()
    marker.unlink()
    lock.release()
    wins += 1
print(wins, flush=True)
"""
CHARGE = """
import sys, time
from pathlib import Path
from collgs_async.storage.lock import ProductLock
for line in sys.stdin:
    start, path = line.rstrip().split(" ", 1)
    lock = ProductLock(Path(path))
    while time.monotonic() < float(start):
        pass
    taken = lock.acquire()
    print(int(taken), int(lock.is_held()), flush=True)
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


def plant(lock: ProductLock, content: bytes | LockOwner, age: float = 0) -> LockOwner | None:
    """Write a lock file of another owner, with a heartbeat that is `age` seconds old."""
    lock.path.write_bytes(content if isinstance(content, bytes) else json.dumps(asdict(content)).encode())
    grow_old(lock.path, age)
    return content if isinstance(content, LockOwner) else None


def grow_old(path: Path, age: float) -> None:
    os.utime(path, (time.time() - age,) * 2)


def dead() -> LockOwner:
    """Describe a process of this machine that is gone: its number may be in use, its start never was."""
    return replace(LockOwner.here(), started="before everything")


def foreign() -> LockOwner:
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
def owner_process(part: Path) -> Iterator[int]:
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


def test_free_lock_is_taken_held_and_leaves_nothing_behind(part: Path) -> None:
    lock = ProductLock(part)

    assert lock.acquire()
    assert lock.is_held()
    assert ["S2A.zip.part.lease"] == files(part.parent)
    lock.release()
    assert not lock.is_held()
    assert [] == files(part.parent)


def test_missing_folder_is_made(tmp_path: Path) -> None:
    assert ProductLock(tmp_path / "new" / "deep" / "S2A.zip.part").acquire()


def test_second_task_of_the_same_process_stays_out(part: Path) -> None:
    first, second = ProductLock(part), ProductLock(part)

    assert first.acquire()
    assert not second.acquire()
    assert not second.is_held()
    second.release()
    assert first.is_held()


def test_taking_twice_is_refused_and_keeps_the_lock(part: Path) -> None:
    lock = ProductLock(part)

    assert [True, False] == [lock.acquire(), lock.acquire()]
    assert lock.is_held()


def test_released_lock_can_be_taken_again(part: Path) -> None:
    lock = ProductLock(part)

    for _ in range(3):
        assert lock.acquire()
        lock.release()
        lock.release()


def test_locks_of_two_products_do_not_touch_each_other(tmp_path: Path) -> None:
    assert ProductLock(tmp_path / "a.zip.part").acquire()
    assert ProductLock(tmp_path / "b.zip.part").acquire()


def test_living_process_keeps_others_out(part: Path) -> None:
    with owner_process(part):
        assert not ProductLock(part).acquire()


def test_killed_owner_is_stale_at_once_even_before_its_parent_looks(part: Path) -> None:
    with owner_process(part) as pid:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # a zombie still has a number and a start

        assert ProductLock(part).acquire()
    assert ["S2A.zip.part.lease"] == files(part.parent)


def test_killed_and_reaped_owner_is_stale_at_once(part: Path) -> None:
    with owner_process(part) as pid:
        os.kill(pid, signal.SIGKILL)

    assert ProductLock(part).acquire()


def test_stopped_owner_on_this_machine_keeps_its_lock_however_old_its_heartbeat(part: Path) -> None:
    with owner_process(part) as pid:
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        grow_old(ProductLock(part).path, 100 * STALE_AFTER)

        assert not ProductLock(part).acquire()


def test_number_of_a_dead_process_that_is_used_again_is_not_taken_for_it(part: Path) -> None:
    lock = ProductLock(part)
    plant(lock, replace(LockOwner.here(), started="1"))

    assert lock.acquire()


@pytest.mark.parametrize(
    "owner",
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
    ("age", "stale"),
    [
        (0, False),
        (STALE_AFTER - 2 * HEARTBEAT, False),
        (STALE_AFTER + HEARTBEAT, True),
        (-STALE_AFTER - HEARTBEAT, True),
    ],
)
def test_heartbeat_decides_for_an_owner_that_cannot_be_seen(
    part: Path, owner: LockOwner | bytes, age: float, stale: bool
) -> None:
    lock = ProductLock(part)
    plant(lock, owner, age)
    before = lock.path.read_bytes()

    assert stale == lock.acquire()
    assert stale == lock.is_held()
    assert stale == (lock.path.read_bytes() != before)
    assert ["S2A.zip.part.lease"] == files(part.parent)


def test_renewing_lets_the_heart_beat(part: Path) -> None:
    lock = ProductLock(part)
    lock.acquire()
    grow_old(lock.path, 2 * STALE_AFTER)

    lock.refresh()

    assert HEARTBEAT > time.time() - lock.path.stat().st_mtime


def test_lock_that_was_taken_over_is_no_longer_mine_nor_mine_to_renew_or_release(part: Path) -> None:
    lock = ProductLock(part)
    lock.acquire()
    other = plant(lock, foreign(), STALE_AFTER)
    beat = lock.path.stat().st_mtime_ns

    assert not lock.is_held()
    lock.refresh()
    lock.release()

    assert other == LockOwner.parse(lock.path.read_bytes())
    assert beat == lock.path.stat().st_mtime_ns


def test_sleeper_learns_that_another_process_took_over(part: Path) -> None:
    lock = ProductLock(part)
    lock.acquire()
    # As seen from elsewhere: the sleeper is on another machine and its heart does not beat.
    plant(lock, replace(LockOwner.here(), host="another machine"), 2 * STALE_AFTER)

    with owner_process(part):
        assert not lock.is_held()
        lock.release()
        assert not ProductLock(part).acquire()


def test_removed_lock_is_no_longer_held(part: Path) -> None:
    lock = ProductLock(part)
    lock.acquire()
    lock.path.unlink()

    assert not lock.is_held()
    lock.refresh()
    lock.release()
    assert [] == files(part.parent)


@pytest.mark.parametrize("crashes", [1, 2])
def test_crash_in_the_middle_of_a_takeover_is_cleaned_up(part: Path, crashes: int) -> None:
    lock = ProductLock(part)
    for depth in range(crashes + 1):
        path = lock.path.with_name(lock.path.name + "~" * depth)
        path.write_text(json.dumps(asdict(replace(dead(), token=uuid.uuid4().hex))))

    assert lock.acquire()
    assert ["S2A.zip.part.lease"] == files(part.parent)


def test_stale_lock_is_left_to_the_living_process_that_is_replacing_it(part: Path) -> None:
    lock, rival = ProductLock(part), ProductLock(part)
    rival.path = lock.path.with_name(f"{lock.path.name}~")
    plant(lock, dead())
    plant(rival, LockOwner.here())

    assert not lock.acquire()
    assert ["S2A.zip.part.lease", "S2A.zip.part.lease~"] == files(part.parent)


def test_trouble_with_the_folder_goes_up(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        ProductLock(tmp_path / "file" / "S2A.zip.part").acquire()


@pytest.mark.parametrize("deeper", [".", "deep"])
def test_folder_that_is_a_dangling_link_is_no_lock_that_is_held(tmp_path: Path, deeper: str) -> None:
    (tmp_path / "link").symlink_to("unmounted")

    with pytest.raises(NotADirectoryError, match="link"):
        ProductLock(tmp_path / "link" / deeper / "S2A.zip.part").acquire()
    assert not (tmp_path / "unmounted").exists()


@pytest.mark.parametrize("planted", [[], ["S2A.zip.part.lease"]], ids=["free", "stale"])
def test_full_disk_goes_up_and_leaves_no_torn_lock(part: Path, planted: list[str]) -> None:
    lock = ProductLock(part)
    for _ in planted:
        plant(lock, dead())

    with full_disk(), pytest.raises(OSError, match="too large"):
        lock.acquire()

    assert planted == files(part.parent)
    assert not lock.is_held()


def test_full_disk_hinders_neither_a_refusal_nor_the_heartbeat_nor_the_release(part: Path) -> None:
    lock = ProductLock(part)
    lock.acquire()

    with full_disk():
        assert not ProductLock(part).acquire()
        lock.refresh()
        assert lock.is_held()
        lock.release()

    assert [] == files(part.parent)


def test_eight_processes_race_for_locks_and_never_share_one(tmp_path: Path) -> None:
    parts = [tmp_path / f"{number:03}.zip.part" for number in range(200)]
    for part in random.sample(parts, 100):
        plant(ProductLock(part), dead())

    with ExitStack() as stack:
        racers = [stack.enter_context(child(RACE, *parts)) for _ in range(PROCESSES)]
        for racer in racers:
            tell(racer, "go")

        assert [str(len(parts))] * PROCESSES == [answer(racer) for racer in racers]
    assert [] == files(tmp_path)


@pytest.mark.parametrize(
    ("owner", "age"), [(dead, 0.0), (foreign, 2 * STALE_AFTER)], ids=["gone here", "silent elsewhere"]
)
def test_takeover_race_has_exactly_one_winner(tmp_path: Path, owner: Callable[[], LockOwner], age: float) -> None:
    with ExitStack() as stack:
        takers = [stack.enter_context(child(CHARGE)) for _ in range(PROCESSES)]
        for number in range(100):
            lock = ProductLock(tmp_path / f"{number:03}.zip.part")
            plant(lock, owner(), age)
            start = time.monotonic() + 0.003
            for taker in takers:
                tell(taker, f"{start} {tmp_path / lock.path.stem}")
            answers = sorted(answer(taker) for taker in takers)
            assert ["0 0"] * (PROCESSES - 1) + ["1 1"] == answers
    assert [f"{number:03}.zip.part.lease" for number in range(100)] == files(tmp_path)


def test_this_process_is_alive_and_a_reaped_one_is_not() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    assert LockOwner.here().alive() is True
    assert replace(LockOwner.here(), pid=process.pid).alive() is False


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="there is no ps here")
def test_system_without_proc_asks_ps(part: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "_PROC", tmp_path / "no proc")
    lock_module._place.cache_clear()
    try:
        with child("input()") as process:
            owner = replace(LockOwner.here(), pid=process.pid, started=lock_module._started(process.pid))
            monkeypatch.setenv("TZ", "Pacific/Auckland")
            assert owner.alive() is True
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert owner.alive() is False
        assert owner.alive() is False
        assert [True, False] == [ProductLock(part).acquire(), ProductLock(part).acquire()]
    finally:
        lock_module._place.cache_clear()


def test_process_that_hides_is_judged_by_its_heartbeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = LockOwner.here()
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").touch()
    monkeypatch.setattr(lock_module, "_PROC", tmp_path)

    assert owner.alive() is None


def test_owner_survives_the_way_to_the_disk_and_back() -> None:
    owner = LockOwner.here()

    assert owner == LockOwner.parse(owner.text())
    assert owner != LockOwner.here()


@given(st.binary() | (JSON | LOOKALIKE).map(lambda value: json.dumps(value).encode()))
@example(b"9" * 4096)
@example(json.dumps({**asdict(dead()), "pid": True}).encode())
@example(json.dumps({**asdict(dead()), "pid": 2**31}).encode())
@example(json.dumps({**asdict(dead()), "started": 0}).encode())
@example(json.dumps({**asdict(dead()), "token": "../../x"}).encode())
def test_any_bytes_parse_as_none_or_as_a_complete_owner(text: bytes) -> None:
    owner = LockOwner.parse(text)

    if owner is not None:
        assert {str} == {type(owner.host), type(owner.namespace), type(owner.token)}
        assert type(owner.started) in (str, type(None))
        assert type(owner.pid) is int
        assert 0 < owner.pid < 2**31
        assert 32 == len(owner.token)
        assert owner.alive() in (True, False, None)


@given(
    st.sampled_from(["host", "namespace", "pid", "started", "token"]), JSON.filter(lambda v: type(v) in (list, dict))
)
def test_lock_with_a_field_of_another_type_has_no_owner(field: str, value: object) -> None:
    assert LockOwner.parse(json.dumps({**asdict(dead()), field: value}).encode()) is None
