"""Progress without a terminal: timed lines, and events for programs."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from typing import Any

import pytest

from collgs_async.models.product import Status
from collgs_async.reporting.plain import EventProgress, PlainProgress
from tests.conftest import HANGS
from tests.support.clocks import Clock
from tests.support.products import MB, S2, ended, product


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_lines_come_at_their_interval_and_once_at_the_end(clock: Clock) -> None:
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
        "00:00:10  0/50 products  0.2/~50.0 GB  22.2 MB/s  ~37:20 left",
        "00:00:20  0/50 products  0.4/~50.0 GB  20.0 MB/s  ~41:19 left",
        "00:00:25  1/50 products  0.5/~49.5 GB  20.0 MB/s  ~40:50 left  1 failed",
    ] == file.getvalue().splitlines()


def test_a_run_of_hours_writes_a_line_a_minute(clock: Clock) -> None:
    file = io.StringIO()
    progress = PlainProgress(file=file, clock=clock)
    for _ in range(8 * 3600):
        clock.now += 1
        progress.expect(2)
    lines = file.getvalue().splitlines()
    assert ["00:00:10", "00:00:20", "00:00:30"] == [line[:8] for line in lines[:3]]
    assert ["07:58", "07:59"] == [line[:5] for line in lines[-2:]]
    assert len(lines) < 540


async def test_lines_come_while_nothing_happens(clock: Clock) -> None:
    written = asyncio.Event()

    class File(io.StringIO):
        def flush(self) -> None:
            written.set()

    progress = PlainProgress(file=File(), clock=clock)
    progress.waiting("the store")
    for _ in range(2):
        written.clear()
        clock.now += 10
        await asyncio.wait_for(written.wait(), HANGS)
    progress.close()


def test_a_line_says_what_is_waited_for(clock: Clock) -> None:
    file = io.StringIO()
    progress = PlainProgress(file=file, interval=0, clock=clock)
    progress.waiting("the store and 3 on tape")
    progress.waiting(None)
    assert [
        "00:00:00  0 products  0 B  0 B/s  waiting for the store and 3 on tape",
        "00:00:00  0 products  0 B  0 B/s",
    ] == file.getvalue().splitlines()


def test_progress_of_nothing_writes_nothing(clock: Clock) -> None:
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


def test_an_event_has_the_figures_of_the_run(clock: Clock) -> None:
    events: list[dict[str, Any]] = []
    progress = EventProgress(lambda line, figures: events.append({"line": line, **figures}), clock=clock)
    progress.expect(4)
    progress.started(product("a"), have=20 * MB, size=100 * MB)
    progress.finished(ended("failed", Status.FAILED))
    clock.now += 10
    progress.advanced(product("a"), 40 * MB)
    assert [
        {
            "line": "00:00:10  1/4 products  60.0/~300 MB  40.0 MB/s  ~00:06 left  1 failed",
            "products": 1,
            "total_products": 4,
            "failed": 1,
            "bytes": 60 * MB,
            "total_bytes": 300 * MB,
            "estimated": True,
            "moved_bytes": 40 * MB,
            "bytes_per_second": 40 * MB,
            "seconds": 10.0,
            "seconds_left": 6,
            "waiting_for": None,
        }
    ] == events


def test_the_documentation_names_each_figure(clock: Clock) -> None:
    events: list[dict[str, Any]] = []
    progress = EventProgress(lambda _, figures: events.append(figures), interval=0, clock=clock)
    progress.expect(1)
    page = (Path(__file__).parents[3] / "docs" / "reference" / "log.md").read_text("utf-8")
    assert [] == [name for name in events[0] if f"`{name}`" not in page or f'"{name}": ' not in page]


def test_what_an_event_does_not_know_is_null(clock: Clock) -> None:
    events: list[dict[str, Any]] = []
    progress = EventProgress(lambda _, figures: events.append(figures), interval=0, clock=clock)
    progress.waiting("the store")
    assert (None, None, None) == tuple(events[0][key] for key in ("total_products", "total_bytes", "seconds_left"))
    assert "the store" == events[0]["waiting_for"]
