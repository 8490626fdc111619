"""Compare names of members that were written in different ways: code pages, separators, missing folders.

A name occurs twice in an archive: in the central directory and in the local header. Bit 11 of the flags marks it as
UTF-8 (APPNOTE.TXT §4.4.4, appendix D), but many writers omit the bit, or set it in one place only. Some writers use the
separators of Windows, and some omit the top folder in one of the two places.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from contextlib import suppress

from collgs_async.storage.zip_format import UNICODE_PATH_FIELD, UTF8, extra_fields

__all__ = ["canonical", "decoded", "encoded", "spell_the_same", "spellings"]

_CODE_PAGES = ("utf-8", "cp437", "cp850", "cp1252")
_DRIVE = re.compile(r"\A[A-Za-z]:")
_FOREIGN = re.compile(rb"(?:[^\x20-\x7e]|\?)+")


def decoded(name: bytes, flags: int) -> str:
    """Decode a name according to its flags; invalid UTF-8 is kept as lone surrogates."""
    return name.decode("utf-8", "surrogateescape") if flags & UTF8 else name.decode("cp437")


def encoded(name: str, flags: int) -> bytes:
    """Return the original bytes of a name that `decoded` returned."""
    return name.encode("utf-8", "surrogateescape") if flags & UTF8 else name.encode("cp437")


def canonical(name: str) -> str:
    """Normalize a name: lower case, slashes as separators, no drive, no ``.``, no slashes at either end."""
    path = unicodedata.normalize("NFC", _DRIVE.sub("", name)).lower().replace("\\", "/")
    return "/".join(piece for piece in path.split("/") if piece not in ("", "."))


def spellings(name: bytes, flags: int, extra: bytes = b"") -> frozenset[str]:
    """Return the possible readings of a name, normalized: by each likely code page, and by its Unicode path field."""
    texts = {decoded(name, flags)}
    for page in _CODE_PAGES:
        with suppress(UnicodeDecodeError):
            texts.add(name.decode(page))
    for field, data in extra_fields(extra):
        # The field holds the CRC-32 of the name it was made for; another one is outdated (APPNOTE.TXT §4.6.9).
        if field == UNICODE_PATH_FIELD and int.from_bytes(data[1:5], "little") == zlib.crc32(name):
            texts.add(data[5:].decode("utf-8", "replace"))
    return frozenset(filter(None, map(canonical, texts)))


def spell_the_same(one: bytes, ones: frozenset[str], other: bytes, others: frozenset[str]) -> bool:
    """Whether two names mean the same file: equal, without leading folders, or equal apart from non-ASCII characters.

    Parameters
    ----------
    one, other
        The bytes of the names in the archive.
    ones, others
        Their `spellings`.
    """
    if any(a == b or a.endswith(f"/{b}") or b.endswith(f"/{a}") for a in ones for b in others):
        return True
    return canonical(_FOREIGN.sub(b"\0", one).decode()) == canonical(_FOREIGN.sub(b"\0", other).decode())
