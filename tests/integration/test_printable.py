"""Whatever a catalogue, a store or a disk says: no way out of the program moves a cursor or makes a formula."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collgs_async.cli.console import ConsoleHandler
from collgs_async.errors import CatalogueError, TransferError
from collgs_async.http.messages import json_text, printable
from collgs_async.models.product import Outcome, Product, RawTimes, Status
from collgs_async.models.report import Report
from collgs_async.reporting.formats import FORMATS
from collgs_async.reporting.listing import write_listing
from collgs_async.reporting.map.page import page
from collgs_async.reporting.names import short_name
from collgs_async.reporting.run_report import RunReportWriter
from collgs_async.reporting.summary import excluded_line, summary_lines
from collgs_async.reporting.table import write_table
from collgs_async.selection.plan import Plan, PlanExclusion
from collgs_async.selection.plan_diff import compare
from tests.conftest import level2_scenes
from tests.support.commands import at_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.conftest import CommandHere

BAD = (
    "\x00\x07\x08\t\r\n\x1b\x7f\x80\x85\x9b\x9d\xad"
    "\u061c\u200b\u200e\u202e\u2028\u2029\u2066\ufeff\ufff9\U000e0041\ud800"
)
HOSTILE = st.text(st.sampled_from(BAD + "[2J]0;=+-@\"',;<&A1é"), min_size=1, max_size=12)
EXAMPLE = "\x1b[2J\x9b31m\u202e\x7f"


def hold_printable(text: str) -> None:
    """Nothing but ends of line is there that is not shown as it is."""
    assert [] == [letter for letter in text if letter != "\n" and not letter.isprintable()]


async def these(*products: Product) -> AsyncIterator[Product]:
    for product in products:
        yield product


def product(text: str) -> Product:
    return Product(
        text,
        f"http://127.0.0.1/{text}",
        collection=text,
        raw=RawTimes(text, text),
        footprint={"type": text, "coordinates": [text]},
        orbit_direction=text,
        platform=text,
        quicklook=text,
        product_type=text,
        polarisation=text,
        tile=text,
    )


def listed(layout: str, one: Product, width: int | None = None) -> str:
    out = io.StringIO()
    asyncio.run(write_listing(these(one), layout, out, width=width, action=lambda _: "fetch"))
    return out.getvalue()


@pytest.mark.parametrize("layout", FORMATS)
@given(text=HOSTILE)
@example(text=EXAMPLE)
def test_a_listing(layout: str, text: str) -> None:
    times = RawTimes("2021-06-05T18:42:28Z", "2021-06-05T18:42:28Z")  # without one there is no STAC item
    out = listed(layout, replace(product(text), raw=times) if layout == "stac" else product(text))

    hold_printable(out)
    if layout == "stac":
        assert text == json.loads(out)["features"][0]["id"]
    if layout == "json":
        assert text == json.loads(out)[0]["identifier"]
    if layout == "jsonl":
        assert text == json.loads(out)["identifier"]
    if layout == "geojson":
        assert text == json.loads(out)["features"][0]["properties"]["platform"]
    if layout == "csv":
        assert 2 == len(list(csv.reader(io.StringIO(out, newline=""))))


@given(HOSTILE)
def test_a_table_of_a_terminal(text: str) -> None:
    hold_printable(listed("table", product(text), width=100))


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "=\x1b1", '=cmd|"/C calc"!A0']
)
def test_a_cell_is_no_formula(cell: str) -> None:
    _, row = csv.reader(io.StringIO(listed("csv", product(cell))))

    assert len(row) > 10
    assert not any(re.match(r"\s*[=+\-@＝＋－＠]", one) for one in row)
    assert printable(cell) == row[1].removeprefix("'")


def test_numbers_and_plain_text_stay_what_they_are() -> None:
    one = Product("A-1", "http://a.example/-=x", cloud_cover=-1.5, orbit_number=-73, overlap=0.5)

    head, row = csv.reader(io.StringIO(listed("csv", one)))

    found = dict(zip(head, row, strict=True))
    assert ("A-1", "-1.5", "-73", "0.5") == tuple(
        found[key] for key in ("identifier", "cloud_cover", "orbit_number", "overlap")
    )
    assert "http://a.example/-=x" == found["url"]


@given(HOSTILE)
@example(EXAMPLE)
def test_a_report(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        written = io.BytesIO()
        patch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="utf-8", errors="surrogateescape"))
        outcome = Outcome(product(text), Status.FAILED, path=Path(text.replace("\0", "")), error=TransferError(text))
        with RunReportWriter(Path("-")) as report_writer:
            report_writer.record(outcome)
            report_writer.write(report_writer.report(1, 1, CatalogueError(text), 1.0))
        out = written.getvalue().decode()

    hold_printable(out)
    assert text == json.loads(out)["products"][0]["id"]


@given(HOSTILE)
def test_the_summary_of_a_run(text: str) -> None:
    outcome = Outcome(product(text), Status.FAILED, error=TransferError(text))
    report = Report(failed=1, failures=(outcome,), search_error=CatalogueError(text), missing=(text,))

    for line in [*summary_lines(report, Path("here")), excluded_line({"another tile": 1})]:
        hold_printable(logged(line)[0])


@given(HOSTILE)
@example(EXAMPLE)
def test_a_plan(text: str) -> None:
    plan = Plan(
        "http://127.0.0.1/",
        {"parentIdentifier": text},
        {"tile": text},
        (Product(text, None, problem=text, platform=text),),
        (PlanExclusion(text, text, text),),
        datetime(2025, 1, 1, tzinfo=UTC),
    )
    with pytest.MonkeyPatch.context() as patch:
        written = io.BytesIO()
        patch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="utf-8"))
        plan.write(Path("-"))
        out = written.getvalue().decode()

    hold_printable(out)
    assert text == json.loads(out)["products"][0]["identifier"]


@given(HOSTILE)
def test_a_comparison_of_plans(
    text: str,
) -> None:
    old = Plan("http://127.0.0.1/", {}, {}, (Product(text, None),), (), datetime(2025, 1, 1, tzinfo=UTC))
    new = Plan("http://127.0.0.1/", {}, {}, (Product(text, None, platform=text),), (), datetime(2025, 1, 1, tzinfo=UTC))

    for line in compare(old, new).lines():
        hold_printable(printable(line))


def logged(message: str) -> tuple[str, str]:
    """Give a message as it is written, as words and as JSON."""
    lines: list[str] = []
    screen = ConsoleHandler()
    screen.write_line = lines.append
    record = logging.makeLogRecord({"levelno": logging.ERROR, "levelname": "ERROR", "msg": "%s", "args": (message,)})
    for as_json in (False, True):
        screen.as_json = as_json
        screen.emit(record)
    words, line = lines
    return words, line


@given(HOSTILE)
@example(EXAMPLE)
def test_a_message(text: str) -> None:
    words, line = logged(text)

    assert words.isprintable()
    assert line.isprintable()
    assert text == json.loads(line)["message"]


@given(HOSTILE)
def test_a_name_beside_a_bar(text: str) -> None:
    assert short_name(text).isprintable()
    assert short_name(f"S2A_MSIL2A_20210924T163021_N0301_R083_T15SYR_{text}").isprintable()


@given(HOSTILE)
@example(EXAMPLE)
def test_a_page(text: str) -> None:
    made = page([product(text)], title=text, notes=[text])

    data = re.search(r'<script type="application/json" id="scenes-data">(.*?)</script>', made, re.S)
    title = re.search(r"<title>(.*?)</title>", made, re.S)
    assert data is not None
    assert title is not None
    hold_printable(data[1] + title[1])


@given(
    st.recursive(HOSTILE | st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(HOSTILE, inner))
)
def test_json_is_the_same_json(value: Any) -> None:
    for options in ({}, {"ascii_only": False}, {"indent": 1}, {"separators": (",", ":")}):
        text = json_text(value, **options)

        hold_printable(text)
        assert value == json.loads(text)


def test_tables_of_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(["a", "b"], [[EXAMPLE, "\n\t"]], sys.stdout)

    hold_printable(capsys.readouterr().out)


async def test_a_whole_run_shows_nothing_of_it(run_cli: CommandHere, serve: Callable[..., Any], tmp_path: Path) -> None:
    """Of a file on the disk, too: its name comes from anywhere."""
    site = await serve(level2_scenes(1))
    await run_cli(*at_url(site))
    (site.folder / "\x1b[2J\x9bA.zip").write_bytes(b"no archive")

    verified = await run_cli("verify", site.folder)
    reported = await run_cli(*at_url(site), "--report", "-")

    assert (1, 0) == (verified.code, reported.code)
    for text in (verified.out, verified.err, reported.out, reported.err):
        hold_printable(text)
