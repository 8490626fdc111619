"""Compare the members of an archive with what the product's own manifest states of them.

A manifest only names files: its paths are looked up among the names of the members, and nothing is ever opened by
them. What no member can be compared with is counted, so that it is not taken for right.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from collgs_async.errors import IntegrityError
from collgs_async.models.text import plural
from collgs_async.storage.archive_reading import quoted
from collgs_async.storage.manifest import MANIFEST_NAMES, MOST_DIGESTS, parse_manifest
from collgs_async.storage.member_names import is_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from collgs_async.storage.manifest import ByteStream, StatedDigest

__all__ = ["ContentDigests", "ManifestCheck"]

_PRODUCT_FOLDERS: Final = (".safe", ".sen3")
"""Endings of the folders that have a manifest, in lower case."""

_SHOWN: Final = 3
_DIGITS_SHOWN: Final = 16


@dataclass(slots=True)
class _Stated:
    """What the manifests state of one member: name of the manifest, length in bytes (None: unknown), and digests."""

    manifest: str
    size: int | None = None
    digests: set[StatedDigest] = field(default_factory=set)


@dataclass(slots=True)
class _Names:
    """How many names there are of a kind, and the first ones."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        self.count += 1
        if len(self.shown) < _SHOWN:
            self.shown.append(quoted(name))

    def __str__(self) -> str:
        more = f" and {self.count - _SHOWN} more" if self.count > _SHOWN else ""
        return f"{', '.join(self.shown)}{more}"


class ManifestCheck:
    """The manifests of one archive, and what came of comparing its members with them.

    Parameters
    ----------
    names
        Names of all members. Its manifests are those in the folder that is nearest to the top.
    here
        Names of the members that are here, if only some are; None: all.

    Attributes
    ----------
    manifests
        Names of the members that are manifests; to be given to `read` before any other member is compared.
    compared
        Number of members whose digests were compared, whatever the result.
    """

    def __init__(self, names: Collection[str], here: Collection[str] | None = None) -> None:
        self._members: dict[str, list[str]] = {}
        for name in names:
            if not is_folder(name):
                self._members.setdefault(_path_of(name), []).append(name)
        depths = {path: path.count("/") for path in self._members if path.rpartition("/")[2] in MANIFEST_NAMES}
        nearest = [path for path, depth in depths.items() if depth == min(depths.values())]
        manifests = [name for path in nearest for name in self._members[path]]
        self.manifests = [name for name in manifests if here is None or name in here]
        self._is_elsewhere = bool(manifests) and not self.manifests
        self._expected = any(
            piece.lower().endswith(_PRODUCT_FOLDERS) for name in names for piece in _path_of(name).split("/")[:-1]
        )
        self._stated: dict[str, _Stated] = {}
        self._problems: list[str] = []
        self._unknown: Counter[str] = Counter()
        self.compared = 0

    def read(self, name: str, pieces: Iterable[bytes | memoryview]) -> None:
        """Read a manifest; whatever is wrong with it is one of the `problems`.

        Parameters
        ----------
        name
            Name of the member.
        pieces
            Its data; an `IntegrityError` that they raise says why it cannot be read.
        """
        path = _path_of(name)
        folder, _, manifest = path.rpartition("/")
        entries, outside, absent = 0, _Names(), _Names()
        try:
            for entry in parse_manifest(pieces):
                entries += 1
                self._take(entry, manifest, f"{folder}/" if folder else "", outside, absent)
        except IntegrityError as error:
            self._problems.append(f"its {manifest} cannot be read: {error}")
            return
        if not entries:
            self._problems.append(f"its {manifest} lists no file")
        if absent.count:
            self._problems.append(
                f"its {manifest} lists {plural(absent.count, 'file')} that the archive does not have: {absent}"
            )
        if outside.count:
            self._problems.append(f"its {manifest} lists {plural(outside.count, 'file')} outside of it: {outside}")

    def _take(self, entry: ByteStream, manifest: str, folder: str, outside: _Names, absent: _Names) -> None:
        for location, paths in zip(entry.locations, entry.paths(), strict=True):
            found = next((self._members[folder + path] for path in paths if folder + path in self._members), None)
            if found is None:
                (absent if paths else outside).add(location)
                continue
            for name in found:
                stated = self._stated.setdefault(name, _Stated(manifest))
                stated.size = entry.size if stated.size is None else stated.size
                stated.digests |= set(entry.digests)
                if len(stated.digests) > MOST_DIGESTS:
                    raise IntegrityError(f"it states more than {MOST_DIGESTS} digests of one file")

    @property
    def problems(self) -> list[str]:
        """What is wrong with the manifests themselves; also that there is none, if the product must have one."""
        if not self.manifests and self._expected and not self._is_elsewhere:
            return ["it has no manifest, manifest.safe or xfdumanifest.xml"]
        return self._problems

    @property
    def unlisted(self) -> int:
        """Number of members, other than the manifests, that no manifest lists; known once all have been read."""
        listed = len(self._stated.keys() | set(self.manifests))
        return sum(map(len, self._members.values())) - listed

    @property
    def remarks(self) -> Iterator[str]:
        """Yield what could not be compared, although nothing is wrong."""
        if self._is_elsewhere:
            yield "the archive's manifest is not here: nothing was compared with it"
        elif not self.manifests and not self._expected:
            yield "it has no manifest to compare its members with"
        for algorithm, count in self._unknown.items():
            kind = f"only the digest {quoted(algorithm)}" if algorithm else "no digest"
            yield f"its manifest states {kind} of {plural(count, 'member')}, which could not be compared"

    def digests_of(self, name: str) -> ContentDigests | None:
        """Return what compares the content of a member while it is read; None if there is nothing to compare."""
        stated = self._stated.get(name)
        if stated is None:
            return None
        known = {digest: digest.hash_name for digest in stated.digests if digest.hash_name}
        if not known:
            self._unknown[min((digest.algorithm for digest in stated.digests), default="")] += 1
        self.compared += bool(known)
        return ContentDigests(stated.manifest, stated.size, known)


class ContentDigests:
    """Computes the digests of one member, and compares them with those that a manifest states.

    Parameters
    ----------
    manifest
        Name of the manifest, for messages.
    size
        The length in bytes that is stated, or None. It counts only without a digest, since one that is right proves it.
    digests
        The digests that are stated, with the name of their algorithm for `hashlib`.
    """

    def __init__(self, manifest: str, size: int | None, digests: dict[StatedDigest, str]) -> None:
        self._manifest, self._size, self._stated = manifest, size, digests
        self._hashes: dict[str, Any] = {
            name: hashlib.new(name, usedforsecurity=False) for name in sorted(set(digests.values()))
        }
        self._length = 0

    def observe(self, pieces: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """Yield the content of the member as it is, and compare it after its end.

        Raises
        ------
        IntegrityError
            A digest is another one than the manifest states, or, without any digest, the length.
        """
        updates: list[Callable[[Any], None]] = [one.update for one in self._hashes.values()]
        for piece in pieces:
            self._length += len(piece)
            for update in updates:
                update(piece)
            yield piece
        self._compare()

    def _compare(self) -> None:
        for stated, name in sorted(self._stated.items()):
            found = self._hashes[name].hexdigest()
            if found != stated.digits.lower():
                differs = f"{stated.digits[:_DIGITS_SHOWN]}…" if len(stated.digits) > _DIGITS_SHOWN else stated.digits
                raise IntegrityError(
                    f"its {name.upper().replace('SHA3_', 'SHA3-')} is {found[:_DIGITS_SHOWN]}…, "
                    f"{self._manifest} states {quoted(differs)}"
                )
        if not self._stated and self._size not in (None, self._length):
            raise IntegrityError(f"it has {plural(self._length, 'byte')}, {self._manifest} states {self._size}")


def _path_of(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")
