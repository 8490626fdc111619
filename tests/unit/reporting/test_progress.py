"""What a run shows on a terminal while it goes on, read back from real pseudo-terminals."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collgs_async.models.product import Status
from collgs_async.models.progress import SilentProgress
from collgs_async.reporting.bars import TqdmProgress
from collgs_async.reporting.choice import choose_progress
from collgs_async.reporting.plain import PlainProgress
from tests.conftest import HANGS
from tests.support.clocks import Clock
from tests.support.products import MB, S1, S2, S3, ended, product
from tests.support.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=[80, 200])
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    terminal = Terminal(request.param)
    yield terminal
    terminal.close()


def drawn(progress: TqdmProgress, terminal: Terminal, clock: Clock) -> list[str]:
    """Let time pass, so that the next event redraws, and read the screen."""
    clock.now += 0.2
    progress.expect(progress.expected or 0)
    return terminal.screen()


def total_line(progress: TqdmProgress, terminal: Terminal, clock: Clock) -> str:
    return drawn(progress, terminal, clock)[-1]


def squeeze(line: str) -> str:
    """Take a line without its bar and its padding."""
    return re.sub(r" +", " ", re.sub(r"\|[^|]*\|", "|", line))


# ---- rows ----


def test_a_row_shows_name_percentage_bytes_and_rate(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.expect(4)
    progress.started(product(S2), have=40 * MB, size=400 * MB)
    clock.now += 2
    progress.advanced(product(S2), 60 * MB)
    clock.now += 2
    progress.advanced(product(S2), 60 * MB)
    row, total = terminal.screen()
    name = "S2A L2A 2021-09-24 T15SYR" if terminal.columns == 80 else S2
    assert f"{name} 40% | 160/400 MB 60.0 MB/s" == squeeze(row)
    assert "0/4 products 0.2/~1.6 GB 10% | 60.0 MB/s 00:04 ~00:24 left" == squeeze(total)
    progress.close()


@pytest.mark.parametrize(
    ("columns", "name"), [(40, "S1A IW GRDH…9-29 05:33"), (80, "S1A IW GRDH 2021-09-29 05:33"), (120, S1), (200, S1)]
)
def test_names_grow_with_the_width_and_bars_do_not(columns: int, name: str, clock: Clock) -> None:
    terminal = Terminal(columns)
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S1), have=50, size=100)
    row = drawn(progress, terminal, clock)[0]
    assert row.startswith(f"{name} ")
    assert (2 if columns >= 80 else 0) == row.count("|")
    assert columns < 80 or 10 == len(row.split("|")[1])
    progress.close()
    terminal.close()


def test_a_product_of_unknown_size_shows_bytes_and_rate_only(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product("S2_new"), have=0, size=None)
    clock.now += 1
    progress.advanced(product("S2_new"), 30 * MB)
    row, total = terminal.screen()
    assert "S2_new 30.0 MB 30.0 MB/s" == squeeze(row)
    assert "0 products  30.0 MB  30.0 MB/s  00:01" == total
    progress.close()


def test_a_try_that_starts_over_takes_row_and_total_back(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.expect(1)
    progress.started(product(S2), have=0, size=100 * MB)
    progress.advanced(product(S2), 90 * MB)
    assert "90.0/100 MB" in total_line(progress, terminal, clock)
    progress.started(product(S2), have=10 * MB, size=100 * MB)
    row, total = drawn(progress, terminal, clock)
    assert "10.0/100 MB" in total
    assert " 10% |" in row
    progress.close()


def test_bytes_that_came_twice_never_pass_the_end_of_the_bar(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.expect(1)
    progress.started(product(S2), have=0, size=100 * MB)
    progress.advanced(product(S2), 130 * MB)
    row, total = drawn(progress, terminal, clock)
    assert "100/100 MB 100% |" in squeeze(total)
    assert "100% | 100/100 MB" in squeeze(row)
    progress.close()


def test_verifying_shows_in_the_row(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S2), have=0, size=100)
    progress.advanced(product(S2), 100)
    progress.checking(product(S2))
    progress.started(product("next"), have=0, size=100)
    first, second, _ = drawn(progress, terminal, clock)
    assert first.endswith("100/100 B  verifying")
    assert second.startswith("next ")
    progress.started(product(S2), have=50, size=100)  # it was damaged, and goes on
    assert " 50% |" in drawn(progress, terminal, clock)[0]
    progress.close()


def test_what_a_product_waits_for_shows_in_its_row(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.started(product(S2), have=40, size=100)
    progress.delayed(product(S2), "HTTP 503: busy", seconds=65)
    progress.delayed(product("S9"), "on tape")
    first, second, _ = drawn(progress, terminal, clock)
    assert first.endswith("  40%  HTTP 503: busy; again in 01:05")
    assert re.fullmatch(r"S9 +on tape", second)
    assert {"brown"} == terminal.colours(1) - {"default"}
    progress.started(product(S2), have=40, size=100)
    progress.delayed(product("S9"), None)
    first, second, _ = drawn(progress, terminal, clock)
    assert first.endswith("0 B/s")
    assert second.endswith("0 B/s")
    progress.close()


def test_the_words_of_a_server_cannot_move_the_cursor_or_break_the_line(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.delayed(product("\x1b[2J" + "漢字" * 100), "\r\n\x1b[1A" + "忙" * 200, seconds=5)
    row, total = drawn(progress, terminal, clock)
    assert row.startswith("?[2J漢")
    assert row.endswith(("忙 …; again in 5 s", "忙…; again in 5 s"))
    assert total.startswith("0/0 products")
    progress.close()


def test_a_row_stays_where_it_is_while_more_products_are_expected(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.expect(9)
    progress.started(product("first"), have=0, size=100)
    progress.started(product("second"), have=0, size=100)
    drawn(progress, terminal, clock)
    progress.finished(ended("first"))
    first, second, _ = drawn(progress, terminal, clock)
    assert "" == first
    assert second.startswith("second")
    progress.started(product("third"), have=0, size=100)
    assert drawn(progress, terminal, clock)[0].startswith("third")
    progress.close()


def test_rows_that_are_no_longer_needed_go(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.expect(2)
    progress.started(product("first"), have=0, size=100)
    progress.started(product("second"), have=0, size=100)
    assert 3 == len(drawn(progress, terminal, clock))
    progress.finished(ended("first"))
    assert 2 == len(drawn(progress, terminal, clock))
    progress.close()


def test_products_that_wait_have_a_row_only_where_one_is_left(clock: Clock) -> None:
    terminal = Terminal(80, lines=6)
    progress = TqdmProgress(4, file=terminal.file, clock=clock)
    for n in range(100):
        progress.delayed(product(f"wait {n}"), "on tape")
    for n in range(3):
        progress.started(product(f"run {n}"), have=0, size=100)
    *rows, total = drawn(progress, terminal, clock)
    assert ["run 0", "run 1", "run 2", "wait 0"] == sorted(row[:6].strip() for row in rows)
    assert total.endswith("and 99 more")
    progress.close()
    terminal.close()


# ---- the last line ----


def test_what_is_waited_for_is_shown_as_long_as_it_is(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.waiting("the store")
    assert total_line(progress, terminal, clock).endswith("waiting for the store")
    progress.waiting(None)
    assert "waiting" not in total_line(progress, terminal, clock)
    progress.close()


def test_the_total_is_guessed_from_the_known_sizes(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(4, file=terminal.file, clock=clock)
    progress.expect(10)
    assert "0/10 products  0 B  0 B/s  00:00" == total_line(progress, terminal, clock)
    progress.started(product("downloaded"), have=0, size=None)
    progress.advanced(product("downloaded"), 100 * MB)
    progress.finished(ended("downloaded"))
    progress.started(product("running"), have=0, size=300 * MB)
    progress.started(product("unsized"), have=0, size=None)
    for n in range(4):
        progress.finished(ended(f"skipped {n}", Status.SKIPPED))
    # 100 + 300 known, and 4 neither settled nor sized at 200 each.
    assert squeeze(total_line(progress, terminal, clock)).startswith("5/10 products 0.1/~1.2 GB 8% |")
    progress.close()


def test_a_total_of_known_sizes_is_no_estimate(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.expect(2)
    progress.started(product("a"), have=0, size=100 * MB)
    assert "0/~200 MB" in total_line(progress, terminal, clock)
    progress.started(product("b"), have=0, size=300 * MB)
    assert "0/400 MB" in total_line(progress, terminal, clock)
    progress.close()


def test_a_failure_is_counted_and_its_missing_bytes_are_not_expected(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.expect(2)
    progress.started(product(S1), have=0, size=100 * MB)
    progress.advanced(product(S1), 40 * MB)
    progress.finished(ended(S1, Status.FAILED))
    progress.started(product(S2), have=0, size=60 * MB)
    line = squeeze(total_line(progress, terminal, clock))
    assert line.startswith("1/2 products 40.0/100 MB 40%")
    assert line.endswith(" 1 failed")
    assert {"red"} == terminal.colours(1) - {"default"}
    progress.close()


def test_only_bytes_of_this_run_make_the_rate(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.expect(1)
    progress.started(product(S2), have=900 * MB, size=1000 * MB)
    progress.advanced(product(S2), 10 * MB)
    clock.now += 9.8
    assert "0.9/1.0 GB 91% | 1.0 MB/s 00:10 ~01:30 left" in squeeze(total_line(progress, terminal, clock))
    progress.close()


async def test_a_pause_counts_neither_in_the_rate_nor_in_the_estimate(clock: Clock) -> None:
    terminal = Terminal(80)
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.expect(1)
    progress.started(product(S2), have=0, size=100 * MB)
    for _ in range(5):
        clock.now += 1
        progress.advanced(product(S2), 10 * MB)
    assert "~00:04 left" in total_line(progress, terminal, clock)
    clock.now += 3600
    row, total = drawn(progress, terminal, clock)
    assert row.endswith("11.9 MB/s")
    assert total.endswith("11.9 MB/s  1:00:05  ~00:04 left")
    clock.now += 1
    progress.advanced(product(S2), 10 * MB)
    assert total_line(progress, terminal, clock).endswith("11.1 MB/s  1:00:06  ~00:03 left")
    progress.close()
    terminal.close()


# ---- redrawing ----


def test_a_redraw_comes_ten_times_a_second_at_most(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S2), have=0, size=100 * MB)
    terminal.screen()
    for _ in range(1000):
        progress.advanced(product(S2), 1000)
    terminal.screen()
    assert b"" == terminal.written
    clock.now += 0.11
    progress.advanced(product(S2), 1000)
    terminal.screen()
    assert b"" != terminal.written
    progress.close()


async def test_a_stalled_rate_falls_to_nothing_without_any_event(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S2), have=0, size=100 * MB)
    progress.advanced(product(S2), 10 * MB)
    progress.expect(1)
    assert " 10.0 MB/s" in total_line(progress, terminal, clock)
    for _ in range(8):
        clock.now += 2
        await written_to(terminal)
    row, total = terminal.shown()
    assert row.endswith("10.0/100 MB      0 B/s")
    assert total.endswith("|  0 B/s  00:16")
    progress.close()


async def written_to(terminal: Terminal) -> None:
    """Wait until something is written, and read it."""
    arrived = asyncio.Event()
    asyncio.get_running_loop().add_reader(terminal.master, arrived.set)
    await asyncio.wait_for(arrived.wait(), HANGS)
    asyncio.get_running_loop().remove_reader(terminal.master)
    terminal.screen()


async def test_no_redraw_comes_after_the_end(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.expect(1)
    progress.close()
    terminal.screen()
    clock.now += 1
    progress.finished(ended(S2))
    progress.close()
    terminal.screen()
    assert b"" == terminal.written
    assert progress._timer is None


def test_a_second_run_begins_with_counts_of_zero(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    for name in ("first", "second"):
        progress.open()
        progress.expect(1)
        progress.started(product(name), have=0, size=100)
        row, total = drawn(progress, terminal, clock)
        assert row.startswith(f"{name} ")
        assert total.startswith("0/1 product ")
        progress.finished(ended(name))
        progress.close()
        assert [] == terminal.screen()


def test_nothing_is_left_on_the_screen_at_the_end(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(3, file=terminal.file, clock=clock)
    progress.expect(3)
    for identifier in (S1, S2, S3):
        progress.started(product(identifier), have=10, size=100)
    drawn(progress, terminal, clock)
    progress.close()
    assert [] == terminal.screen()
    assert (0, 0) == (terminal.emulated.cursor.y, terminal.emulated.cursor.x)


def test_log_lines_stay_whole_above_the_bars(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.started(product(S1), have=10, size=100)
    progress.started(product(S2), have=10, size=100)
    before = drawn(progress, terminal, clock)
    progress.write_line("warning: the line was cut")
    progress.write_line("error: no such product")
    assert ["warning: the line was cut", "error: no such product", *before] == terminal.screen()
    progress.close()
    progress.write_line("3 products")
    assert ["warning: the line was cut", "error: no such product", "3 products"] == terminal.screen()


def test_a_message_of_several_lines_pushes_the_bars_down(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S1), have=10, size=100)
    before = drawn(progress, terminal, clock)
    long = "x" * (terminal.columns + 5)
    progress.write_line(long)
    assert [long[: terminal.columns], "x" * 5, *before] == terminal.screen()
    progress.close()


def test_what_is_typed_is_overwritten(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S1), have=10, size=100)
    before = drawn(progress, terminal, clock)
    terminal.file.write("^C^C")  # as the terminal itself echoes it
    assert before == drawn(progress, terminal, clock)
    progress.close()


def test_bars_are_hidden_until_the_next_redraw(terminal: Terminal, clock: Clock) -> None:
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product(S1), have=10, size=100)
    before = drawn(progress, terminal, clock)
    progress.hide()
    terminal.file.write("$ fg\r\n")
    assert ["$ fg"] == terminal.screen()
    assert ["$ fg", *before] == drawn(progress, terminal, clock)
    progress.close()


# ---- the size of the window ----


@pytest.mark.parametrize("columns", [1, 20, 40, 60, 80, 200])
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
    rows = drawn(progress, terminal, clock)
    assert 4 == len(rows)
    assert rows[-1].startswith("1000/123456"[: columns - 1])
    assert all(len(row) < columns or columns == 1 for row in rows)
    progress.close()
    terminal.close()


names = st.text(max_size=80) | st.text(st.sampled_from("漢ก็é️🇱🇺👩‍🚀a"), max_size=80)


@example(columns=2, name="\u0859", why="", stands=True)
@given(columns=st.integers(2, 120), name=names, why=names, stands=st.booleans())
def test_wide_characters_never_break_the_width(columns: int, name: str, why: str, stands: bool) -> None:
    with closing(Terminal(columns, lines=12)) as terminal:
        clock = Clock()
        progress = TqdmProgress(2, file=terminal.file, clock=clock)
        progress.expect(3)
        progress.started(product(name), have=50, size=100)
        progress.started(product("last"), have=50, size=100)
        if stands:
            progress.delayed(product(name), why, seconds=3)
        drawn(progress, terminal, clock)
        used = [{at for at, cell in line.items() if cell.data.strip()} for line in terminal.emulated.buffer.values()]
        assert all(columns - 1 not in columns_of_line for columns_of_line in used)
        assert 3 >= len(terminal.shown())
        progress.close()
        assert [] == terminal.screen()


def test_a_narrower_window_leaves_nothing_behind(clock: Clock) -> None:
    terminal = Terminal(200)
    progress = TqdmProgress(2, file=terminal.file, clock=clock)
    progress.started(product(S2), have=10, size=100)
    progress.started(product(S1), have=10, size=100)
    drawn(progress, terminal, clock)
    terminal.resize(60, 24)
    # As a terminal that wraps its lines anew: the cursor stays where the first of them begins.
    terminal._stream.feed(b"\r\n" + b"rest of a line\r\n" * 6 + b"\x1b[7A\r")
    rows = drawn(progress, terminal, clock)
    assert ["S2A L2A 2021-09-24 T15SYR", "S1A IW GRDH 2021-09-29 05:33"] == [row[:28].rstrip() for row in rows[:2]]
    assert 3 == len(rows)
    progress.close()
    assert [] == terminal.screen()
    terminal.close()


def test_more_workers_than_lines_leave_the_total_in_sight(clock: Clock) -> None:
    terminal = Terminal(80, lines=6)
    progress = TqdmProgress(8, file=terminal.file, clock=clock)
    progress.expect(50)
    for n in range(8):
        progress.started(product(f"product {n}"), have=10, size=100)
    *rows, total = drawn(progress, terminal, clock)
    assert [f"product {n}" for n in range(4)] == [row[:9] for row in rows]
    assert total.startswith("0/50 products")
    assert total.endswith("and 4 more")
    progress.close()
    terminal.close()


def test_a_lower_window_keeps_the_total_in_sight(clock: Clock) -> None:
    terminal = Terminal(80, lines=24)
    progress = TqdmProgress(8, file=terminal.file, clock=clock)
    for n in range(8):
        progress.started(product(f"product {n}"), have=10, size=100)
    drawn(progress, terminal, clock)
    terminal.resize(80, 4)
    *rows, total = drawn(progress, terminal, clock)
    assert ["product 0", "product 1"] == [row[:9] for row in rows]
    assert total.endswith("and 6 more")
    terminal.resize(80, 24)
    assert 9 == len(drawn(progress, terminal, clock))
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


def test_a_terminal_without_block_characters_gets_others(clock: Clock) -> None:
    terminal = Terminal(80)
    terminal.file.reconfigure(encoding="ascii", errors="replace")
    progress = TqdmProgress(1, file=terminal.file, clock=clock)
    progress.started(product("S2"), have=50, size=100)
    assert "|#####     |" in drawn(progress, terminal, clock)[0]
    progress.close()
    terminal.close()


# ---- the choice ----


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    def choose(file: io.TextIOBase, *, quiet: bool = False, **environ: str) -> str:
        monkeypatch.setenv("TERM", "xterm-256color")
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        progress = choose_progress(2, quiet=quiet, file=file)  # type: ignore[arg-type]  # a text file it is
        progress.close()
        return type(progress).__name__

    return choose


def test_the_choice_follows_what_the_reader_has(terminal: Terminal, choose: Callable[..., str]) -> None:
    assert TqdmProgress.__name__ == choose(terminal.file)
    assert PlainProgress.__name__ == choose(terminal.file, TERM="dumb")
    assert PlainProgress.__name__ == choose(io.StringIO())
    assert SilentProgress.__name__ == choose(terminal.file, quiet=True)


def test_no_file_means_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    progress = choose_progress(2)
    progress.finished(ended(S2))
    progress.close()
    assert "1 product " in capsys.readouterr().err


def test_tqdm_is_imported_only_when_bars_are_drawn() -> None:
    script = (
        "import io, sys\n"
        "from collgs_async.reporting.choice import choose_progress\n"
        "choose_progress(4, file=io.StringIO()).close()\n"
        "print('tqdm' in sys.modules)\n"
    )
    assert "False\n" == subprocess.check_output([sys.executable, "-c", script], text=True)
