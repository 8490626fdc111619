"""Choose members of an archive by a wish: band words, resolutions, patterns.

A pattern is matched against the path of a member below the top folder, as a shell matches file names, but without
regard to case, in which no two members of an archive may differ; ``*`` matches slashes as well.
"""

from __future__ import annotations

import re
from fnmatch import translate
from itertools import product
from typing import TYPE_CHECKING, ClassVar, Final

from collgs_async.errors import NotAvailableError
from collgs_async.models.band_words import LAYERS, POLARISATIONS, SWATHS, wish_problems
from collgs_async.models.member_facts import (
    MemberFacts,
    describe_member,
    is_old_sentinel_2,
    words_of_product,
)
from collgs_async.models.parameter_values import quote_value
from collgs_async.models.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from collgs_async.models.band_words import BandWords
    from collgs_async.models.wish import Wish

__all__ = ["AbsentMembersError", "MemberFacts", "check_wish", "choose_members", "describe_member"]


class AbsentMembersError(NotAvailableError):
    """An archive has nothing of what is wanted, or not all of it."""

    advice: ClassVar[str | None] = "Choose what these archives have: `collgs-async ls IDENTIFIER` lists their files."


def check_wish(wish: Wish, collections: Sequence[str]) -> None:
    """Refuse a wish that no product of these collections can fulfil.

    Parameters
    ----------
    wish
        What is wanted.
    collections
        Names of collections or product types; where one is not known, or there is none, every word is accepted.

    Raises
    ------
    ValueError
        A band or a resolution is impossible; the message begins with the key, and suggests the nearest word.
    """
    for problem in wish_problems(wish, collections):
        raise ValueError(": ".join(problem))


def choose_members(names: Sequence[str], wish: Wish, *, identifier: str) -> tuple[str, ...]:
    """Return the members that a wish asks for, and those without which no program opens them.

    Parameters
    ----------
    names
        Paths of all members, as in the archive's directory; entries of folders, which end with a slash, are ignored.
    wish
        What is wanted; an empty one means every member.
    identifier
        The product's, which tells its kind; otherwise the members do.

    Returns
    -------
    tuple of str
        In the order of the archive, each once.

    Raises
    ------
    AbsentMembersError
        The archive has no member for a band or for all patterns; the message says which bands it has.
    """
    files = [name for name in dict.fromkeys(names) if not name.endswith("/")]
    if not wish:
        return tuple(files)
    archive = _Archive(identifier, files)
    chosen = set(_of_metadata(archive) if wish.metadata_only else ())
    if wish.bands or wish.resolutions or wish.every_resolution:
        chosen.update(archive.matching(archive.words.along), _of_bands(archive, wish))
    if wish.members:
        chosen.update(_of_patterns(archive, wish.members))
    return tuple(name for name in files if name in chosen)


_LONGEST_NAME: Final = 4096
"""In characters; a longer path is on no system that of a file, and would take long to match."""

_BY_PATTERN: Final = "--members chooses its files by pattern"


class _Archive:
    """The members of an archive by name, with what each of them is."""

    def __init__(self, identifier: str, files: Sequence[str]) -> None:
        self.identifier = identifier
        self.words: BandWords = words_of_product(identifier, files)
        self.facts: Mapping[str, MemberFacts] = {name: describe_member(name) for name in files}
        self._tops = _top_folders(identifier, files)

    def matching(self, patterns: Sequence[str]) -> Iterator[str]:
        """Yield the members that any of these patterns matches."""
        matches = [re.compile(translate(pattern), re.IGNORECASE).match for pattern in patterns]
        for name in self.facts:
            start = next((len(top) for top in self._tops if name.startswith(top)), 0)
            if len(name) <= _LONGEST_NAME and any(match(name, start) for match in matches):
                yield name

    def having(self) -> str:
        """Return the bands that are here, in the order of the table."""
        here = {word for facts in self.facts.values() for word in (facts.band, facts.polarisation, facts.swath)}
        if any(facts.role == "mask" for facts in self.facts.values()):
            here.add("MASKS")
        return ", ".join(word for word in self.words.words if word in here) or "none"

    def metres(self, name: str) -> int | None:
        """Return the resolution of a member whose band has a choice of them; None: it is wanted with any."""
        facts = self.facts[name]
        return facts.resolution if self.words.words.get(facts.band or "") else None


def _top_folders(identifier: str, files: Sequence[str]) -> tuple[str, ...]:
    """Return the folders that count as the top of the archive: the product's own, beside which other files may lie."""
    firsts = {name.partition("/")[:2] for name in files}
    common = [f"{folder}/" for folder, slash in firsts if slash] if len(firsts) == 1 else []
    return (*common, f"{identifier}.SAFE/", f"{identifier}.SEN3/", f"{identifier}/")


def _of_metadata(archive: _Archive) -> list[str]:
    found = [name for name, facts in archive.facts.items() if facts.role in {"metadata", "annotation"}]
    if not found:
        raise AbsentMembersError(f"the archive has no metadata of a known name; {_BY_PATTERN}")
    return found


def _of_patterns(archive: _Archive, patterns: Sequence[str]) -> list[str]:
    found = list(archive.matching(patterns))
    if not found:
        quoted = " or ".join(quote_value(pattern) for pattern in patterns[:3])
        raise AbsentMembersError(f"none of the archive's {plural(len(archive.facts), 'member')} matches {quoted}")
    return found


def _of_bands(archive: _Archive, wish: Wish) -> set[str]:
    if is_old_sentinel_2(archive.identifier):
        raise AbsentMembersError(f"its format of before December 2016 has no words for bands; {_BY_PATTERN}")
    if not archive.words.words:
        raise AbsentMembersError(f"this kind of product has no words for bands; {_BY_PATTERN}")
    if not wish.bands:
        return _images_of_resolution(archive, wish)
    is_radar = POLARISATIONS[0] in archive.words.words
    chosen, missing = (_of_radar if is_radar else _of_images)(archive, wish)
    if missing:
        raise AbsentMembersError(f"the archive has no {', '.join(missing)}; it has {archive.having()}")
    return chosen


def _images_of_resolution(archive: _Archive, wish: Wish) -> set[str]:
    images = [name for name, facts in archive.facts.items() if facts.role == "image" and archive.metres(name)]
    if chosen := _preferred(archive, images, wish):
        return chosen
    metres = " or ".join(map(str, wish.resolutions)) or "any"
    raise AbsentMembersError(f"the archive has no image with a resolution of {metres} m; it has {archive.having()}")


def _of_images(archive: _Archive, wish: Wish) -> tuple[set[str], list[str]]:
    """Return the members of the bands of an optical product, and the bands that it lacks."""
    chosen: set[str] = set()
    missing = []
    by_word: dict[str, list[str]] = {word: [] for word in wish.bands}
    for name, facts in archive.facts.items():
        for word in {facts.band or "", "MASKS" if facts.role == "mask" else ""} & by_word.keys():
            by_word[word].append(name)
    for word, members in by_word.items():
        if found := _preferred(archive, members, wish):
            chosen |= found
        elif members:
            has = ", ".join(map(str, sorted({archive.metres(name) or 0 for name in members})))
            missing.append(f"{word} of {' or '.join(map(str, wish.resolutions))} m (only of {has} m)")
        else:
            missing.append(word)
    return chosen, missing


def _preferred(archive: _Archive, names: Sequence[str], wish: Wish) -> set[str]:
    """Return the members in the resolution that is wanted of each layer: the first that it has, or all."""
    if wish.every_resolution:
        return set(names)
    layers: dict[str, dict[int | None, list[str]]] = {}
    for name in names:
        metres = archive.metres(name)
        file = name.rpartition("/")[2].replace(f"_{metres}m.", ".")
        layers.setdefault(file, {}).setdefault(metres, []).append(name)
    chosen: set[str] = set()
    for layer in layers.values():
        chosen.update(layer.get(None, ()))
        wanted = wish.resolutions or sorted(metres for metres in layer if metres)
        chosen.update(next((layer[metres] for metres in wanted if metres in layer), ()))
    return chosen


def _of_radar(archive: _Archive, wish: Wish) -> tuple[set[str], list[str]]:
    """Return the members of the channels, swaths and layers of a radar product, and the words that it lacks.

    Channels and swaths narrow each other down; of an image all annotation is wanted. Layers are those of the channels
    and swaths, or, without these, of all.
    """
    channels = [word for word in wish.bands if word in POLARISATIONS]
    swaths = [word for word in wish.bands if word in SWATHS]
    layers = [word for word in wish.bands if word in LAYERS]
    missing = [word for word in wish.bands if word not in {*POLARISATIONS, *SWATHS, *LAYERS}]
    chosen: set[str] = set()
    for channel, swath in product(channels or (None,), swaths or (None,)):
        within = {
            name: facts
            for name, facts in archive.facts.items()
            if facts.polarisation and channel in (None, facts.polarisation) and swath in (None, facts.swath)
        }
        if channels or swaths:
            chosen.update(within)
            if not any(facts.role == "image" for facts in within.values()):
                missing.append(" of ".join(word for word in (channel, swath) if word))
        for layer in layers:
            found = [name for name, facts in within.items() if facts.band == layer]
            chosen.update(found)
            missing += [] if found else [layer]
    return chosen, list(dict.fromkeys(missing))
