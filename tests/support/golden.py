"""Real products: the names, sizes and order of their members, and archives of these sizes that hardly take any disk.

The names and sizes are those of the manifests in the public test data of stactools-packages/sentinel1, sentinel2 and
sentinel3; the files that the manifests leave out, such as schemas, are listed in the same test data. Products with
`made_up` set have real names of members and plausible sizes instead: no manifest of an SLC product of two
polarisations, or of a cloud-optimised GRD product, was found. How strongly members are packed is an assumption for all:
text to an eighth, images of GRD to a half, the rest stored.
"""

from __future__ import annotations

import json
import random
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["GOLDEN", "GoldenMember", "GoldenProduct", "crc_of", "write_sparse"]

_TEXT = frozenset({".gml", ".html", ".kml", ".safe", ".xml", ".xsd", ".xsl"})
_CRC_POLYNOMIAL = 0xEDB88320
_ALL_ONES = 0xFFFFFFFF
_TIME, _DATE = 0, 0x5301


@dataclass(frozen=True, slots=True)
class GoldenMember:
    """One member: its first bytes are those of its name, the others are zeros.

    Attributes
    ----------
    name
        The path in the archive, from the product's folder.
    size
        Length of the unpacked data in bytes.
    width
        Bits that a byte takes in the archive; 8: it is stored.
    """

    name: str
    size: int
    width: int

    @property
    def start(self) -> bytes:
        """The data up to the zeros."""
        return self.name.encode()[: self.size]

    @property
    def crc(self) -> int:
        """CRC-32 of the data."""
        return crc_of(self.start, self.size - len(self.start))

    @property
    def packed(self) -> int:
        """Length of the packed data in bytes."""
        return sum(part if isinstance(part, int) else len(part) for part in self.parts())

    def parts(self) -> Iterator[bytes | int]:
        """Yield the packed data in order: bytes, or the length of a run of zeros."""
        zeros = self.size - len(self.start)
        if self.width == 8:
            yield self.start
            yield zeros
        else:
            yield struct.pack("<B2H", 0, len(self.start), len(self.start) ^ 0xFFFF) + self.start
            yield from _deflated_zeros(zeros, self.width)


@dataclass(frozen=True, slots=True)
class GoldenProduct:
    """One product.

    Attributes
    ----------
    identifier
        Its name.
    members
        In the order of the manifest, which is the first.
    made_up
        Whether the sizes are plausible rather than real.
    """

    identifier: str
    members: tuple[GoldenMember, ...]
    made_up: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its members."""
        return tuple(member.name for member in self.members)


@cache
def crc_of(start: bytes, zeros: int) -> int:
    """Compute the CRC-32 of these bytes and zeros after them, in a time that hardly grows with their number."""
    power, square = 1 << 31, 1 << 23
    while zeros:
        if zeros & 1:
            power = _multiply(power, square)
        square = _multiply(square, square)
        zeros >>= 1
    return _multiply(zlib.crc32(start) ^ _ALL_ONES, power) ^ _ALL_ONES


def write_sparse(path: Path, product: GoldenProduct, *, shuffled: int | None = None, folders: bool = False) -> None:
    """Write the archive of a product to a file of its full length, of which only headers take disk space.

    Parameters
    ----------
    path
        The file, which is overwritten.
    product
        Its archive has ZIP64 records where its length demands them.
    shuffled
        A seed for another order of the members; None: that of the manifest.
    folders
        Whether the folders have entries of their own, each before the first member in it.
    """
    members = list(product.members)
    if shuffled is not None:
        random.Random(shuffled).shuffle(members)
    if folders:
        members = list(_with_folders(members))
    directory = bytearray()
    with path.open("wb") as file:
        for member in members:
            name, offset, packed = member.name.encode(), file.tell(), member.packed
            facts = (8 if member.width < 8 else 0, _TIME, _DATE, member.crc, packed, member.size, len(name))
            file.write(struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, *facts, 0) + name)
            for part in member.parts():
                if isinstance(part, int):
                    file.seek(part, 1)
                else:
                    file.write(part)
            extra = struct.pack("<2HQ", 1, 8, offset) if offset >= _ALL_ONES else b""
            place = (0, 0, 0, 0o644 << 16, min(offset, _ALL_ONES))
            made_by = 3 << 8 | 45
            directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", made_by, 45, 0, *facts, len(extra), *place)
            directory += name + extra
        start = file.tell()
        file.write(directory + _end_records(len(members), len(directory), start))


def _end_records(count: int, length: int, start: int) -> bytes:
    end64 = b""
    if start >= _ALL_ONES:
        end64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 3 << 8 | 45, 45, 0, 0, count, count, length, start)
        end64 += struct.pack("<4sIQI", b"PK\6\7", 0, start + length, 1)
    return end64 + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, length, min(start, _ALL_ONES), 0)


def _with_folders(members: Sequence[GoldenMember]) -> Iterator[GoldenMember]:
    seen = set()
    for member in members:
        for folder in reversed(PurePosixPath(member.name).parents[:-1]):
            if folder not in seen:
                seen.add(folder)
                yield GoldenMember(f"{folder}/", 0, 8)
        yield member


def _deflated_zeros(count: int, width: int) -> Iterator[bytes | int]:
    """Yield a final deflate block (RFC 1951 §3.2.7) whose zeros are coded by `width` zero bits each, from 1 to 7."""
    literals = (1 << width) - 1  # with the end of the block, each code of this length is used: a complete set
    lengths = [1] * literals + [0] * (256 - literals) + [1, 0]
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
    code_lengths = [bit for symbol in order for bit in (int(symbol in {0, width}), 0, 0)]
    bits = [1, 0, 1] + [0] * 10 + [1] * 4 + code_lengths + lengths
    header = sum(bit << place for place, bit in enumerate(bits))
    end = len(bits) + count * width
    length = (end + width + 7) // 8
    last, first = end // 8, (len(bits) + 7) // 8
    if last <= first:
        yield (header | literals << end).to_bytes(length, "little")
    else:
        yield header.to_bytes(first, "little")
        yield last - first
        yield (literals << end % 8).to_bytes(length - last, "little")


def _multiply(a: int, b: int) -> int:
    """Multiply polynomials over GF(2), reflected, modulo that of CRC-32."""
    product = 0
    for place in range(31, -1, -1):
        if a >> place & 1:
            product ^= b
        b = b >> 1 ^ (_CRC_POLYNOMIAL if b & 1 else 0)
    return product


def _width(folder: str, name: str) -> int:
    suffix = PurePosixPath(name).suffix
    if suffix in _TEXT:
        return 1
    return 4 if suffix == ".tiff" and "_GRD" in folder and not folder.endswith("_COG.SAFE") else 8


def _read() -> Mapping[str, GoldenProduct]:
    products = json.loads(Path(__file__).with_suffix(".json").read_text())
    return {
        key: GoldenProduct(
            PurePosixPath(product["folder"]).stem,
            tuple(
                GoldenMember(f"{product['folder']}/{name}", size, _width(product["folder"], name))
                for name, size in product["members"]
            ),
            product["made_up"],
        )
        for key, product in products.items()
    }


GOLDEN = _read()
"""Products by kind: L1C, L2A and an older L2A_N0214 of Sentinel-2, GRD, GRD_EW, COG and SLC of Sentinel-1, OLCI."""
