"""Decide whether to skip, resume or fetch a product, from the files that are in the output folder."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING

from collgs_async.errors import FileError, IntegrityError
from collgs_async.storage.filenames import part_of
from collgs_async.storage.files import refuse_odd
from collgs_async.storage.verify import Level, verify_archive

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.models.product import Product

__all__ = ["Action", "decide", "inspect_local"]

log = logging.getLogger("collgs_async")


class Action(StrEnum):
    """What to do with a product."""

    SKIP = "skip"
    """Nothing: the archive is in the folder."""

    RESUME = "resume"
    """Download the rest of the part file."""

    FETCH = "fetch"
    """Download the archive from its first byte on."""


def decide(*, whole: bool, part: int, skip_existing: bool) -> Action:
    """Return what to do with a product.

    =================  ==========  =================  ==========
    complete archive   bytes in a  existing archives  action
    under its name     part file   are skipped
    =================  ==========  =================  ==========
    yes                any         yes                skip
    yes                none        no                 fetch
    yes                some        no                 resume
    no                 none        any                fetch
    no                 some        any                resume
    =================  ==========  =================  ==========

    Parameters
    ----------
    whole
        Whether a file has the final name, is a structurally complete archive, and is not another product's.
    part
        Length of the part file in bytes; 0 if there is none.
    skip_existing
        Whether existing archives are kept rather than downloaded again.
    """
    if whole and skip_existing:
        return Action.SKIP
    return Action.RESUME if part else Action.FETCH


def inspect_local(product: Product, final: Path, *, skip_existing: bool, stop: Callable[[], bool]) -> Action:
    """Inspect a product's files and return what to do with it; changes nothing.

    Parameters
    ----------
    final
        Path of the archive, which need not exist.
    skip_existing
        As for `decide`.
    stop
        Called regularly; returns True to cancel.

    Raises
    ------
    ProductError
        Something that is not a file has the name of the archive or the part file, or a file cannot be read.
    """
    try:
        # The archive may be a symbolic link, since it is only read or replaced. The part file, which is written, may
        # not: following a link would write elsewhere.
        archive, part = _status(final, final.stat), _status(part_of(final), part_of(final).lstat)
        return decide(
            whole=archive is not None and _is_whole(product, final, stop),
            part=part.st_size if part is not None else 0,
            skip_existing=skip_existing,
        )
    except PermissionError as error:
        raise FileError(f"{error.filename} cannot be read: {error.strerror}") from error


def _status(path: Path, ask: Callable[[], os.stat_result]) -> os.stat_result | None:
    try:
        status = ask()
    except (FileNotFoundError, NotADirectoryError):
        return None
    refuse_odd(path, status.st_mode)
    return status


def _is_whole(product: Product, final: Path, stop: Callable[[], bool]) -> bool:
    try:
        # The catalogue's length is not checked: where it is wrong, the product would be downloaded at each run.
        verify_archive(final, level=Level.STRUCTURE, identifier=product.identifier, stop=stop)
    except IntegrityError as error:
        log.warning("%s: the file that is here is not its whole archive (%s)", product.identifier, error)
        return False
    return True
