"""``--on-archive`` and ``--on-end``: what they get, that they end, and that nothing of them makes a run a failure."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import fault, level2_scenes
from tests.support.clocks import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Command, CommandHere, Ended

NOTE = """
import json, os, sys
known = {name: value for name, value in os.environ.items() if name.startswith("COLLGS_")}
entry = {"words": sys.argv[2:], "variables": known, "given": json.load(sys.stdin)}
with open(sys.argv[1], "a") as file:
    file.write(json.dumps(entry) + "\\n")
"""


def python(program: str, *words: object) -> str:
    return shlex.join([sys.executable, "-c", program, *map(str, words)])


def notes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def run(run_cli: CommandHere | Command, site: Any, *words: object, **environ: str) -> Ended:
    base = ("--collection", "S2_MSIL2A", "--base-url", site.server.url, "--output", site.folder)
    return await run_cli("download", *base, *words, **environ)


async def test_each_archive_and_the_end_are_told(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(scenes := level2_scenes(3))
    archives, ends = run_cli.folder / "archives", run_cli.folder / "ends"

    ended = await run(
        run_cli,
        site,
        "--on-archive",
        python(NOTE, archives),
        "--on-end",
        python(NOTE, ends),
        COLLGS_PASSWORD="hush7",
        COLLGS_USERNAME="ada",
    )

    assert ended.code == 0
    told = {note["given"]["id"]: note for note in notes(archives)}
    assert sorted(told) == sorted(scene.identifier for scene in scenes)
    for scene in scenes:
        note, path = told[scene.identifier], site.archive(scene)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert note["words"] == [str(path)]
        assert note["variables"] == {
            "COLLGS_ID": scene.identifier,
            "COLLGS_PATH": str(path),
            "COLLGS_SHA256": digest,
        }
        assert note["given"]["path"] == str(path)
        assert note["given"]["sha256"] == digest
        assert note["given"]["status"] == "downloaded"
        assert note["given"]["url"].startswith("http")
    (end,) = notes(ends)
    assert (end["words"], end["variables"]) == ([], {"COLLGS_EXIT": "0"})
    assert {"command": "download", "exit": 0, "downloaded": 3, "failed": 0}.items() <= end["given"].items()
    assert end["given"]["output"] == str(site.folder)


async def test_what_was_here_is_not_told(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(2))
    await site.pull()

    await run(run_cli, site, "--on-archive", python(NOTE, run_cli.folder / "archives"))

    assert notes(run_cli.folder / "archives") == []


async def test_members_are_told_by_their_folder(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(scenes := level2_scenes(1))

    await run(run_cli, site, "--members", "*_MSIL2A.xml", "--on-archive", python(NOTE, run_cli.folder / "archives"))

    (note,) = notes(run_cli.folder / "archives")
    assert note["words"] == [str(site.folder / f"{scenes[0].identifier}.parts")]
    assert "COLLGS_SHA256" not in note["variables"]
    assert note["given"]["sha256"] is None


async def test_odd_paths_arrive_as_they_are(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(scenes := level2_scenes(1))
    site.folder = site.folder.with_name("a 'b' \"c\"\nd; $(touch x)")

    await run(run_cli, site, "--on-archive", python(NOTE, run_cli.folder / "archives"))

    (note,) = notes(run_cli.folder / "archives")
    assert note["words"] == [str(site.archive(scenes[0]))]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import sys; print('no \\x1b[2J room'); sys.exit(7)", "--on-archive: exit code 7: no ?[2J room"),
        ("import os; os.kill(os.getpid(), 11)", "--on-archive: ended by SIGSEGV"),
        (None, "--on-archive: cannot be started: No such file or directory"),
    ],
)
async def test_a_hook_that_fails_is_a_warning(
    serve: Callable[..., Any], run_cli: CommandHere, program: str | None, words: str
) -> None:
    site = await serve(scenes := level2_scenes(1))
    command = python(program) if program else "/nowhere/notify --now"

    ended = await run(run_cli, site, "--on-archive", command, "--on-end", command)

    assert ended.code == 0
    assert f"warning: {scenes[0].identifier}: {words}" in ended.err
    assert f"warning: {words.replace('--on-archive', '--on-end')}" in ended.err
    assert "1 downloaded" in ended.err or "1 of 1" in ended.err or site.archive(scenes[0]).exists()


async def test_one_that_cannot_be_started_is_tried_once(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(6))

    ended = await run(run_cli, site, "--on-archive", "/nowhere/notify")

    assert ended.code == 0
    assert 1 <= ended.err.count("cannot be started") <= 2  # two run at once


async def test_what_a_hook_says_is_told_in_a_line(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(scenes := level2_scenes(1))

    loud = await run(run_cli, site, "--on-archive", python("print('one\\nqueued as 17\\n')"))

    assert f"{scenes[0].identifier}: --on-archive: queued as 17\n" in loud.err


@pytest.mark.parametrize(("name", "code"), [("missing", 1), (None, 3)])
async def test_the_end_of_a_run_that_is_not_complete(
    serve: Callable[..., Any], run_cli: CommandHere, name: str | None, code: int
) -> None:
    scenes = level2_scenes(2)
    site = await serve(scenes, faults={scenes[0].identifier: fault(name)} if name else {})
    limit = () if name else ("--max-bytes", "1k")

    ended = await run(run_cli, site, *limit, "--on-end", python(NOTE, run_cli.folder / "ends"))

    (end,) = notes(run_cli.folder / "ends")
    assert (ended.code, end["variables"]["COLLGS_EXIT"], end["given"]["exit"]) == (code, str(code), code)
    assert ("limit" in end["given"]) is (name is None)


async def test_a_run_that_is_ended_by_an_error_is_told(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))
    site.folder.parent.joinpath("archives").write_text("a file")

    wrong = await run(run_cli, site, "--on-end", python(NOTE, run_cli.folder / "ends"))

    assert wrong.code == 2  # wrong settings are no run
    assert notes(run_cli.folder / "ends") == []


async def test_no_hook_in_a_dry_run(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    site = await serve(level2_scenes(1))
    command = python(NOTE, run_cli.folder / "any")

    ended = await run(run_cli, site, "--dry-run", "--on-end", command, "--on-archive", command)

    assert ended.code == 0
    assert notes(run_cli.folder / "any") == []


SLOW = """
import os, sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(10_000)
"""


async def test_ctrl_c_ends_the_hooks_and_tells_the_end(serve: Callable[..., Any], command: Command) -> None:
    site = await serve(level2_scenes(3))
    pids, ends = command.folder / "pids", command.folder / "ends"
    words = ("--collection", "S2_MSIL2A", "--base-url", site.server.url, "--output", site.folder)
    hooks = ("--on-archive", python(SLOW, pids), "--on-end", python(NOTE, ends))
    process = await command.start("download", *words, *hooks)
    await until(
        lambda: len(list(site.folder.glob("*.zip"))) == 3 and pids.exists() and pids.read_text().count("\n") == 2
    )

    process.send_signal(signal.SIGINT)
    ended = await command.end(process)

    assert ended.code == 130
    assert "--on-archive is not run for 1 archive" in ended.err
    assert [end["variables"]["COLLGS_EXIT"] for end in notes(ends)] == ["130"]
    for pid in map(int, pids.read_text().split()):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_the_variables_of_a_hook_are_none_of_ours(serve: Callable[..., Any], run_cli: CommandHere) -> None:
    """A command may call this program again."""
    site = await serve(level2_scenes(1))

    ended = await run(run_cli, site, COLLGS_ID="x", COLLGS_PATH="/x", COLLGS_SHA256="0", COLLGS_EXIT="0")

    assert ended.code == 0
    assert "no such variable" not in ended.err
