"""What is left of a run: the file that ``--report`` names, and the lines that a person reads at the end."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Self

from collgs_async.errors import AuthenticationError, ConfigError, NotAvailableError, StorageError
from collgs_async.models import ELSEWHERE, Report, Status
from collgs_async.units import format_bytes, format_duration, format_rate
from collgs_async.words import json_text, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from collgs_async.errors import CollgsError
    from collgs_async.models import Outcome

__all__ = ["STDOUT", "Recorder", "left_out_line", "missing_lines", "summary_lines", "write_file", "write_whole"]

STDOUT = Path("-")

_MOST_FAILURE_LINES = 10
_USERINFO = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/?#]*@", re.IGNORECASE)


class Recorder:
    """Take note of every outcome of a run, in little memory: those that went well are counted and spooled.

    A context manager; leaving it drops the spool, which has no name on disk and so outlives no kill.

    Parameters
    ----------
    path
        Where the report will be: a file in a folder that exists, a pipe or device, or ``-`` for standard
        output. None: no report is written.

    Raises
    ------
    ConfigError
        No report can be written there.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._spool = None if path is None else _open_spool(path)
        self._counts: Counter[Status] = Counter()
        self._elsewhere = 0
        self._bytes = 0
        self._failures: list[Outcome] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spool is not None:
            with suppress(OSError):  # on a full disk the last lines cannot be flushed, and nobody wants them any more
                self._spool.close()

    def add(self, outcome: Outcome) -> None:
        """Take note of one outcome.

        Raises
        ------
        StorageError
            The disk of the report is full; the outcome is counted all the same.
        """
        self._counts[outcome.status] += 1
        self._elsewhere += outcome.reason == ELSEWHERE
        self._bytes += outcome.bytes
        if outcome.status is Status.FAILED:
            self._failures.append(outcome)
        if self._spool is not None:
            try:
                self._spool.write(_encoded(_product_entry(outcome)) + b"\n")
            except OSError as error:
                raise self._cannot_write(error) from error

    def report(
        self,
        search_total: int | None,
        search_pages: int,
        search_error: CollgsError | None,
        seconds: float,
        moved: int = 0,
    ) -> Report:
        """Sum up what was added so far; see `Report` for what the arguments mean.

        `moved` are the bytes that moved in all, also for products that have no outcome since the run was stopped.
        """
        return Report(
            downloaded=self._counts[Status.DOWNLOADED],
            skipped=self._counts[Status.SKIPPED],
            failed=self._counts[Status.FAILED],
            elsewhere=self._elsewhere,
            bytes=max(self._bytes, moved),
            seconds=seconds,
            failures=tuple(self._failures),
            search_total=search_total,
            search_pages=search_pages,
            search_error=search_error,
        )

    def write(self, report: Report) -> None:
        """Write the report, a file whole or not at all; without a path, write nothing.

        Raises
        ------
        StorageError
            The disk is full, or the folder is gone or read-only; an older report is then still there.
        BrokenPipeError
            The reader of standard output is gone.
        """
        if self._path is None or self._spool is None:
            return
        try:
            write_file(self._path, _file_chunks(report, self._spooled()))
        except OSError as error:
            if self._path == STDOUT:
                raise
            raise self._cannot_write(error) from error

    def _spooled(self) -> Iterator[bytes]:
        if self._spool is not None:
            self._spool.seek(0)
            yield from self._spool

    def _cannot_write(self, error: OSError) -> StorageError:
        return StorageError(f"--report: cannot write {self._path}: {error.strerror}")


def write_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write what a user asked for under a name: a file whole or not at all, a pipe or device as it goes.

    Parameters
    ----------
    path
        A symbolic link stays one, and ``-`` is standard output.
    chunks
        What is written.

    Raises
    ------
    OSError
        The disk is full, the folder is gone or read-only, or nobody reads any more.
    """
    if path == STDOUT:
        _write_to_stdout(chunks)
    elif _is_stream(path):
        with path.open("wb") as stream:
            stream.writelines(chunks)
    else:
        write_whole(path.resolve(), chunks)


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file whole or not at all; what was there stays until all of the new is on disk.

    Where the OS can (Linux, most file systems), the draft has no name until it is whole, so that not even
    SIGKILL leaves litter.

    Raises
    ------
    OSError
        The disk is full, or the folder is gone or read-only.
    """
    sibling = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(sibling, "x+b", opener=_open_nameless) as draft:
            draft.writelines(chunks)
            draft.flush()
            os.fsync(draft.fileno())
            if os.fstat(draft.fileno()).st_nlink == 0:
                _give_name(draft, sibling)
        sibling.replace(path)
    finally:
        sibling.unlink(missing_ok=True)


def _open_nameless(name: str, flags: int) -> int:
    """Open a file that has no name yet; one with the name that was asked for where the OS knows no such thing."""
    if sys.platform == "linux":
        try:
            return os.open(Path(name).parent, os.O_TMPFILE | os.O_RDWR, 0o666)
        except OSError:
            pass  # the file system cannot; a real trouble, such as a read-only one, shows again below
    return os.open(name, flags, 0o666)


def _give_name(draft: BinaryIO, name: Path) -> None:
    fd = draft.fileno()
    try:
        # any src_dir_fd makes Python follow the link in /proc, which is the only way to the nameless file
        os.link(f"/proc/self/fd/{fd}", name, src_dir_fd=fd)
    except OSError:  # no /proc, or a file system or a policy that forbids it
        draft.seek(0)
        with name.open("xb") as copy:
            shutil.copyfileobj(draft, copy)
            copy.flush()
            os.fsync(copy.fileno())


def _open_spool(path: Path) -> IO[bytes]:
    """Open a nameless file, on the disk of the report so that a full disk is noticed during the run."""
    if path == STDOUT or _is_stream(path):
        return TemporaryFile()
    folder = path.resolve().parent
    if path.is_dir():
        raise ConfigError(f"--report: expected a file, found the folder {path}")
    if not folder.is_dir():
        found = "something else" if folder.exists() else "nothing"
        raise ConfigError(f"--report: expected a folder at {folder}, found {found}")
    try:
        return TemporaryFile(dir=folder)
    except OSError as error:
        raise ConfigError(f"--report: cannot write in {folder}: {error.strerror}") from error


def _is_stream(path: Path) -> bool:
    """Tell whether this is a pipe or a device, such as ``/dev/stderr``: nothing to be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _write_to_stdout(chunks: Iterable[bytes]) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.writelines(chunks)  # JSON is UTF-8, whatever the terminal speaks (RFC 8259 §8.1)
    sys.stdout.buffer.flush()


def _file_chunks(report: Report, products: Iterable[bytes]) -> Iterator[bytes]:
    """Lay the report out with one product a line, for eyes and for diff."""
    yield b'{"summary": ' + _encoded(_summary_entry(report))
    yield b',\n "search": ' + _encoded(_search_entry(report))
    yield b',\n "products": ['
    separator = b"\n"
    for product in products:
        yield separator + product.rstrip(b"\n")
        separator = b",\n"
    yield b"\n]}\n"


def _encoded(entry: dict[str, Any]) -> bytes:
    return json_text(entry, ascii_only=False).encode()  # lone surrogates of a file name that is no UTF-8 are escaped


def _summary_entry(report: Report) -> dict[str, Any]:
    return {
        "found": report.found,
        "downloaded": report.downloaded,
        "skipped": report.skipped,
        "failed": report.failed,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
    }


def _search_entry(report: Report) -> dict[str, Any]:
    return {
        "total": report.search_total,
        "pages": report.search_pages,
        "error": _error_entry(report.search_error or report.stopped_by),
        "left_out": dict(report.left_out),
        "missing": list(report.missing),
    }


def _product_entry(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": outcome.product.identifier,
        "status": outcome.status,
        "path": None if outcome.path is None else str(outcome.path),
        "bytes": outcome.bytes,
        "url": _bare_url(outcome.product.url),
        "seconds": round(outcome.seconds, 3),
        "attempts": outcome.attempts,
        "reason": outcome.reason,
        "error": _error_entry(outcome.error),
    }


def _error_entry(error: CollgsError | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {"kind": type(error).__name__, "message": _bare_message(error)}


def _bare_url(url: str | None) -> str | None:
    """Drop ``user:password@``, and nothing else: what follows may hold a URL of its own."""
    userinfo = _USERINFO.match(url or "")
    return url if url is None or userinfo is None else userinfo[1] + url[userinfo.end() :]


def _bare_message(error: CollgsError) -> str:
    """Drop ``user:password@`` from every URL in the message."""
    return _USERINFO.sub(r"\1", str(error))


def summary_lines(report: Report, folder: Path, *, interrupted: bool = False) -> list[str]:
    """Say what a run came to: how much, how fast, what failed and why, and what to do about it.

    Parameters
    ----------
    report
        What became of the run.
    folder
        Where the archives are.
    interrupted
        Whether the user or the system stopped the run before its end.
    """
    return [
        _headline(report, interrupted=interrupted),
        *([f"The archives are in {_shown(folder)}."] if report.downloaded else []),
        *([_search_line(report, report.search_error)] if report.search_error else []),
        *_failure_lines(report.failures),
        *missing_lines(report.missing),
        *_advice(report, interrupted=interrupted),
        *([left_out_line(report.left_out)] if report.left_out else []),
    ]


def left_out_line(left_out: Mapping[str, int]) -> str:
    """Say how many products were found and not wanted, and why, the most frequent reason first."""
    ranked = sorted(left_out.items(), key=lambda reason: (-reason[1], reason[0]))
    reasons = ", ".join(f"{count} {reason}" for reason, count in ranked)
    return f"Left out: {sum(left_out.values())} ({reasons})."


def missing_lines(missing: Sequence[str]) -> list[str]:
    """Name the identifiers that the catalogue does not list."""
    if not missing:
        return []
    hidden = len(missing) - _MOST_FAILURE_LINES
    return [
        f"Not found in the catalogue, of what was asked for by identifier: {len(missing)}",
        *(f"  {printable(name)}" for name in missing[:_MOST_FAILURE_LINES]),
        *([f"  and {hidden} more"] if hidden > 0 else []),
    ]


def _shown(folder: Path) -> str:
    return str(folder) if folder.parts else "this folder"


def _headline(report: Report, *, interrupted: bool) -> str:
    if report.found:
        return ("Interrupted: " if interrupted else "") + ", ".join(
            _tallies(report, interrupted=interrupted or report.stopped_by is not None)
        )
    moved = f" ({_amount(report)} of unfinished archives)" if report.bytes else ""
    if interrupted:
        return f"Interrupted before any product was done{moved}."
    if report.search_error or report.stopped_by:
        return f"Nothing was downloaded to its end{moved}." if moved else "Nothing was downloaded."
    if report.left_out:
        return "Nothing of what was found is wanted."
    if report.missing:
        return "Nothing was found."
    if not report.search_pages:
        return "The plan names no products."
    return "Nothing matches. Try a larger box, a longer time span or more clouds, and check the collection's name."


def _tallies(report: Report, *, interrupted: bool) -> Iterator[str]:
    if report.downloaded:
        yield f"{report.downloaded} downloaded ({_amount(report)})"
    if here := report.skipped - report.elsewhere:
        yield f"{here} already here"
    if report.elsewhere:
        yield f"{report.elsewhere} not here yet, since another run is fetching {_them(report.elsewhere)}"
    if report.failed:
        yield f"{report.failed} failed"
    if report.bytes and not report.downloaded and (interrupted or report.stopped_by):
        yield f"{_amount(report)} of unfinished archives"


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _amount(report: Report) -> str:
    amount = f"{format_bytes(report.bytes)} in {format_duration(report.seconds)}"
    return amount if report.seconds <= 0 else f"{amount}, {format_rate(report.bytes / report.seconds)}"


def _search_line(report: Report, error: CollgsError) -> str:
    if report.search_total is None or not report.found:
        return f"The search ended early: {_one_line(error)}"
    return f"The search ended early, at {report.found} of {report.search_total} products: {_one_line(error)}"


def _failure_lines(failures: Iterable[Outcome]) -> list[str]:
    """Name each reason once, the most frequent first, with the product or the first of the products."""
    reasons: dict[str, list[str]] = {}
    for failure in failures:
        reasons.setdefault(_one_line(failure.error), []).append(printable(failure.product.identifier))
    ranked = sorted(reasons.items(), key=lambda reason: -len(reason[1]))
    lines = ["Failed:"] if ranked else []
    lines += [_failure_line(reason, names) for reason, names in ranked[:_MOST_FAILURE_LINES]]
    hidden = sum(len(names) for _, names in ranked[_MOST_FAILURE_LINES:])
    if hidden:
        lines.append(f"  and {hidden} more")
    if hidden or any(len(names) > 1 for names in reasons.values()):
        lines.append("  --report FILE names every one of them.")
    return lines


def _failure_line(reason: str, names: list[str]) -> str:
    first, *others = names
    return f"  {first}: {reason}" if not others else f"  {first} and {len(others)} more: {reason}"


def _advice(report: Report, *, interrupted: bool) -> Iterator[str]:
    final = [failure for failure in report.failures if isinstance(failure.error, NotAvailableError)]
    if isinstance(report.stopped_by, AuthenticationError):
        return
    if isinstance(report.stopped_by, StorageError):
        yield "Make room or mend the folder, then run the same command again: what has arrived is kept."
    elif interrupted or report.search_error or report.elsewhere or len(final) < report.failed:
        yield "Run the same command again: what is here is kept, unfinished files go on where they stopped."
    elif final:
        yield "The store does not hand these out; running the same command again soon will not help."


def _one_line(error: CollgsError | None) -> str:
    if error is None:
        return "no reason given"
    return " ".join(printable(_bare_message(error)).split()) or type(error).__name__
