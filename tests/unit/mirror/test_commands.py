"""Commands of the user: whatever they do, they end, and nothing of them is waited for in vain."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from collgs_async.mirror.commands import child_environment, run_command
from tests.conftest import HANGS
from tests.support.clocks import until

if TYPE_CHECKING:
    from pathlib import Path

    from collgs_async.mirror.commands import CommandRun


def python(program: str) -> str:
    """Return a command that runs a program in Python."""
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


async def run(command: str, *arguments: str, given: bytes = b"", seconds: float = HANGS) -> CommandRun:
    return await run_command(command, arguments, given, os.environ, seconds=seconds)


@pytest.mark.parametrize(
    ("program", "problem", "line"),
    [
        ("pass", None, ""),
        ("print('one\\ntwo\\n')", None, "two"),
        ("import sys; print('bad', file=sys.stderr); sys.exit(3)", "exit code 3", "bad"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL", ""),
        ("print('\\x1b[31mred\\x07\\r\\n')", None, "?[31mred?"),
        ("print('10 %\\r100 %', end='')", None, "100 %"),
        (
            "import sys; sys.stdout.buffer.write(b'\\xff\\xfe' + bytes(3)); sys.exit(1)",
            "exit code 1",
            "\ufffd\ufffd???",
        ),
        ("print('x' * 10_000_000)", None, "x" * 200),
    ],
)
async def test_how_it_ended_and_what_it_said_last(program: str, problem: str | None, line: str) -> None:
    ended = await run(python(program))

    assert (ended.problem, ended.line) == (problem, line)


async def test_it_gets_words_as_they_are_without_a_shell(tmp_path: Path) -> None:
    odd = f"{tmp_path}/a 'b' \"c\"\n$(touch {tmp_path}/made); *.zip"

    ended = await run(f"{python('import sys; sys.exit(repr(sys.argv[1:]))')} 'two words' $HOME", odd)

    assert ended.line == repr(["two words", "$HOME", odd])[:200]
    assert not (tmp_path / "made").exists()


async def test_it_gets_its_input_and_need_not_read_it() -> None:
    given = b"x" * 10_000_000

    read = await run(python("import sys; print(len(sys.stdin.read()))"), given=given)
    ignored = await run(python("pass"), given=given)

    assert (read.line, ignored.problem) == ("10000000", None)


@pytest.mark.parametrize("command", ["/nowhere/at-all", "/", "/etc/passwd"])
async def test_one_that_cannot_be_started(command: str) -> None:
    ended = await run(command)

    assert not ended.started
    assert (ended.problem or "").startswith("cannot be started: ")


HANGS_WITH_A_CHILD = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1 if child else 2], "w").write(str(os.getpid()))
time.sleep(10_000)
"""


async def test_one_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    """Both ignore SIGTERM; one is the child of the other."""
    files = [tmp_path / "parent", tmp_path / "child"]
    running = asyncio.create_task(run(python(HANGS_WITH_A_CHILD), *map(str, files)))
    pids = [await written(file) for file in files]

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await gone(pids)


async def test_one_that_takes_too_long_is_ended() -> None:
    ended = await run(python("import time; print('begun', flush=True); time.sleep(10_000)"), seconds=3)

    assert (ended.problem, ended.started) == ("ended after 00:03, which is the limit", True)


LEAVES_A_CHILD = """
import os, time
print("parent ends", flush=True)
if not os.fork():
    time.sleep(10_000)
"""


async def test_a_child_that_stays_and_keeps_the_output_is_not_waited_for(tmp_path: Path) -> None:
    program = f"import os; open({str(tmp_path / 'group')!r}, 'w').write(str(os.getpgid(0)))\n{LEAVES_A_CHILD}"

    ended = await asyncio.wait_for(run(python(program)), HANGS)

    assert (ended.problem, ended.line) == (None, "parent ends")
    group = await written(tmp_path / "group")
    os.killpg(group, 0)  # it is left alone
    os.killpg(group, signal.SIGKILL)


async def test_one_that_writes_for_ever_is_ended() -> None:
    ended = await run(python("while True: print('again')"), seconds=2)

    assert ended.line == "again" or ended.line.startswith("agai")
    assert "limit" in (ended.problem or "")


def test_no_credentials_are_handed_on() -> None:
    ours = {
        "PATH": "/bin",
        "COLLGS_USERNAME": "ada",
        "COLLGS_PASSWORD": "secret",
        "COLLGS_PASSWORD_FILE": "/secret",
        "COLLGS_PROXY": "http://ada:secret@proxy:3128",
        "COLLGS_BASE_URL": "https://example.org",
    }

    given = child_environment(ours, {"COLLGS_ID": "S2A"})

    assert given == {"PATH": "/bin", "COLLGS_BASE_URL": "https://example.org", "COLLGS_ID": "S2A"}


def number_in(path: Path) -> int:
    """Return the number in a file; 0 while there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


async def written(path: Path) -> int:
    """Wait for a number in a file."""
    await until(lambda: number_in(path) > 0)
    return number_in(path)


async def gone(pids: list[int]) -> bool:
    """Wait until none of these processes runs."""
    await until(lambda: not any(map(runs, pids)))
    return True


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended, and that nothing has asked about yet, does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  (no path of ours)
            return file.read().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    except OSError:
        return False
