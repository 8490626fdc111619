# ruff's SIM300 knows only the other order; here the expected value stands first
from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collgs_async.errors import (
    CatalogueError,
    ConfigError,
    IntegrityError,
    NotAvailableError,
    ProductError,
    StorageError,
    TransferError,
)
from collgs_async.models.product import Outcome, Product, Status
from collgs_async.models.report import Report
from collgs_async.models.store_url import StoreUrl
from collgs_async.reporting.run_report import RunReportWriter
from collgs_async.reporting.summary import summary_lines
from collgs_async.selection.bands import AbsentMembersError
from collgs_async.storage.atomic import _link_or_copy, write_file, write_whole
from collgs_async.storage.member_refusals import RefusedMembersError
from collgs_async.transfer.store_errors import WholeArchivesOnlyError
from tests.conftest import HANGS

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "https://store.example/a.zip"
AGAIN = "Run the same command again: what is here is kept, unfinished files go on where they stopped."
DOWNLOADED = Outcome(
    Product("a", URL), Status.DOWNLOADED, Path("downloads/a.zip"), bytes=1000, seconds=1.23456, attempts=2
)
SKIPPED = Outcome(Product("b", URL), Status.SKIPPED, Path("downloads/b.zip"), reason="exists")
FAILED = Outcome(Product("c", None), Status.FAILED, bytes=7, attempts=4, error=IntegrityError("no ZIP"))


def failed(name: str, error: ProductError) -> Outcome:
    return Outcome(Product(name, URL), Status.FAILED, error=error)


def written(path: Path, *outcomes: Outcome, search_error: CatalogueError | None = None) -> Any:
    with RunReportWriter(path) as report_writer:
        for outcome in outcomes:
            report_writer.record(outcome)
        report_writer.write(report_writer.report(3, 2, search_error, 4.56789))
    return json.loads(path.read_text("utf-8"))


def add_many(report_writer: RunReportWriter, times: int) -> None:
    for _ in range(times):
        report_writer.record(DOWNLOADED)


def a_report_of(*failures: Outcome, **fields: Any) -> Report:
    return Report(failed=len(failures), failures=failures, **fields)


OLDER = '{"summary": {}}'
"""The report of a run before."""


def nameless_files_work(folder: Path) -> bool:
    """Ask the system itself, not the code under test."""
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR)
    except (AttributeError, OSError):
        return False
    try:
        os.link(f"/proc/self/fd/{fd}", folder / "named", src_dir_fd=fd)
    except OSError:
        return False
    finally:
        os.close(fd)
    (folder / "named").unlink()
    return True


# --- the file


def test_the_report_has_the_layout_that_scripts_rely_on(tmp_path: Path) -> None:
    found = written(tmp_path / "report.json", DOWNLOADED, SKIPPED, FAILED)
    expected: dict[str, Any] = {
        "summary": {
            "found": 3,
            "downloaded": 1,
            "skipped": 1,
            "failed": 1,
            "bytes": 1007,
            "unfinished_bytes": 0,
            "seconds": 4.568,
            "members": 0,
        },
        "search": {"total": 3, "pages": 2, "error": None, "left_out": {}, "missing": []},
        "products": [
            {
                "id": "a",
                "status": "downloaded",
                "path": "downloads/a.zip",
                "bytes": 1000,
                "url": URL,
                "seconds": 1.235,
                "attempts": 2,
                "members": None,
                "reason": None,
                "error": None,
            },
            {
                "id": "b",
                "status": "skipped",
                "path": "downloads/b.zip",
                "bytes": 0,
                "url": URL,
                "seconds": 0.0,
                "attempts": 0,
                "members": None,
                "reason": "exists",
                "error": None,
            },
            {
                "id": "c",
                "status": "failed",
                "path": None,
                "bytes": 7,
                "url": None,
                "seconds": 0.0,
                "attempts": 4,
                "members": None,
                "reason": None,
                "error": {"kind": "IntegrityError", "message": "no ZIP"},
            },
        ],
    }
    assert expected == found
    assert ["summary", "search", "products"] == list(found)
    assert list(expected["products"][0]) == list(found["products"][0])


def test_every_product_has_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    written(path, DOWNLOADED, failed("d", TransferError("one\ntwo")))
    lines = [line.rstrip(",") for line in path.read_text().splitlines() if line.startswith('{"id"')]
    assert ["a", "d"] == [json.loads(line)["id"] for line in lines]


def test_a_run_without_products_has_an_empty_list(tmp_path: Path) -> None:
    assert [] == written(tmp_path / "report.json")["products"]


def test_the_end_of_the_search_is_told_by_kind_and_message(tmp_path: Path) -> None:
    found = written(tmp_path / "report.json", search_error=CatalogueError("HTTP 500: out of memory"))
    assert {"kind": "CatalogueError", "message": "HTTP 500: out of memory"} == found["search"]["error"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://me:secret@store.example/a.zip", "https://store.example/a.zip"),
        ("HTTPS://me:p@ss@store.example:8443?x=1", "HTTPS://store.example:8443?x=1"),
        ("https://store.example/a@b.zip?", "https://store.example/a@b.zip?"),
        ("https://store.example/?to=https://me@other/", "https://store.example/?to=https://me@other/"),
    ],
)
def test_a_url_loses_its_userinfo_and_nothing_else(tmp_path: Path, url: str, expected: str) -> None:
    outcome = Outcome(Product("a", url), Status.SKIPPED, reason="exists")
    assert expected == written(tmp_path / "report.json", outcome)["products"][0]["url"]


def test_an_error_message_tells_no_password(tmp_path: Path) -> None:
    error = TransferError("proxy=http://me:secret@proxy:3128 sent us to https://me:secret@store.example/x")
    expected = "proxy=http://proxy:3128 sent us to https://store.example/x"
    path = tmp_path / "report.json"
    assert expected == written(path, failed("a", error))["products"][0]["error"]["message"]
    assert expected in "\n".join(summary_lines(a_report_of(failed("a", error)), tmp_path))


def test_names_stay_readable_and_those_that_are_no_utf8_stay_json(tmp_path: Path) -> None:
    outcome = Outcome(Product("é", URL), Status.DOWNLOADED, Path(os.fsdecode(b"t\xc3\xa9l\xe9/a.zip")))
    product = written(tmp_path / "report.json", outcome)["products"][0]
    assert ["é", b"t\xc3\xa9l\xe9/a.zip"] == [product["id"], os.fsencode(product["path"])]
    assert '"id": "é"' in (tmp_path / "report.json").read_text("utf-8")


def test_an_older_report_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(OLDER + " " * 10_000)
    assert 1 == len(written(path, DOWNLOADED)["products"])
    assert [path] == list(tmp_path.iterdir())


def test_a_symbolic_link_goes_on_to_point_to_the_report(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "report.json"
    link.symlink_to(tmp_path / "elsewhere" / "today.json")
    assert 1 == len(written(link, DOWNLOADED)["products"])
    assert link.is_symlink()
    assert [tmp_path / "elsewhere" / "today.json"] == list((tmp_path / "elsewhere").iterdir())


def test_a_relative_path_is_where_the_run_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert 1 == len(written(Path("report.json"), DOWNLOADED)["products"])
    assert [tmp_path / "report.json"] == list(tmp_path.iterdir())


def test_the_report_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    written(tmp_path / "report.json")
    assert (tmp_path / "other").stat().st_mode == (tmp_path / "report.json").stat().st_mode


def test_a_dash_means_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    with RunReportWriter(Path("-")) as report_writer:
        report_writer.record(DOWNLOADED)
        report_writer.write(report_writer.report(None, 1, None, 1.0))
    assert ["a"] == [product["id"] for product in json.loads(capfdbinary.readouterr().out)["products"]]
    assert [] == list(tmp_path.iterdir())


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()), daemon=True)
    reader.start()
    with RunReportWriter(pipe) as report_writer:
        report_writer.record(DOWNLOADED)
        report_writer.write(report_writer.report(1, 1, None, 1.0))
    reader.join(timeout=HANGS)
    assert ["a"] == [product["id"] for product in json.loads(received[0])["products"]]
    assert pipe.is_fifo()


def test_a_pipe_that_is_full_is_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = bytes(range(256)) * 2000
    received = bytearray()

    def read_in_pieces() -> None:
        with pipe.open("rb", buffering=0) as stream:
            while piece := stream.read(3000):
                received.extend(piece)

    reader = threading.Thread(target=read_in_pieces, daemon=True)
    reader.start()
    write_file(pipe, [content, content])
    reader.join(timeout=HANGS)

    assert 2 * content == received


def test_a_pipe_without_a_reader_is_an_error(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with RunReportWriter(pipe) as report_writer:
        report_writer.record(DOWNLOADED)
        with pytest.raises(StorageError) as caught:
            report_writer.write(report_writer.report(1, 1, None, 1.0))

    assert f"--report: cannot write {pipe}: no process reads from it" == str(caught.value)


def test_a_socket_is_refused_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is limited to about 100 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("odd")

        with pytest.raises(ConfigError, match="--report: expected a file, found the socket odd"):
            RunReportWriter(Path("odd"))


def test_without_a_path_outcomes_are_only_counted() -> None:
    with RunReportWriter(None) as report_writer:
        for outcome in (DOWNLOADED, SKIPPED, FAILED, DOWNLOADED):
            report_writer.record(outcome)
        report = report_writer.report(9, 2, None, 3.5)
        report_writer.write(report)
    expected = Report(
        downloaded=2,
        skipped=1,
        failed=1,
        bytes=2007,
        seconds=3.5,
        failures=(FAILED,),
        search_total=9,
        search_pages=2,
    )
    assert expected == report


def test_nothing_is_seen_of_a_report_before_it_is_written(tmp_path: Path) -> None:
    with RunReportWriter(tmp_path / "report.json") as report_writer:
        add_many(report_writer, 1000)
        assert [] == list(tmp_path.iterdir())
    assert [] == list(tmp_path.iterdir())


# --- where no report can be


def test_a_folder_that_does_not_exist_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        RunReportWriter(tmp_path / "no" / "report.json")
    expected = f"--report: expected a folder at {tmp_path.resolve() / 'no'}, found nothing"
    assert expected == str(refusal.value)


def test_a_file_in_place_of_the_folder_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^--report: expected a folder at .*file, found something else$"):
        RunReportWriter(tmp_path / "file" / "report.json")


@pytest.mark.parametrize("content", [b'{"base_url": "https://example.org"}\n', b"{", b"SRTM\0"])
def test_another_file_in_place_of_a_report_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """Such as the configuration that the run was started with."""
    other = tmp_path / "config.json"
    other.write_bytes(content)

    with pytest.raises(
        ConfigError, match=r"^--report: expected no file or a report, found another file at .*; it was left alone$"
    ):
        RunReportWriter(other)

    assert content == other.read_bytes()
    other.write_bytes(b"")
    with RunReportWriter(other):
        pass


def test_a_folder_in_place_of_the_file_is_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        RunReportWriter(tmp_path)
    assert f"--report: expected a file, found the folder {tmp_path}" == str(refusal.value)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder in which not even root may write")
def test_a_folder_that_takes_no_file_is_refused_before_the_run() -> None:
    with pytest.raises(ConfigError, match=r"^--report: cannot write in /proc: \w"):
        RunReportWriter(Path("/proc/report.json"))


def test_a_folder_that_went_away_is_a_storage_error(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    with RunReportWriter(folder / "report.json") as report_writer:
        report_writer.record(DOWNLOADED)
        folder.rmdir()
        with pytest.raises(StorageError, match=r"^--report: cannot write .*report\.json: No such file"):
            report_writer.write(report_writer.report(1, 1, None, 1.0))


@contextmanager
def no_file_beyond(nbytes: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_a_storage_error_and_the_older_report_stays(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(OLDER)
    with no_file_beyond(20_000), RunReportWriter(path) as report_writer:
        with pytest.raises(StorageError, match=r"^--report: cannot write .*report\.json: File too large$"):
            add_many(report_writer, 1000)
        with pytest.raises(StorageError):
            report_writer.write(report_writer.report(1, 1, None, 1.0))
    assert path.read_text() == OLDER
    assert [path] == list(tmp_path.iterdir())


# --- whole or not at all


def test_a_write_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"new"
        raise KeyboardInterrupt

    path = tmp_path / "report.json"
    path.write_bytes(b"older")
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, chunks())
    assert b"older" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_not_even_a_kill_leaves_litter(tmp_path: Path) -> None:
    if not nameless_files_work(tmp_path):
        pytest.skip("the system knows no files without a name")
    script = """
        import os, signal, sys
        from pathlib import Path
        from collgs_async.models.product import Outcome, Product, Status
        from collgs_async.storage.atomic import write_whole
        from collgs_async.reporting.run_report import RunReportWriter

        def chunks():
            yield b"x" * 1_000_000
            os.kill(os.getpid(), signal.SIGKILL)

        path = Path(sys.argv[1])
        writer = RunReportWriter(path)
        for _ in range(10_000):
            writer.record(Outcome(Product("a", None), Status.SKIPPED))
        write_whole(path, chunks())
    """
    path = tmp_path / "report.json"
    path.write_text(OLDER)
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)])
    assert -signal.SIGKILL == run.returncode
    assert path.read_text() == OLDER
    assert [path] == list(tmp_path.iterdir())


def test_a_folder_that_takes_no_file_is_refused_by_the_name_that_was_given() -> None:
    with pytest.raises(OSError, match=r"'/proc/report\.json'"):
        write_whole(Path("/proc/report.json"), [b"whole"])


def test_a_draft_that_cannot_be_given_a_name_is_copied(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with (tmp_path / "draft").open("x+b") as draft:
        (tmp_path / "draft").unlink()  # a name once dropped cannot be given back
        draft.write(b"whole")
        draft.flush()
        _link_or_copy(draft, path)
    assert b"whole" == path.read_bytes()


def test_memory_does_not_grow_with_products_that_went_well(tmp_path: Path) -> None:
    with RunReportWriter(tmp_path / "another.json") as first_in_this_process:
        add_many(first_in_this_process, 20_000)  # what is imported and made once does not count
    with RunReportWriter(tmp_path / "report.json") as report_writer:
        report_writer.record(DOWNLOADED)
        tracemalloc.start()
        add_many(report_writer, 20_000)
        report_writer.write(report_writer.report(None, 1, None, 1.0))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 500_000 < (tmp_path / "report.json").stat().st_size


# --- what a person reads


def test_a_good_run_is_two_lines() -> None:
    report = Report(downloaded=48, skipped=2, bytes=38_200_000_000, seconds=723.5)
    assert [
        "48 downloaded (38.2 GB in 12:03, 52.8 MB/s), 2 already here",
        "The archives are in downloads.",
    ] == summary_lines(report, Path("downloads"))


@pytest.mark.parametrize(("folder", "shown"), [(".", "this folder"), ("..", ".."), ("/", "/")])
def test_a_folder_without_a_name_is_told_in_words(folder: str, shown: str) -> None:
    (_, where) = summary_lines(Report(downloaded=1, bytes=5), Path(folder))
    assert f"The archives are in {shown}." == where


def test_an_object_store_is_told_by_its_url(tmp_path: Path) -> None:
    store, url = StoreUrl.parse("s3://bucket/a"), "s3://bucket/a/d.zip"
    full = Report(downloaded=1, bytes=5, stopped_by=StorageError("it is full"))

    (entry,) = written(tmp_path / "report.json", Outcome(Product("d", URL), Status.DOWNLOADED, place=url))["products"]
    lines = summary_lines(full, store)

    assert url == entry["path"]
    assert "The archives are in s3://bucket/a." in lines
    assert "Mend the store or the spool, then run the same command again: what is in either of them is kept." in lines


def test_a_run_with_nothing_new_says_only_that() -> None:
    assert ["7 already here"] == summary_lines(Report(skipped=7, seconds=1.0), Path("downloads"))


def test_a_run_that_took_no_time_has_no_rate() -> None:
    (headline, _) = summary_lines(Report(downloaded=1, bytes=5), Path("downloads"))
    assert "/s" not in headline


def test_nothing_found_comes_with_a_hint() -> None:
    (line,) = summary_lines(Report(search_total=0, search_pages=1), Path("downloads"))
    assert line.startswith("Nothing matches. ")
    assert "larger box" in line


def test_a_single_failure_is_named_with_its_reason_and_what_to_do() -> None:
    report = a_report_of(failed("c", TransferError("the line was cut")), skipped=2)
    expected = ["2 already here, 1 failed", "Failed:", "  c: the line was cut", AGAIN]
    assert expected == summary_lines(report, Path("downloads"))


def test_failures_with_the_same_reason_share_a_line_and_the_most_frequent_leads() -> None:
    failures = [failed("x", TransferError("the line was cut"))]
    failures += [failed(f"p{number}", TransferError("HTTP 503: busy")) for number in range(4)]
    lines = summary_lines(a_report_of(*failures), Path("downloads"))
    assert [
        "Failed:",
        "  p0 and 3 more: HTTP 503: busy",
        "  x: the line was cut",
        "  --report FILE names every one of them.",
    ] == lines[1:-1]


def test_at_most_ten_reasons_are_told() -> None:
    failures = [failed(f"p{number}", TransferError(f"reason {number}")) for number in range(22)]
    lines = summary_lines(a_report_of(*failures), Path("downloads"))
    assert 10 == sum(line.startswith("  p") for line in lines)
    assert ["  and 12 more", "  --report FILE names every one of them.", AGAIN] == lines[-3:]


def test_running_again_is_not_advised_where_the_store_refuses() -> None:
    lines = summary_lines(a_report_of(failed("c", NotAvailableError("HTTP 404"))), Path("downloads"))
    assert AGAIN not in lines
    assert lines[-1].startswith("The store does not hand these out")


ABSENT = AbsentMembersError("the archive has no B02; it has SCL")
REFUSED = RefusedMembersError("1 of 3 members cannot be unpacked here")


@pytest.mark.parametrize("error", [ABSENT, REFUSED, WholeArchivesOnlyError()])
def test_what_helps_is_advised_where_running_again_does_not(error: ProductError) -> None:
    lines = summary_lines(a_report_of(failed("c", error), failed("d", error)), Path("downloads"))
    assert error.advice == lines[-1]
    assert [error.advice] == [line for line in lines if line in {AGAIN, error.advice} or "not hand these out" in line]


def test_each_advice_is_given_once_and_running_again_where_that_helps() -> None:
    errors = [ABSENT, TransferError("the line was cut"), REFUSED, ABSENT]
    failures = [failed(f"p{number}", error) for number, error in enumerate(errors)]
    assert [AGAIN, ABSENT.advice, REFUSED.advice] == summary_lines(a_report_of(*failures), Path("downloads"))[-3:]


def test_running_again_is_advised_when_only_some_are_refused() -> None:
    failures = failed("c", NotAvailableError("HTTP 404")), failed("d", TransferError("the line was cut"))
    assert AGAIN == summary_lines(a_report_of(*failures), Path("downloads"))[-1]


def test_a_search_that_ended_early_says_so_in_the_words_of_the_server() -> None:
    report = Report(skipped=50, search_total=120, search_error=CatalogueError("HTTP 500: out of memory"))
    assert [
        "50 already here",
        "The search ended early, at 50 of 120 products: HTTP 500: out of memory",
        AGAIN,
    ] == summary_lines(report, Path("downloads"))


def test_a_search_that_found_nothing_before_it_failed_is_no_empty_result() -> None:
    """The error itself has been logged when it happened, and nothing has been logged since."""
    lines = summary_lines(Report(search_error=CatalogueError("HTTP 500", retryable=True)), Path("downloads"))
    assert ["Nothing was downloaded.", AGAIN] == lines


def test_running_again_is_not_advised_where_the_search_was_refused() -> None:
    lines = summary_lines(Report(search_error=CatalogueError("HTTP 400: Unknown parentId")), Path("downloads"))
    assert ["Nothing was downloaded."] == lines


def test_bytes_of_unfinished_archives_are_told_apart() -> None:
    report = Report(downloaded=2, bytes=30_000_000, unfinished_bytes=10_000_000, seconds=10)
    amount = "30.0 MB in 00:10, 3.0 MB/s, 10.0 MB of it for unfinished archives"
    assert f"Interrupted: 2 downloaded ({amount})" == summary_lines(report, Path("downloads"), interrupted=True)[0]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (Report(skipped=3), "Interrupted: 3 already here"),
        (Report(), "Interrupted before any product was done."),
    ],
)
def test_an_interrupted_run_says_so_and_how_to_go_on(report: Report, expected: str) -> None:
    assert [expected, AGAIN] == summary_lines(report, Path("downloads"), interrupted=True)


def test_the_words_of_a_server_are_one_printable_line() -> None:
    lines = summary_lines(a_report_of(failed("c\x1b[2J", TransferError("a\nb\x1b[31m\tc"))), Path("downloads"))
    assert "  c?[2J: a?b?[31m?c" == lines[2]


def test_an_error_without_words_is_told_by_its_kind() -> None:
    assert "  c: TransferError" in summary_lines(a_report_of(failed("c", TransferError(""))), Path("downloads"))
