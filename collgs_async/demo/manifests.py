"""Write the manifests of archives as the processing centres do: each file with its size and digest.

An XFDU document (CCSDS 661.0-B-1): MD5 of the files of Sentinel-1, Sentinel-3 and older products of Sentinel-2, and
SHA3-256 from the processing baseline 03.01 of Sentinel-2 on.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from collgs_async.demo.layouts import Part
    from collgs_async.demo.scenes import Scene

__all__ = ["ListedFile", "digest_for", "manifest", "manifest_length"]

_BEGIN = '<?xml version="1.0"?><xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" version="2.1"'
_ENTRY = """\
<dataObject ID="file{number}"><byteStream mimeType="{media_type}" size="{size}">\
<fileLocation locatorType="URL" href={location}/><checksum checksumName="{algorithm}">{digest}</checksum>\
</byteStream></dataObject>
"""
_BASELINE = re.compile(r"S2\w_MSIL\w\w_\d{8}T\d{6}_N(\d{4})_")
_FIRST_WITH_SHA3 = 301
_LARGEST_SIZE = 2**31


class ListedFile(NamedTuple):
    """A file of a product: its path below the manifest, its length in bytes, and its digest in hexadecimal digits."""

    path: str
    size: int
    digest: str


def digest_for(scene: Scene) -> Any:
    """Return a new digest of the kind that the manifest of a scene states."""
    found = _BASELINE.match(scene.identifier)
    if found and int(found[1]) >= _FIRST_WITH_SHA3:
        return hashlib.sha3_256()
    return hashlib.md5(usedforsecurity=False)


def manifest(files: Iterable[ListedFile], algorithm: str) -> bytes:
    """Return the manifest of files whose digests were computed by an algorithm of `hashlib`."""
    name = algorithm.upper().replace("_", "-")
    entries = [
        _ENTRY.format(
            number=number,
            media_type="text/xml" if file.path.endswith((".xml", ".xsl")) else "application/octet-stream",
            size=file.size,
            location=quoteattr(f"./{file.path}"),
            algorithm=name,
            digest=file.digest,
        )
        for number, file in enumerate(files, 1)
    ]
    if not entries:
        return f"{_BEGIN}/>\n".encode()
    return f"{_BEGIN}>\n<dataObjectSection>\n{''.join(entries)}</dataObjectSection>\n</xfdu:XFDU>\n".encode()


def manifest_length(parts: Sequence[Part], scene: Scene) -> int:
    """Return the greatest length in bytes that the manifest of these parts can have."""
    digest = digest_for(scene)
    return len(manifest((ListedFile(part.name, _LARGEST_SIZE, digest.hexdigest()) for part in parts), digest.name))
