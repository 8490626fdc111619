"""The outcome of a job."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from collgs_async.http.retry import clear_error_frames
from collgs_async.models.product import Outcome, Status

if TYPE_CHECKING:
    from collgs_async.errors import ProductError
    from collgs_async.transfer.job import DownloadJob

__all__ = ["outcome_of", "without_frames"]


def outcome_of(
    job: DownloadJob,
    status: Status,
    reason: str | None = None,
    error: ProductError | None = None,
    *,
    url: str | None = None,
) -> Outcome:
    """Return the outcome of a job that has ended; the version of its archive is known also without its sidecar.

    Parameters
    ----------
    url
        Where its archive is in an object store; None: it is a file.
    """
    remote = job.part.remote if status is Status.DOWNLOADED else None  # that of a part file may be of an earlier run
    return Outcome(
        job.product,
        status,
        path=job.result if error is None and url is None else None,
        bytes=job.bytes_received,
        seconds=time.monotonic() - job.history.begun,
        attempts=job.attempts,
        reason=reason,
        error=error,
        members=job.members,
        size=remote.size if remote else None,
        etag=remote.etag if remote else None,
        last_modified=remote.last_modified if remote else None,
        place=url if error is None else None,
    )


def without_frames(error: ProductError) -> ProductError:
    """Clear an error's frames and causes, which reference buffers, because outcomes are kept until the end."""
    clear_error_frames(error)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
