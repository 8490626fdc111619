"""Write the state of a mirror for monitoring: the file of ``--metrics``, in the text format of Prometheus.

The format is that of version 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/), as the textfile
collector of node_exporter reads it: without times of its own, and replaced at once.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from collgs_async.errors import CollgsError
from collgs_async.ledger.state_records import mirror_state
from collgs_async.models.timing import wait_completed
from collgs_async.storage.atomic import may_replace, unwritable_kind, write_file
from collgs_async.storage.executor import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from collgs_async.mirror.context import Mirror

__all__ = ["Metrics", "write_metrics", "write_run_metrics"]

log = logging.getLogger("collgs_async")

_BEGINNING: Final = b"# HELP collgs_"


@dataclass(frozen=True, slots=True)
class Metrics:
    """The state of a mirror at the end of a run; what is None is left out. Times are seconds since the epoch.

    Attributes
    ----------
    watch
        The name of what is watched: the label of each metric.
    exit_code
        Of this run.
    ended
        The end of this run.
    last_success
        The end of the last run with exit code 0, this one included.
    products
        The number of products by state.
    held_bytes
        Length of all archives that are here.
    run_bytes
        Archive bytes transferred by this run.
    oldest_check
        When the archive that was not verified for the longest time was verified; 0: one never was.
    oldest_listing
        When the part of the catalogue that was not listed for the longest time was listed; 0: one never was.
    free_bytes
        Free room on the disk of the output folder.
    """

    watch: str
    exit_code: int
    ended: float
    last_success: float | None = None
    products: Mapping[str, int] = field(default_factory=dict)
    held_bytes: int | None = None
    run_bytes: int | None = None
    oldest_check: float | None = None
    oldest_listing: float | None = None
    free_bytes: int | None = None

    def lines(self) -> Iterator[str]:
        """Yield the lines of the file."""
        plain = (
            ("last_success_timestamp_seconds", "End of the last run with exit code 0.", self.last_success),
            ("last_end_timestamp_seconds", "End of the last run.", self.ended),
            ("exit_code", "Exit code of the last run.", self.exit_code),
            ("held_bytes", "Length of all archives that are here.", self.held_bytes),
            ("run_bytes", "Archive bytes transferred by the last run.", self.run_bytes),
            (
                "oldest_check_timestamp_seconds",
                "When the archive longest not verified was verified; 0: never.",
                self.oldest_check,
            ),
            (
                "oldest_listing_timestamp_seconds",
                "When the span longest not listed was listed; 0: never.",
                self.oldest_listing,
            ),
            ("free_bytes", "Free room on the disk of the output folder.", self.free_bytes),
        )
        watch = f'watch="{_escaped(self.watch)}"'
        for name, words, value in plain:
            if value is not None:
                yield from _head(name, words)
                yield f"collgs_{name}{{{watch}}} {_number(value)}"
        if self.products:
            yield from _head("products", "Products by state.")
            for state, count in sorted(self.products.items()):
                yield f'collgs_products{{{watch},state="{_escaped(state)}"}} {_number(count)}'


async def write_run_metrics(mirror: Mirror, *, watch: str, words: str, code: int, moved: int, ended: int) -> None:
    """Write the file of ``--metrics``, if there is one, at the end of a run; whatever fails is a warning.

    Parameters
    ----------
    watch
        The name of what was watched; empty: the whole folder.
    words
        The command.
    code
        Its exit code.
    moved
        Archive bytes transferred.
    ended
        Milliseconds UTC.
    """
    path = mirror.config.keep.metrics
    if path is None:
        return
    try:
        state = await mirror.ledger.run(mirror_state, watch, words)
        free = (await in_thread(None, lambda: shutil.disk_usage(mirror.ledger.paths.folder))).free
    except (CollgsError, OSError) as error:
        log.warning("--metrics: cannot write %s: %s", path, error)
        return
    metrics = Metrics(
        watch=watch,
        exit_code=code,
        ended=ended / 1000,
        last_success=_seconds(state.last_success),
        products=state.products,
        held_bytes=state.held_bytes,
        run_bytes=moved,
        oldest_check=_seconds(state.oldest_check),
        oldest_listing=_seconds(state.oldest_listing),
        free_bytes=free,
    )
    await wait_completed(in_thread(None, lambda: write_metrics(path, metrics)))


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def write_metrics(path: Path, metrics: Metrics) -> None:
    """Write the file at once, or log a warning: that it cannot be written fails no run."""
    try:
        if kind := unwritable_kind(path):
            log.warning("--metrics: expected a file, found %s at %s", kind, path)
        elif not may_replace(path, _BEGINNING):
            log.warning("--metrics: expected no file or metrics, found another file at %s; it was left alone", path)
        else:
            write_file(path, [f"{line}\n".encode() for line in metrics.lines()])
    except OSError as error:
        log.warning("--metrics: cannot write %s: %s", path, error.strerror or error)


def _head(name: str, words: str) -> tuple[str, str]:
    return f"# HELP collgs_{name} {words}", f"# TYPE collgs_{name} gauge"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _escaped(value: str) -> str:
    """Return the value of a label: backslashes, quotes and line feeds are escaped."""
    printable = value.encode("utf-8", "replace").decode()
    return printable.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
