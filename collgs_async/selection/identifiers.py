"""Read lists of product identifiers, for ``--ids``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collgs_async.errors import ConfigError
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.sentinel import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["bare", "read_identifiers"]

STDIN: Final = "-"
MAX_BYTES: Final = 100 * 10**6
"""Limit in bytes; a million identifiers take 61 MB."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9][!-+\--~]{0,254}")  # printable; commas separate identifiers in a search
_SUFFIX = re.compile(r"(?:\.SAFE|\.SEN3)?(?:\.zip)?$", re.IGNORECASE)


def bare(identifier: str) -> str:
    """Remove the suffixes of archives and folders."""
    return _SUFFIX.sub("", identifier)


def read_identifiers(source: str | Path | Sequence[str], *, place: str = "selection.ids") -> tuple[str, ...]:
    """Read identifiers in order, without duplicates.

    Parameters
    ----------
    source
        A file name, ``-`` for standard input, or the identifiers themselves. A file separates them by blanks, commas or
        line ends; a ``#`` begins a comment, and the suffixes ``.zip`` and ``.SAFE`` are dropped. The name of a Sentinel
        product may be in any case, and at the end of a path or a URL.
    place
        What messages call identifiers that are given themselves.

    Raises
    ------
    ConfigError
        The file cannot be read, has an invalid identifier, or is empty.
    """
    if isinstance(source, str | Path):
        place, words = ("standard input" if source == STDIN else str(source)), _words(_text(source))
    else:
        words = iter(enumerate(source, start=1))
    found = tuple(dict.fromkeys(_checked(words, place)))
    if not found:
        raise ConfigError(f"{place}: expected identifiers, one a line, found none")
    return found


def _text(source: str | Path) -> str:
    try:
        if source == STDIN:
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"--ids: expected a file that can be read, found {quote_value(str(source))} ({reason})"
        ) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{source}: expected at most {MAX_BYTES // 10**6} MB of identifiers, found more")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: expected UTF-8 text, found another encoding at byte {error.start}") from None


def _words(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        for word in line.partition("#")[0].replace(",", " ").split():
            yield number, word


def _checked(words: Iterable[tuple[int, str]], place: str) -> Iterator[str]:
    for number, word in words:
        name = _normalise(word.strip())
        if not _IDENTIFIER.fullmatch(name):
            raise ConfigError(
                f"{place}, line {number}: expected the identifier of a product, found {quote_value(word)}"
            )
        yield name


def _normalise(word: str) -> str:
    """Normalise a name: that of a Sentinel product in upper case, also at the end of a path or a URL."""
    last = bare(word.rpartition("/")[2]).upper()
    return last if parse(last) else bare(word)
