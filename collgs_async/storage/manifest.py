"""Parse the manifest of a product: ``manifest.safe`` of Sentinel-1 and -2, ``xfdumanifest.xml`` of Sentinel-3.

Both are XFDU documents (CCSDS 661.0-B-1). Each file of the product is a ``byteStream`` with its size, a
``fileLocation`` relative to the manifest, and a ``checksum``: MD5 for Sentinel-1, Sentinel-3 and older products of
Sentinel-2, SHA3-256 for newer ones. They are the processing centre's own digests, and so older than any transfer.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote
from xml.parsers import expat

from collgs_async.errors import IntegrityError
from collgs_async.models.text import plural
from collgs_async.storage.archive_reading import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "LARGEST_MANIFEST",
    "MANIFEST_NAMES",
    "MOST_DIGESTS",
    "ByteStream",
    "StatedDigest",
    "parse_manifest",
]

MANIFEST_NAMES: Final = frozenset({"manifest.safe", "xfdumanifest.xml"})

LARGEST_MANIFEST: Final = 16 * 2**20
"""Maximum bytes of a manifest; the largest known one, of a composite of Sentinel-3, has 3.2 MB."""

_ALGORITHMS: Final = {
    name.replace("_", ""): name
    for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384", "sha3_512")
}
"""Names of `hashlib` by the letters and digits of their name in a manifest, in lower case."""

_LONGEST_DIGEST: Final = 1024
_DEEPEST: Final = 100
_MOST_NAMES: Final = 2000
"""Maximum elements within each other, and different names of elements and attributes: the parser keeps all of them."""

_MOST_LOCATIONS: Final = 100
MOST_DIGESTS: Final = 16
"""Maximum locations and digests of one entry; a manifest has one of each."""

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_NO_ALGORITHM_CHARACTER: Final = re.compile(r"[^a-z0-9]")


class StatedDigest(NamedTuple):
    """A digest as the manifest states it, such as ``SHA3-256``, and without blanks around its digits."""

    algorithm: str
    digits: str

    @property
    def hash_name(self) -> str | None:
        """Name of the algorithm for `hashlib`; None if it is not supported."""
        return _ALGORITHMS.get(_NO_ALGORITHM_CHARACTER.sub("", self.algorithm.lower()))


@dataclass(frozen=True, slots=True)
class ByteStream:
    """One entry of a manifest.

    Attributes
    ----------
    locations
        Its addresses as stated; usually one.
    size
        Length in bytes; None: not stated, or no number.
    digests
        The digests that are stated; none of them is empty.
    """

    locations: tuple[str, ...]
    size: int | None
    digests: tuple[StatedDigest, ...]

    def paths(self) -> Iterator[tuple[str, ...]]:
        """Yield for each location its possible paths relative to the manifest, likely ones first; none: it is outside.

        A location is a URL, so a character may be percent-encoded (RFC 3986 §2.1); many writers encode none.
        """
        for location in self.locations:
            bare = location[5:] if location[:5].lower() == "file:" and location[5:7] != "//" else location
            spellings = [] if _SCHEME.match(bare) else [bare, unquote(bare)]
            paths = [posixpath.normpath(spelling.replace("\\", "/")) for spelling in dict.fromkeys(spellings)]
            yield tuple(path for path in paths if not path.startswith(("/", "../")) and path not in (".", ".."))


def parse_manifest(pieces: Iterable[bytes | memoryview]) -> Iterator[ByteStream]:
    """Parse a manifest while it is read, and yield its entries.

    Parameters
    ----------
    pieces
        Its bytes.

    Raises
    ------
    IntegrityError
        It is no manifest, is larger than `LARGEST_MANIFEST`, or has a document type, whose entities may expand without
        limit and name other files.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.StartElementHandler = reader.begin
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    left = LARGEST_MANIFEST
    try:
        for piece in pieces:
            left -= len(piece)
            if left < 0:
                raise IntegrityError(f"it has more than {plural(LARGEST_MANIFEST, 'byte')}")
            parser.Parse(bytes(piece), False)
            yield from reader.take()
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # LookupError: an unknown encoding
        raise IntegrityError(f"it is no XML: {error}") from None
    yield from reader.take()


def _refuse_document_type(*_: object) -> None:
    raise IntegrityError("it has a document type, which no manifest has")


class _Reader:
    """Handles elements as they begin and end; prefixes of namespaces are ignored."""

    def __init__(self) -> None:
        self._found: list[ByteStream] = []
        self._depth = 0
        self._names: set[str] = set()
        self._within = False
        self._size: int | None = None
        self._locations: list[str] = []
        self._digests: list[StatedDigest] = []
        self._algorithm: str | None = None
        self._digits = ""

    def take(self) -> list[ByteStream]:
        """Return the entries that ended since the last call."""
        found, self._found = self._found, []
        return found

    def begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._names.add(tag)
        self._names.update(attributes)
        if len(self._names) > _MOST_NAMES:
            raise IntegrityError(f"it has more than {_MOST_NAMES} names of elements and attributes")
        tag = tag.rpartition(":")[2]
        if not self._depth and tag != "XFDU":
            raise IntegrityError(f"expected the element XFDU, found {quoted(tag)}")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise IntegrityError(f"it has more than {_DEEPEST} elements within each other")
        if tag == "byteStream":
            size = attributes.get("size", "")
            self._size = int(size) if size.isascii() and size.isdigit() and len(size) < 20 else None
            self._within, self._locations, self._digests = True, [], []
        elif self._within and tag == "fileLocation" and "href" in attributes:
            self._locations.append(attributes["href"])
            if len(self._locations) > _MOST_LOCATIONS:
                raise IntegrityError(f"it states more than {_MOST_LOCATIONS} locations of one file")
        elif self._within and tag == "checksum":
            self._algorithm, self._digits = attributes.get("checksumName", ""), ""

    def text(self, text: str) -> None:
        if self._algorithm is not None and len(self._digits) < _LONGEST_DIGEST:
            self._digits += text

    def end(self, tag: str) -> None:
        self._depth -= 1
        tag = tag.rpartition(":")[2]
        if tag == "checksum" and self._algorithm is not None:
            if digits := self._digits.strip():
                self._digests.append(StatedDigest(self._algorithm, digits))
                if len(self._digests) > MOST_DIGESTS:
                    raise IntegrityError(f"it states more than {MOST_DIGESTS} digests of one file")
            self._algorithm = None
        elif tag == "byteStream" and self._within:
            self._found.append(ByteStream(tuple(self._locations), self._size, tuple(self._digests)))
            self._within = False
