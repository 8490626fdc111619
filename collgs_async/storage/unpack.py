"""Unpack the data of a member in pieces of limited size, whatever its compression ratio."""

from __future__ import annotations

import zlib
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import IntegrityError
from collgs_async.storage.archive_reading import check_cancelled
from collgs_async.storage.zip_format import BZIP2, DEFLATED, ENDS_BY_MARK, codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from collgs_async.storage.zip_directory import Member

__all__ = ["TooLargeError", "Unpacking"]

_MIB: Final = 2**20
_LARGEST_DICTIONARY: Final = 64 * _MIB
"""Maximum LZMA dictionary in bytes; the strongest settings of common writers use it."""

_LZMA_HEADER: Final = 9
"""Bytes of an LZMA member before its stream: version, length of the properties, and these (APPNOTE.TXT §5.8.8)."""


class TooLargeError(Exception):
    """Unpacking the member would need too much memory."""


class Unpacking:
    """The unpacked data of one member; iterate once.

    Parameters
    ----------
    member
        Its directory entry; the method is 8, 12 or 14.
    pieces
        The packed data.
    most
        Maximum bytes of one unpacked piece.
    stop
        Called before every piece; returns True to cancel.

    Attributes
    ----------
    surplus
        Whether packed bytes follow the end of the stream; valid after the iteration.
    """

    def __init__(
        self, member: Member, pieces: Iterable[bytes | memoryview], most: int, stop: Callable[[], bool]
    ) -> None:
        self._member = member
        self._pieces: Iterator[bytes | memoryview] = iter(pieces)
        self._most = most
        self._stop = stop
        self.surplus = False

    def __iter__(self) -> Iterator[bytes]:
        """Unpack.

        Raises
        ------
        IntegrityError
            The packed data are damaged or truncated.
        TooLargeError
            Unpacking would need too much memory.
        Stopped
            `stop()` returned True.
        """
        method = self._member.method
        if method == DEFLATED:
            return self._inflated()
        if method == BZIP2:
            return self._unpacked(import_module("bz2").BZ2Decompressor(), ends_by_mark=True)
        return self._unpacked(self._lzma(), ends_by_mark=bool(self._member.flags & ENDS_BY_MARK))

    def _inflated(self) -> Iterator[bytes]:
        inflater = codec.decompressobj(-zlib.MAX_WBITS)
        try:
            for piece in self._pieces:
                while piece and not inflater.eof:  # at the end, zlib may leave the same bytes in both tails
                    check_cancelled(self._stop)
                    yield inflater.decompress(piece, self._most)
                    piece = inflater.unconsumed_tail
                if inflater.eof:
                    break
            # The end of the last match may be pending, because the previous piece was full.
            while not inflater.eof and (rest := inflater.decompress(b"", self._most)):
                yield rest
        except codec.error as error:
            raise IntegrityError(f"its data cannot be inflated: {error}") from error
        if not inflater.eof:
            raise IntegrityError("its deflate stream is cut short")
        self.surplus = bool(inflater.unused_data) or any(True for _ in self._pieces)

    def _unpacked(self, decompressor: Any, *, ends_by_mark: bool) -> Iterator[bytes]:
        """Unpack with a decompressor of `bz2` or `lzma`, which buffers input that it cannot process yet."""
        for piece in self._pieces:
            while not decompressor.eof:
                check_cancelled(self._stop)
                out = self._step(decompressor, piece)
                yield out
                piece = b""
                if decompressor.needs_input or not out:
                    break
            if decompressor.eof:
                break
        if ends_by_mark and not decompressor.eof:
            raise IntegrityError("its packed data are cut short")
        self.surplus = bool(decompressor.unused_data) or any(True for _ in self._pieces)

    def _step(self, decompressor: Any, piece: bytes | memoryview) -> bytes:
        try:
            out: bytes = decompressor.decompress(piece, self._most)
        except MemoryError as error:
            raise TooLargeError from error
        except Exception as error:  # each decompressor has its own exception class, and nothing else is called here
            raise IntegrityError(f"its data cannot be unpacked: {error}") from error
        return out

    def _lzma(self) -> Any:
        """Read the LZMA header, and return a decompressor for the raw stream after it."""
        lzma, header = import_module("lzma"), b""
        for piece in self._pieces:
            header += bytes(piece)
            if len(header) >= _LZMA_HEADER:
                break
        properties = header[4:_LZMA_HEADER]
        if len(properties) != 5 or header[2:4] != b"\5\0" or properties[0] >= 9 * 5 * 5:
            raise IntegrityError("its LZMA header makes no sense")
        rest, lc = divmod(properties[0], 9)
        # No match reaches back beyond the first byte, so short data need only a small dictionary.
        dictionary = max(4096, min(int.from_bytes(properties[1:], "little"), self._member.uncompressed))
        if dictionary > _LARGEST_DICTIONARY:
            raise TooLargeError
        self._pieces = chain([header[_LZMA_HEADER:]], self._pieces)
        chosen = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": rest % 5, "pb": rest // 5}
        try:
            return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chosen])
        except (lzma.LZMAError, ValueError) as error:
            raise IntegrityError(f"its LZMA header makes no sense: {error}") from error
