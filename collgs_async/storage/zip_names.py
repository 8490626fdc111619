"""Names of members as different writers spell them: code pages, separators, folders that are left out.

A name stands twice in an archive, in the directory and before the data. Bit 11 of the flags says that it is UTF-8
(APPNOTE.TXT §4.4.4, appendix D), and many writers forget it, or set it in one place only; some write the separators of
Windows, some leave the top folder out of one of the two.
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
    """Decode a name as its flags say; what is no UTF-8 is kept as lone surrogates."""
    return name.decode("utf-8", "surrogateescape") if flags & UTF8 else name.decode("cp437")


def encoded(name: str, flags: int) -> bytes:
    """Give the bytes that `decoded` was given."""
    return name.encode("utf-8", "surrogateescape") if flags & UTF8 else name.encode("cp437")


def canonical(name: str) -> str:
    """Write a name with slashes, in small letters, without drive, ``.`` and slashes at its ends."""
    path = unicodedata.normalize("NFC", _DRIVE.sub("", name)).lower().replace("\\", "/")
    return "/".join(piece for piece in path.split("/") if piece not in ("", "."))


def spellings(name: bytes, flags: int, extra: bytes = b"") -> frozenset[str]:
    """Give what a name may say, in canonical form: by each likely code page, and by its Unicode path field."""
    texts = {decoded(name, flags)}
    for page in _CODE_PAGES:
        with suppress(UnicodeDecodeError):
            texts.add(name.decode(page))
    for field, data in extra_fields(extra):
        # A CRC-32 of another name means that the field is out of date (§4.6.9).
        if field == UNICODE_PATH_FIELD and int.from_bytes(data[1:5], "little") == zlib.crc32(name):
            texts.add(data[5:].decode("utf-8", "replace"))
    return frozenset(filter(None, map(canonical, texts)))


def spell_the_same(one: bytes, ones: frozenset[str], other: bytes, others: frozenset[str]) -> bool:
    """Tell whether two names are of one file: equal, or one without its leading folders, or in unknown code pages.

    Parameters
    ----------
    one, other
        The names as they stand in the archive.
    ones, others
        Their `spellings`.
    """
    if any(a == b or a.endswith(f"/{b}") or b.endswith(f"/{a}") for a in ones for b in others):
        return True
    return canonical(_FOREIGN.sub(b"\0", one).decode()) == canonical(_FOREIGN.sub(b"\0", other).decode())
