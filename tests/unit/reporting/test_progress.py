# ruff's SIM300 knows only the other order; here the expected value stands first
"""What a run shows while it goes on, read back from real pseudo-terminals."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import os
import re
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collgs_async.models.product import Outcome, Product, Status
from collgs_async.models.progress import SilentProgress
from collgs_async.models.text import (
    format_bytes,
    format_duration,
    format_rate,
    format_share,
    parse_duration,
    parse_rate,
)
from collgs_async.reporting.bars import TqdmProgress
from collgs_async.reporting.choice import choose_progress
from collgs_async.reporting.names import short_name
from collgs_async.reporting.plain import PlainProgress
from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import Iterator

S2 = "S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_20210924T211718"
S1 = "S1A_IW_GRDH_1SDV_20210929T053312_20210929T053337_039900_04B8C5_1F2B"
S3 = "S3A_OL_1_EFR____20210924T101200_20210924T101500_20210924T121212_0179_076_279_2160_LN1_O_NR_002"
MB = 10**6


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal:
    """A pseudo-terminal of a given width, and a model of what its screen shows."""

    def __init__(self, columns: int, lines: int = 24) -> None:
        self.columns = columns
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.file = os.fdopen(slave, "w", encoding="utf-8")
        self.rows = [""]
        self.row = self.column = self.widest = self.written = 0

    def close(self) -> None:
        self.file.close()
        os.close(self.master)

    def screen(self) -> list[str]:
        """Read all that was written so far; give the lines without trailing blanks."""
        self.file.write("\0")  # the kernel hands output on in its own time: read until this mark
        self.file.flush()
        data = b""
        while not data.endswith(b"\0"):
            data += os.read(self.master, 65536)
        self.written = len(data) - 1
        self._play(data[:-1].decode())
        return [row.rstrip() for row in self.rows]

    def _play(self, text: str) -> None:
        for token in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|.", text, re.DOTALL):
            if token == "\r":
                self.column = 0
            elif token == "\n":
                self.row += 1
                self.rows += [""] * (self.row + 1 - len(self.rows))
            elif token == "\x1b[A":
                self.row -= 1
            elif token == "\x1b[J":
                self.rows = [*self.rows[: self.row], self.rows[self.row][: self.column]]
            elif token == "\x1b[K":
                self.rows[self.row] = self.rows[self.row][: self.column]
            else:
                assert token.isprintable(), token
                row = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = row[: self.column] + token + row[self.column + 1 :]
                self.column += 1
                self.widest = max(self.widest, self.column)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[80, 200])
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    terminal = Terminal(request.param)
    yield terminal
    terminal.close()


def product(identifier: str) -> Product:
    return Product(identifier, "https://store.example/archive.zip")


def ended(identifier: str, status: Status = Status.DOWNLOADED) -> Outcome:
    return Outcome(product(identifier), status)


def total_line(progress: TqdmProgress, terminal: Terminal, clock: Clock) -> str:
    """Let time pass, so that the next event redraws, and read the last line."""
    clock.now += 0.2
    progress.expect(progress.expected or 0)
    return terminal.screen()[-1]


def squeeze(line: str) -> str:
    """Take a line without its bar and its padding."""
    return re.sub(r" +", " ", re.sub(r"\|[^|]*\|", "|", line))


# ---- bars ----


def test_a_slot_shows_name_percentage_bytes_and_rate(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.expect(4)
    progress.started(product(S2), have=40 * MB, size=400 * MB)
    clock.now += 2
    progress.advanced(product(S2), 60 * MB)
    clock.now += 2
    progress.advanced(product(S2), 60 * MB)
    slot, idle, total = terminal.screen()
    assert "S2A L2A 2021-09-24 T15SYR 40%| 160/400 MB 60.0 MB/s" == squeeze(slot)
    assert "" == idle
    assert "0/4 products 0.2/1.6 GB 10%| 60.0 MB/s 00:24 left" == squeeze(total)
    assert terminal.columns - 1 == terminal.widest
    progress.close()


def test_a_product_of_unknown_size_shows_bytes_and_rate_only(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S1), have=0, size=None)
    clock.now += 1
    progress.advanced(product(S1), 30 * MB)
    slot, total = terminal.screen()
    assert "S1A IW GRDH 2021-09-29 05:33 30.0 MB 30.0 MB/s" == squeeze(slot)
    assert "0 products  30.0 MB  30.0 MB/s" == total
    progress.close()


def test_a_try_that_starts_over_takes_slot_and_total_back(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.expect(1)
    progress.started(product(S2), have=0, size=100 * MB)
    progress.advanced(product(S2), 90 * MB)
    assert "90.0/100 MB" in total_line(progress, terminal, clock)
    progress.started(product(S2), have=10 * MB, size=100 * MB)
    assert "10.0/100 MB" in total_line(progress, terminal, clock)
    assert " 10%|" in terminal.screen()[0]
    assert "" == terminal.screen()[1]
    progress.close()


def test_bytes_that_came_twice_never_pass_the_end_of_the_bar(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.expect(1)
    progress.started(product(S2), have=0, size=100 * MB)
    progress.advanced(product(S2), 130 * MB)
    assert "100/100 MB 100%|" in squeeze(total_line(progress, terminal, clock))
    assert "100%| 100/100 MB" in squeeze(terminal.screen()[0])
    progress.close()


def test_checking_frees_the_slot_and_is_counted_below(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S2), have=0, size=100)
    progress.checking(product(S2))
    progress.started(product(S3), have=0, size=100)
    assert total_line(progress, terminal, clock).endswith("1 checking")
    assert terminal.screen()[0].startswith("S3A OL_1_EFR")
    progress.finished(ended(S2))
    assert "checking" not in total_line(progress, terminal, clock)
    progress.close()


def test_what_is_waited_for_is_shown_as_long_as_it_is(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.waiting("the store")
    assert total_line(progress, terminal, clock).endswith("waiting for the store")
    progress.waiting(None)
    assert "waiting" not in total_line(progress, terminal, clock)
    progress.close()


def test_a_bad_archive_that_starts_again_has_a_slot_again(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S2), have=0, size=100)
    progress.checking(product(S2))
    progress.started(product(S2), have=50, size=100)
    assert "checking" not in total_line(progress, terminal, clock)
    assert " 50%|" in terminal.screen()[0]
    progress.close()


def test_an_idle_slot_is_an_empty_line(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.started(product(S1), have=0, size=100)
    progress.started(product(S2), have=0, size=100)
    total_line(progress, terminal, clock)
    progress.finished(ended(S1))
    total_line(progress, terminal, clock)
    first, second, _ = terminal.screen()
    assert "" == first
    assert second.startswith("S2A L2A")
    progress.close()


def test_more_products_than_slots_count_and_wait_for_a_slot(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.expect(2)
    progress.started(product(S1), have=0, size=100 * MB)
    progress.started(product(S2), have=0, size=300 * MB)
    progress.advanced(product(S2), 100 * MB)
    assert "100/400 MB 25%|" in squeeze(total_line(progress, terminal, clock))
    assert terminal.screen()[0].startswith("S1A IW")
    progress.finished(ended(S1))
    total_line(progress, terminal, clock)
    assert terminal.screen()[0].startswith("S2A L2A")
    progress.close()


def test_the_total_is_guessed_from_the_known_sizes(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(4, file=terminal.file, clock=clock)
    progress.expect(10)
    assert "0/10 products  0 B  0 B/s" == total_line(progress, terminal, clock)
    progress.started(product("downloaded"), have=0, size=None)
    progress.advanced(product("downloaded"), 100 * MB)
    progress.finished(ended("downloaded"))
    progress.started(product("running"), have=0, size=300 * MB)
    progress.started(product("unsized"), have=0, size=None)
    for n in range(4):
        progress.finished(ended(f"skipped {n}", Status.SKIPPED))
    # 100 + 300 known, and 4 neither settled nor sized at 200 each.
    assert squeeze(total_line(progress, terminal, clock)).startswith("5/10 products 0.1/1.2 GB 8%|")
    progress.close()


def test_a_failure_is_counted_and_its_missing_bytes_are_not_expected(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.expect(2)
    progress.started(product(S1), have=0, size=100 * MB)
    progress.advanced(product(S1), 40 * MB)
    progress.finished(ended(S1, Status.FAILED))
    progress.started(product(S2), have=0, size=60 * MB)
    line = squeeze(total_line(progress, terminal, clock))
    assert line.startswith("1/2 products 40.0/100 MB 40%|")
    assert line.endswith(" 1 failed")
    progress.close()


def test_only_bytes_of_this_run_make_the_rate(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.expect(1)
    progress.started(product(S2), have=900 * MB, size=1000 * MB)
    progress.advanced(product(S2), 10 * MB)
    clock.now += 9.8
    assert "0.9/1.0 GB 91%| 1.0 MB/s 01:30 left" in squeeze(total_line(progress, terminal, clock))
    progress.close()


def test_a_redraw_comes_ten_times_a_second_at_most(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S2), have=0, size=100 * MB)
    terminal.screen()
    for _ in range(1000):
        progress.advanced(product(S2), 1000)
    terminal.screen()
    assert 0 == terminal.written
    clock.now += 0.11
    progress.advanced(product(S2), 1000)
    terminal.screen()
    assert 0 < terminal.written
    progress.close()


async def test_a_stalled_rate_falls_to_nothing_without_any_event(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S2), have=0, size=100 * MB)
    progress.advanced(product(S2), 10 * MB)
    progress.expect(1)
    assert " 10.0 MB/s" in total_line(progress, terminal, clock)
    clock.now += 16
    arrived = asyncio.Event()
    asyncio.get_running_loop().add_reader(terminal.master, arrived.set)
    await asyncio.wait_for(arrived.wait(), HANGS)
    asyncio.get_running_loop().remove_reader(terminal.master)
    slot, total = terminal.screen()
    assert slot.endswith("10.0/100 MB      0 B/s")
    assert total.endswith("| 0 B/s")
    progress.close()


async def test_no_redraw_comes_after_the_end(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.expect(1)
    progress.close()
    terminal.screen()
    clock.now += 1
    progress.finished(ended(S2))
    progress.close()
    terminal.screen()
    assert 0 == terminal.written
    assert progress._timer
    assert progress._timer.cancelled()


def test_nothing_is_left_on_the_screen_at_the_end(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(3, file=terminal.file, clock=clock)
    progress.expect(3)
    for identifier in (S1, S2, S3):
        progress.started(product(identifier), have=10, size=100)
    total_line(progress, terminal, clock)
    progress.close()
    assert [""] == terminal.screen()
    assert (0, 0) == (terminal.row, terminal.column)


def test_log_lines_stay_whole_above_the_bars(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.started(product(S1), have=10, size=100)
    progress.started(product(S2), have=10, size=100)
    total_line(progress, terminal, clock)
    before = terminal.screen()
    progress.write_line("WARNING the line was cut")
    progress.write_line("ERROR no such product")
    assert ["WARNING the line was cut", "ERROR no such product", *before] == terminal.screen()
    progress.close()
    progress.write_line("3 products")
    assert ["WARNING the line was cut", "ERROR no such product", "3 products"] == [
        line for line in terminal.screen() if line
    ]


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(columns: int, clock: Clock) -> None:
    terminal = Terminal(columns)
    progress = TqdmProgress(3, file=terminal.file, clock=clock)
    progress.expect(123_456)
    progress.started(product("{0}" + "x" * 300), have=123 * MB, size=12_345 * MB)
    progress.started(product(S1), have=0, size=None)
    progress.checking(product("checked"))
    for n in range(1000):
        progress.finished(ended(str(n), Status.FAILED))
    progress.advanced(product(S1), 12 * MB)
    assert total_line(progress, terminal, clock).startswith("1000/123456")
    assert terminal.widest < columns
    progress.close()
    terminal.close()


def test_a_narrower_terminal_is_noticed(clock: Clock) -> None:
    terminal = Terminal(200)
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    fcntl.ioctl(terminal.file.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    progress.started(product(S2), have=10, size=100)
    terminal.screen()
    assert 59 == terminal.widest
    progress.close()
    terminal.close()


def test_more_workers_than_lines_leave_the_total_in_sight(clock: Clock) -> None:
    terminal = Terminal(80, lines=8)
    progress = TqdmProgress(50, file=terminal.file, clock=clock)
    for n in range(50):
        progress.started(product(f"product {n}"), have=10, size=100)
    assert total_line(progress, terminal, clock).startswith("0/0 products")
    assert 6 == len(terminal.screen())
    progress.close()
    terminal.close()


def test_a_terminal_that_went_away_does_not_end_the_run(clock: Clock) -> None:
    terminal = Terminal(80)
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    os.close(terminal.master)
    for _ in range(3):
        clock.now += 1
        progress.finished(ended(S2))
    progress.write_line("the terminal is closed")
    progress.close()
    assert 3 == progress.settled
    with contextlib.suppress(OSError):
        terminal.file.close()


# ---- plain lines ----


def test_plain_lines_come_at_their_interval_and_once_at_the_end(clock: Clock) -> None:
    file = io.StringIO()
    progress = PlainProgress(file=file, interval=10, clock=clock)
    progress.expect(50)
    progress.started(product(S2), have=5 * MB, size=1000 * MB)
    for _ in range(25):
        clock.now += 1
        progress.advanced(product(S2), 20 * MB)
    progress.finished(ended(S2, Status.FAILED))
    progress.close()
    progress.close()
    assert [
        "00:00:10  0/50 products  200 MB  22.2 MB/s",
        "00:00:20  0/50 products  400 MB  20.0 MB/s",
        "00:00:25  1/50 products  500 MB  20.0 MB/s  1 failed",
    ] == file.getvalue().splitlines()


def test_a_plain_line_says_what_is_waited_for(clock: Clock) -> None:
    file = io.StringIO()
    progress = PlainProgress(file=file, interval=0, clock=clock)
    progress.waiting("the store and 3 on tape")
    progress.waiting(None)
    assert [
        "00:00:00  0 products  0 B  0 B/s  waiting for the store and 3 on tape",
        "00:00:00  0 products  0 B  0 B/s",
    ] == file.getvalue().splitlines()


def test_plain_progress_of_nothing_writes_nothing(clock: Clock) -> None:
    file = io.StringIO()
    progress = PlainProgress(file=file, clock=clock)
    progress.expect(0)
    progress.close()
    assert "" == file.getvalue()


def test_a_closed_pipe_does_not_end_the_run(clock: Clock) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as raw:
        progress = PlainProgress(file=io.TextIOWrapper(raw, write_through=True), interval=0, clock=clock)
        progress.finished(ended(S2))
        progress.close()
    assert 1 == progress.settled


# ---- the choice ----


def test_the_choice_follows_what_the_reader_has(terminal: Terminal) -> None:
    bars = choose_progress(2, file=terminal.file)
    assert isinstance(bars, TqdmProgress)
    bars.close()
    assert isinstance(choose_progress(2, file=io.StringIO()), PlainProgress)
    assert isinstance(choose_progress(2, quiet=True, file=terminal.file), SilentProgress)


def test_no_file_means_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    progress = choose_progress(2)
    progress.finished(ended(S2))
    progress.close()
    assert "1 products" in capsys.readouterr().err


def test_tqdm_is_imported_only_when_bars_are_drawn() -> None:
    script = (
        "import io, sys\n"
        "from collgs_async.reporting.choice import choose_progress\n"
        "choose_progress(4, file=io.StringIO()).close()\n"
        "print('tqdm' in sys.modules)\n"
    )
    assert "False\n" == subprocess.check_output([sys.executable, "-c", script], text=True)


# ---- names ----


@pytest.mark.parametrize(
    ("expected", "identifier"),
    [
        ("S2A L2A 2021-09-24 T15SYR", S2),
        ("S2A L2A 2021-09-24 T15SYR", f"{S2}.SAFE"),
        ("S1A IW GRDH 2021-09-29 05:33", S1),
        ("S1B IW SLC 2021-09-29 05:33", S1.replace("S1A_IW_GRDH", "S1B_IW_SLC_")),
        ("S3A OL_1_EFR 2021-09-24 10:12", S3),
        ("short", "short"),
        ("a" * 28, "a" * 28),
        ("aaaaaaaaaaaaaa…bbbbbbbbbbbbb", "a" * 20 + "b" * 20),
        ("a?[31mb", "a\x1b[31mb"),
    ],
)
def test_a_name_is_shortened_to_what_people_look_for(expected: str, identifier: str) -> None:
    assert expected == short_name(identifier)


@given(st.text(), st.integers(min_value=1, max_value=60))
def test_an_unknown_name_is_never_wider_than_asked(identifier: str, width: int) -> None:
    name = short_name(identifier, width)
    assert min(width, len(identifier)) == len(name)
    assert name.isprintable()


# ---- units ----


@pytest.mark.parametrize(
    ("expected", "amount"),
    [
        ("0 B", 0),
        ("12 B", 12),
        ("999 B", 999),
        ("1.0 kB", 1000),
        ("512 kB", 512_000),
        ("99.9 kB", 99_940),
        ("100 kB", 99_960),
        ("1.0 MB", 999_600),
        ("812 MB", 812_345_678),
        ("3.4 GB", 3.4e9),
        ("14.1 GB", 14.1e9),
        ("5000 EB", 5e21),
    ],
)
def test_bytes_are_written_with_three_digits(expected: str, amount: float) -> None:
    assert expected == format_bytes(amount)


@pytest.mark.parametrize(
    ("expected", "part", "whole"),
    [("3.4/14.1 GB", 3.4e9, 14.1e9), ("340/812 MB", 340e6, 812e6), ("0.0/14.1 GB", 12, 14.1e9), ("0/0 B", 0, 0)],
)
def test_a_share_is_written_in_the_unit_of_the_whole(expected: str, part: float, whole: float) -> None:
    assert expected == format_share(part, whole)


def test_a_rate_is_written_in_bytes_a_second() -> None:
    assert "85.3 MB/s" == format_rate(85_300_000)


@pytest.mark.parametrize(
    ("expected", "seconds"),
    [("00:00", 0), ("00:59", 59.9), ("02:05", 125), ("1:02:05", 3725), ("139:00:00", 139 * 3600)],
)
def test_a_duration_is_written_as_a_clock_would(expected: str, seconds: float) -> None:
    assert expected == format_duration(seconds)


@pytest.mark.parametrize(
    ("expected", "text"),
    [(1, "1"), (500_000, "500k"), (500_000, "500K"), (20e6, "20M"), (1.5e9, "1.5g"), (7, " 7 ")],
)
def test_a_rate_is_read_with_its_suffix(expected: float, text: str) -> None:
    assert expected == parse_rate(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [(0, "0"), (90, "90"), (1.5, "1.5"), (45, "45s"), (900, "15m"), (900, "15 min"), (7200, "2H"), (86400, " 1d ")],
)
def test_a_length_of_time_is_read_with_its_unit(expected: float, text: str) -> None:
    assert expected == parse_duration(text)


@pytest.mark.parametrize("text", ["", "-1", "15 minutes", "1h30", "1:30", "1e3", "inf", "nan", "9" * 400, "٣"])
def test_a_length_of_time_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected seconds, or a number with m, h or d such as 15m, found "):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "0", "0k", "-1", "20MB", "20 M", "1e6", "inf", "nan", "fast", "9" * 400, "٣"])
def test_a_rate_that_is_none_is_refused_with_an_example(text: str) -> None:
    message = f"expected bytes a second such as 500k, 20M or 1G, found {text!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_rate(text)
