"""What is to be done about a product, from what is here of it."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING

from collgs_async.errors import FileError, IntegrityError
from collgs_async.storage.files import refuse_odd
from collgs_async.storage.part import part_of
from collgs_async.storage.verify import Level, verify_archive

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from collgs_async.models.product import Product

__all__ = ["Action", "decide", "inspect_local"]

log = logging.getLogger("collgs_async")


class Action(StrEnum):
    """What is to be done about a product."""

    SKIP = "skip"
    """Nothing: its archive is here."""

    RESUME = "resume"
    """Fetch the rest of what is here."""

    FETCH = "fetch"
    """Fetch it from its first byte on."""


def decide(*, whole: bool, part: int, skip_existing: bool) -> Action:
    """Choose what to do about a product.

    =================  ==========  =================  ==========
    a whole archive    bytes of    archives that are  action
    has its name       a part      here are trusted
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
        Whether a file with the final name is here, of the right structure, and not another product's.
    part
        Length of the part in bytes; 0 when there is none.
    skip_existing
        Whether to leave alone what is here.
    """
    if whole and skip_existing:
        return Action.SKIP
    return Action.RESUME if part else Action.FETCH


def inspect_local(product: Product, final: Path, *, skip_existing: bool, stop: Callable[[], bool]) -> Action:
    """Look what is here of a product and choose what to do about it; changes nothing.

    Parameters
    ----------
    product
        The product.
    final
        Where its archive is, or will be.
    skip_existing
        As for `decide`.
    stop
        Asked now and then whether to give up.

    Raises
    ------
    ProductError
        Something else has the name that its archive or its part needs, or nobody may read what is here.
    """
    try:
        # An archive may be a link to one: it is read, and replaced, but never written. A part is written.
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
        # Not by the length that the catalogue gives: where it errs, the product would be fetched at each run.
        verify_archive(final, level=Level.STRUCTURE, identifier=product.identifier, stop=stop)
    except IntegrityError as error:
        log.warning("%s: the file that is here is not its whole archive (%s)", product.identifier, error)
        return False
    return True
