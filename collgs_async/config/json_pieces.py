"""Read a JSON object whose lists are too long to be held: one item after the other, with the position of errors."""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["JsonReader", "TooLargeError"]

_CHUNK: Final = 1 << 18
"""Bytes read at a time, and more where one value is longer."""

_BLANK: Final = re.compile(r"[ \t\n\r]*")
_TAIL: Final = 16
"""Characters at the end of what was read in which an error may come from the cut: an escaped surrogate pair, a word."""

_CUT_NUMBER: Final = 3
"""Characters behind a number with which it is certain to be complete: ``1`` may go on as ``1e+5``."""

_PROPERTY: Final = "Expecting property name enclosed in double quotes"


class TooLargeError(Exception):
    """The file is longer than permitted."""


class JsonReader:
    """A JSON text (RFC 8259) in UTF-8, parsed as it is read.

    Errors are those of `json.loads`, in its order: first the encoding of the whole file, then the first wrong place.

    Parameters
    ----------
    stream
        The file, at its beginning; a byte order mark is skipped.
    decoder
        Parses the values.
    max_bytes
        Its permitted length.
    chunk
        Bytes to read at a time, at least 3.
    """

    def __init__(self, stream: BinaryIO, decoder: json.JSONDecoder, max_bytes: int, chunk: int = _CHUNK) -> None:
        self._stream = stream
        self._decoder = decoder
        self._left = max_bytes
        self._chunk = chunk
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._bytes: int | None = None
        self._ended = False
        self._text = ""
        self._at = 0
        self._line = 1
        self._column = 1

    def read(self, take: Mapping[str, Callable[[Any, str], None]]) -> tuple[Any, list[tuple[str, Any]] | None]:
        """Read the text to its end.

        Parameters
        ----------
        take
            Called with each item of these lists of the top object, and its text; the lists are not held.

        Returns
        -------
        value
            The value, when it is no object, else None.
        pairs
            The keys and values of the object, in order; of a list in `take`, an empty list. None: it is no object.

        Raises
        ------
        json.JSONDecodeError
            It is not JSON; position and line are those in the file.
        UnicodeDecodeError
            It is not UTF-8; the position is that in the file.
        TooLargeError
            It is longer than permitted.
        """
        try:
            pairs = self._pairs(take) if self._peek() == "{" else None
            value = None if pairs is not None else self._value()[0]
            if self._peek():
                self._fail("Extra data")
        except UnicodeDecodeError:
            raise
        except (ValueError, RecursionError):
            while self._more():  # a wrong byte further on is told first
                self._at = len(self._text)
            raise
        return value, pairs

    def _pairs(self, take: Mapping[str, Callable[[Any, str], None]]) -> list[tuple[str, Any]]:
        pairs: list[tuple[str, Any]] = []
        self._at += 1
        if self._peek() == "}":
            self._at += 1
            return pairs
        while True:
            if self._peek() != '"':
                self._fail(_PROPERTY)
            key, _ = self._value()
            if self._peek() != ":":
                self._fail("Expecting ':' delimiter")
            self._at += 1
            if key in take and self._peek() == "[":
                self._items(take[key])
                pairs.append((key, []))
            else:
                pairs.append((key, self._value()[0]))
            if self._ends("}"):
                return pairs

    def _items(self, take: Callable[[Any, str], None]) -> None:
        self._at += 1
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            take(*self._value())
            if self._ends("]"):
                return

    def _ends(self, bracket: str) -> bool:
        """Skip what follows a member: its bracket, which ends all, or a comma."""
        found = self._peek()
        if found not in {",", bracket} or not found:
            self._fail("Expecting ',' delimiter")
        self._at += 1
        return found == bracket

    def _value(self) -> tuple[Any, str]:
        """Parse the value here; also return its text."""
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - _TAIL
                if not cut or self._ended:
                    self._fail(error.msg, error.pos)
            else:
                if isinstance(value, dict | list | str) or len(self._text) - end >= _CUT_NUMBER or self._ended:
                    text = self._text[self._at : end]
                    self._at = end
                    return value, text
            self._more()

    def _peek(self) -> str:
        """Skip white space; return the next character, an empty text at the end."""
        while True:
            blank = _BLANK.match(self._text, self._at)
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read on, as much as is still to be parsed; False: nothing is left."""
        if self._ended:
            return False
        self._line, self._column = self._place(self._at)
        self._text, self._at = self._text[self._at :], 0
        data = self._stream.read(max(self._chunk, len(self._text)))
        self._ended = not data
        if self._bytes is None:
            self._bytes, data = 0, data.removeprefix(codecs.BOM_UTF8)
        self._left -= len(data)
        if self._left < 0:
            raise TooLargeError
        before = self._bytes - len(self._utf8.getstate()[0])
        self._bytes += len(data)
        try:
            self._text += self._utf8.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            error.start += before
            error.end += before
            raise
        return not self._ended

    def _place(self, position: int) -> tuple[int, int]:
        """Return line and column, from 1, of a position in the text that is held."""
        lines = self._text.count("\n", 0, position)
        if not lines:
            return self._line, self._column + position
        return self._line + lines, position - self._text.rindex("\n", 0, position)

    def _fail(self, message: str, position: int | None = None) -> NoReturn:
        error = json.JSONDecodeError(message, "", 0)
        error.lineno, error.colno = self._place(self._at if position is None else position)
        raise error
