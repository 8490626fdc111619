"""The demonstration, and the embedded catalogue for rehearsals: ``collgs-async demo``."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from collgs_async.demo.faults import FAULTS
from tests.conftest import HANGS, is_archive
from tests.support.commands import assert_clean_exit, files_below, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.conftest import Command, CommandHere, Ended

ARCHIVE_FAULTS = [name for name in FAULTS if not name.startswith("catalogue-") and name != "login"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files: what is left there is litter."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def demo(run_cli: CommandHere, temporary: Path) -> Callable[..., Awaitable[Ended]]:
    async def run(*words: object) -> Ended:
        return assert_clean_exit(await run_cli("demo", *words))

    return run


def only_entry(folder: Path) -> Path:
    (entry,) = folder.iterdir()
    return entry


async def test_demo_ends_well_and_tells_that_nothing_moved_the_second_time(command: Command, temporary: Path) -> None:
    ended = assert_clean_exit(await command("demo", "--products", 3, TMPDIR=str(temporary)))

    assert (0, "") == (ended.code, ended.out)
    listed = re.search(r"It lists 3 products, (.* MB) of archives, in 2 collections\.", ended.err)
    assert listed
    assert f"First run: 3 archives downloaded and verified, {listed[1]} in " in ended.err
    assert "Second run: 3 were already here; 0 B of archives moved" in ended.err
    named = re.search(r"The files are in (\S+)", ended.err)
    assert named is not None
    folder = only_entry(temporary)
    assert str(folder) == named[1]
    assert 3 == len(list(folder.iterdir())) == sum(map(is_archive, folder.iterdir()))
    assert [] == files_below(command.folder)


async def test_demo_into_a_named_folder_leaves_nothing_elsewhere(
    demo: Callable[..., Awaitable[Ended]], cwd: Path, temporary: Path
) -> None:
    ended = await demo("--products", 1, "--output", "mine")

    assert 0 == ended.code
    assert "It lists 1 product, " in ended.err
    assert "Second run: 1 was already here; " in ended.err
    assert "The files are in mine\n" in ended.err
    assert 1 == len(list((cwd / "mine").glob("*.zip"))) == len(list((cwd / "mine").iterdir()))
    assert [] == files_below(temporary)


async def test_demo_with_faults_shows_what_came_of_each(demo: Callable[..., Awaitable[Ended]], temporary: Path) -> None:
    ended = await demo("--products", 1, "--fault", "cut", "corrupt", "missing", "catalogue-html")

    came = dict(re.findall(r"^  (\S+) +(arrived whole|not had)  ", ended.err, re.M))
    assert 0 == ended.code
    expected = {"cut": "arrived whole", "corrupt": "arrived whole", "missing": "not had"}
    assert expected == came
    assert "Second run: 2 were already here" in ended.err
    folder = only_entry(temporary)
    assert 2 == len(list(folder.iterdir())) == sum(map(is_archive, folder.iterdir()))


async def test_demo_with_a_page_that_breaks_off_loses_nothing(demo: Callable[..., Awaitable[Ended]]) -> None:
    ended = await demo("--products", 3, "--fault", "catalogue-cut")

    assert 0 == ended.code
    assert "the search ended early" not in ended.err
    assert "First run: 3 archives downloaded and verified" in ended.err
    assert "Second run: 3 were already here; 0 B of archives moved" in ended.err


@pytest.mark.slow
async def test_demo_with_all_faults_shows_each_of_them(demo: Callable[..., Awaitable[Ended]], temporary: Path) -> None:
    ended = await demo("--fault", "all")

    came = dict(re.findall(r"^  (\S+) +(arrived whole|not had)  ", ended.err, re.M))
    assert 0 == ended.code
    assert {name: "arrived whole" if FAULTS[name].recoverable else "not had" for name in ARCHIVE_FAULTS} == came
    folder = only_entry(temporary)
    assert "arrived whole" in came.values()
    assert list(came.values()).count("arrived whole") == len(list(folder.iterdir()))
    assert all(map(is_archive, folder.iterdir()))


async def test_fault_list_names_each_of_them(demo: Callable[..., Awaitable[Ended]], temporary: Path) -> None:
    ended = await demo("--fault", "list")

    assert (0, "") == (ended.code, ended.err)
    assert list(FAULTS) == [line.split()[0] for line in ended.out.splitlines()]
    assert [] == files_below(temporary)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--fault", "nonsense"), "--fault: expected all, list or a fault .*, found 'nonsense'"),
        (("--fault", "stal"), "--fault: expected all, .*, found 'stal'; did you mean stall.?"),
        (("--fault", "list", "nonsense"), "--fault: expected all, list or a fault .*, found 'nonsense'"),
        (("--fault",), "--fault: expected at least one argument"),
        (("--products", "0"), '--products: expected a whole number from 1 to 100000, found "0"'),
        (("--products", "many"), '--products: expected a whole number .*, found "many"'),
        (("--history",), "--history: expected --serve and no --fault beside it"),
        (("--history", "--serve", "--fault", "cut"), "--history: expected --serve and no --fault beside it"),
        (
            ("--history", "--serve", "--constellation"),
            "--history: expected no --constellation beside it; it has scenes of its own",
        ),
        (("--day", "3"), "--day: expected --history beside it"),
        (
            ("--history", "--serve", "--day", "-1", "--products", "9"),
            '--day: expected a whole number from 0 to .*, found "-1"',
        ),
        (("--port", "70000"), '--port: expected a whole number from 0 to 65535, found "70000"'),
        (("--port", "-1"), '--port: expected a whole number from 0 to 65535, found "-1"'),
        (("--workers", "0"), '--workers: expected a whole number from 1 to 64, found "0"'),
    ],
)
async def test_wrong_words_are_one_clear_line_and_leave_nothing(
    demo: Callable[..., Awaitable[Ended]], cwd: Path, temporary: Path, words: tuple[str, ...], line: str
) -> None:
    ended = await demo(*words)

    assert (2, "") == (ended.code, ended.out)
    assert re.fullmatch(f"error: {line}\n", ended.err), ended.err
    assert [] == files_below(temporary) + files_below(cwd)


async def test_a_port_that_is_taken_is_one_clear_line(demo: Callable[..., Awaitable[Ended]], temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = await demo("--port", port)

    assert 2 == ended.code
    assert f"error: --port: cannot serve on {port}: Address already in use\n" == ended.err
    assert [] == files_below(temporary)


async def test_a_history_served_on_another_day_lists_others_and_has_the_same_archives(
    command: Command, run_cli: CommandHere, temporary: Path
) -> None:
    """As in a rehearsal: the server ends, and is started again for a later day."""
    words = "demo", "--serve", "--history", "--products", 40
    seen: list[set[str]] = []
    said: list[str] = []
    moved: list[int] = []
    for number in (150, 190):
        server = await command.start(*words, "--day", number, TMPDIR=str(temporary))
        assert server.stdout is not None
        (command.folder / "config.json").write_bytes(await server.stdout.readuntil(b"\n}\n"))
        assert_clean_exit(await run_cli("--report", "report.json"))
        report = json.loads((command.folder / "report.json").read_bytes())
        server.send_signal(signal.SIGINT)
        said.append((await command.end(server)).err)
        seen.append({product["id"] for product in report["products"]})
        moved.append(report["summary"]["skipped"])

    assert "This is day 150 of the history: 2023-05-31, 00:00 UTC.\n" in said[0]
    assert "This is day 190 of the history: 2023-07-10, 00:00 UTC.\n" in said[1]
    assert seen[1] - seen[0]
    assert [0, len(seen[0] & seen[1])] == moved


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_serve_prints_a_configuration_with_which_the_real_command_works(
    command: Command, run_cli: CommandHere, temporary: Path, number: signal.Signals, code: int
) -> None:
    server = await command.start("demo", "--serve", "--products", 6, TMPDIR=str(temporary))
    assert server.stdout is not None
    printed = await server.stdout.readuntil(b"\n}\n")
    (command.folder / "config.json").write_bytes(printed)

    ended = assert_clean_exit(await run_cli("--report", "report.json"))
    server.send_signal(number)
    async with asyncio.timeout(HANGS):
        served = assert_clean_exit(await command.end(server))

    report = json.loads((command.folder / "report.json").read_bytes())
    archives = list((command.folder / "downloads").iterdir())
    assert (0, code) == (ended.code, served.code)
    assert 0 < report["summary"]["downloaded"] == len(archives) == sum(map(is_archive, archives))
    assert "Ctrl-C ends it" in served.err
    assert [] == files_below(temporary)


async def test_a_fault_is_served_in_the_collection_of_the_printed_configuration(
    command: Command, run_cli: CommandHere, temporary: Path
) -> None:
    server = await command.start("demo", "--serve", "--fault", "missing", TMPDIR=str(temporary))
    assert server.stdout is not None
    (command.folder / "config.json").write_bytes(await server.stdout.readuntil(b"\n}\n"))

    ended = await run_cli()
    server.send_signal(signal.SIGINT)
    await command.end(server)

    assert 1 == ended.code
    assert "1 failed" in ended.err


async def test_ctrl_c_in_the_middle_of_the_demo_leaves_only_its_downloads(command: Command, temporary: Path) -> None:
    process = await command.start("demo", TMPDIR=str(temporary))
    await until(lambda: any(temporary.glob("collgs-demo-*/*.part")), process)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(HANGS):
        ended = assert_clean_exit(await command.end(process))

    folder = only_entry(temporary)
    assert 130 == ended.code
    assert folder.name.startswith("collgs-demo-")
    assert [] == [path.name for path in folder.iterdir() if not path.name.endswith((".zip", ".part", ".part.json"))]
    assert str(folder) in ended.err


async def test_a_demo_of_bands_takes_the_collections_that_have_them(run_cli: CommandHere) -> None:
    ended = await run_cli("demo", "--bands", "SCL,B02", "--products", 2, "-o", "files")

    assert 0 == ended.code
    assert "It lists 2 products" in ended.err
    assert "Pulling of each --bands SCL,B02 into files:" in ended.err
    assert re.search(r"First run: parts of 2 archives downloaded and verified, .* of .* \(\d+\.\d %\)", ended.err)
    assert "Second run: 2 were already here; 0 B of archives moved" in ended.err
    assert {".parts"} == {path.suffix for path in (run_cli.folder / "files").iterdir()}


@pytest.mark.parametrize(
    ("bands", "problem"),
    [("Oa03", "--bands: expected bands of S1_SAR_GRD, S2_MSIL1C, S2_MSIL2A"), ("B02,VV", "--bands: expected bands of")],
)
async def test_a_demo_of_bands_that_no_collection_has_is_refused(
    run_cli: CommandHere, bands: str, problem: str
) -> None:
    ended = await run_cli("demo", "--bands", bands)

    assert 2 == ended.code
    assert problem in ended.err
