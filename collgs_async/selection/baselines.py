"""Keep only the newest processing baseline of each acquisition.

The catalogue lists the newest sensing time first, and within one sensing time sorts by identifier, where the baseline
precedes the tile: the products of one tile are as far apart as their data-take has products, the oldest baseline
first. So products are held until the catalogue proceeds to another sensing time.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from collgs_async.errors import CatalogueError
from collgs_async.models.facts import sensing_time
from collgs_async.models.sentinel import recognise
from collgs_async.selection.filters import Excluded, closing_iter
from collgs_async.selection.overlap import overlap_fraction

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

    from collgs_async.models.product import Product
    from collgs_async.models.sentinel import Name
    from collgs_async.selection.filters import OnExcluded, Products

__all__ = ["latest_baseline", "newest_editions", "supersedes"]

log = logging.getLogger("collgs_async")

SPAN: Final = timedelta(minutes=1)
"""Largest difference between sensing times of one acquisition, since processors round them differently."""

MAX_HELD: Final = 5000
"""Limit on products held, some 20 MB; a long data-take with three baselines has about 2500."""

SAME_GROUND: Final = 0.95
"""Fraction of a product that another one must cover to replace it; new processors move the edges a little."""

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


async def latest_baseline(
    products: Products, on_excluded: OnExcluded, *, span: timedelta = SPAN, most_held: int = MAX_HELD
) -> AsyncGenerator[Product, None]:
    """Yield the products of the newest baseline of each acquisition.

    Of several with that baseline, one whose footprint lies within a newer one is dropped; where a tile was cut in two
    between receptions, both parts are kept. Products without a baseline in their name, such as those of Sentinel-1, are
    all kept.

    Where the products of one acquisition are not adjacent, an older baseline is still dropped after a newer one; an
    equal one is kept, since it may be the other part; a newer one is kept, too. A warning names the first of these, and
    at the end their number.

    Parameters
    ----------
    products
        The search, or another stage; closed on every exit.
    on_excluded
        Called with each dropped product.
    span
        Progress of the catalogue's sensing time after which a held product is decided.
    most_held
        Limit on products held.

    Raises
    ------
    CatalogueError
        The error that ended the search early; products found before it have been yielded.
    """
    window = _Window(on_excluded, span, most_held)
    broken: CatalogueError | None = None
    try:
        async with closing_iter(products) as found:
            async for product in found:
                for chosen in window.take(product):
                    yield chosen
    except CatalogueError as error:
        broken = error
    for chosen in window.rest():
        yield chosen
    if broken is not None:
        raise broken


@dataclass(frozen=True, slots=True)
class _Candidate:
    product: Product
    edition: tuple[int, ...]
    produced: datetime

    @classmethod
    def of(cls, product: Product, name: Name) -> _Candidate:
        return cls(product, name.edition or (), name.produced or _LONG_AGO)

    @property
    def newness(self) -> tuple[tuple[int, ...], datetime, str]:
        return self.edition, self.produced, self.product.identifier


@dataclass(frozen=True, slots=True)
class _Scene:
    """The held products of one acquisition."""

    acquisition: str
    seen: datetime | None
    candidates: list[_Candidate] = field(default_factory=list)


class _Window:
    """The held products, and a record of the acquisitions already decided.

    Each decided acquisition leaves an eight-byte digest and its edition. The chance that two of ten million share a
    digest is one in 400,000.
    """

    def __init__(self, on_excluded: OnExcluded, span: timedelta, most_held: int) -> None:
        self._on_excluded = on_excluded
        self._span = span
        self._most_held = most_held
        self._scenes: dict[str, _Scene] = {}
        self._held = 0
        self._clock: datetime | None = None
        self._late = 0
        self._decided: dict[int, tuple[int, ...]] = {}
        self._editions: dict[tuple[int, ...], tuple[int, ...]] = {}

    def take(self, product: Product) -> Iterator[Product]:
        name = recognise(product.identifier)
        if name is None or name.edition is None:
            yield product
            return
        self._clock = sensing_time(product, name) or self._clock
        scene = self._scenes.setdefault(name.acquisition, _Scene(name.acquisition, self._clock))
        scene.candidates.append(_Candidate.of(product, name))
        self._held += 1
        while self._scenes and (self._held > self._most_held or self._has_passed(next(iter(self._scenes.values())))):
            yield from self._flush_oldest()

    def rest(self) -> Iterator[Product]:
        while self._scenes:
            yield from self._flush_oldest()
        if self._late > 1:
            log.warning(
                "the catalogue does not keep the products of one scene together: so it was %d times", self._late
            )

    def _has_passed(self, scene: _Scene) -> bool:
        """Whether the catalogue has proceeded to another sensing time."""
        if self._clock is None:
            return False
        return scene.seen is None or abs(self._clock - scene.seen) > self._span

    def _flush_oldest(self) -> Iterator[Product]:
        """Decide the acquisition held longest."""
        scene = self._scenes.pop(next(iter(self._scenes)))
        self._held -= len(scene.candidates)
        newest, *others = sorted(scene.candidates, key=lambda candidate: candidate.newness, reverse=True)
        previous = self._remember(scene.acquisition, newest.edition)
        if previous is not None and previous > newest.edition:
            for candidate in (newest, *others):
                reason = "a product of a newer baseline was chosen before"
                self._on_excluded(Excluded(candidate.product, reason, "older baseline"))
            return
        if previous is not None and previous < newest.edition:
            self._late += 1
            log.log(
                logging.WARNING if self._late == 1 else logging.DEBUG,
                "%s has a newer baseline than a product of the same scene that was chosen before",
                newest.product.identifier,
            )
        for candidate, excluded in _decided(newest, others):
            if excluded is None:
                yield candidate.product
            else:
                self._on_excluded(excluded)

    def _remember(self, acquisition: str, edition: tuple[int, ...]) -> tuple[int, ...] | None:
        """Record the edition chosen for an acquisition; return the one chosen before, if any."""
        key = int.from_bytes(hashlib.blake2b(acquisition.encode(), digest_size=8).digest())
        before = self._decided.get(key)
        if before is None or before < edition:
            self._decided[key] = self._editions.setdefault(edition, edition)
        return before


def newest_editions(products: Iterable[Product]) -> list[tuple[Product, Excluded | None]]:
    """Return the products of one acquisition, and why each is excluded; None: it is of the newest baseline.

    Products without a baseline in their name are left out.
    """
    named = ((product, recognise(product.identifier)) for product in products)
    candidates = [_Candidate.of(product, name) for product, name in named if name and name.edition is not None]
    if not candidates:
        return []
    newest, *others = sorted(candidates, key=lambda candidate: candidate.newness, reverse=True)
    return [(candidate.product, excluded) for candidate, excluded in _decided(newest, others)]


def supersedes(newer: Product, older: Product) -> bool:
    """Whether a product is a newer edition of another one's acquisition, and shows its ground.

    It is of a later baseline, or of the same one and made later. Where a footprint is unknown, it does not count as
    showing the same: this decides what may be removed.
    """
    first, second = recognise(newer.identifier), recognise(older.identifier)
    if first is None or second is None or first.edition is None or second.edition is None:
        return False
    if first.acquisition != second.acquisition:
        return False
    if (first.edition, first.produced or _LONG_AGO) <= (second.edition, second.produced or _LONG_AGO):
        return False
    share = overlap_fraction(older.footprint, newer.footprint)
    return share is not None and share >= SAME_GROUND


def _decided(newest: _Candidate, others: Sequence[_Candidate]) -> Iterator[tuple[_Candidate, Excluded | None]]:
    """Yield candidates, and why each is excluded; those that are chosen come last."""
    chosen = [newest]
    for candidate in others:
        if why := _why_not(candidate, chosen):
            kind = "older baseline" if candidate.edition < newest.edition else "older version"
            yield candidate, Excluded(candidate.product, why, kind)
        else:
            chosen.append(candidate)
    yield from ((candidate, None) for candidate in chosen)


def _why_not(candidate: _Candidate, chosen: list[_Candidate]) -> str | None:
    if candidate.edition < chosen[0].edition:
        return f"{chosen[0].product.identifier} has a newer baseline"
    for newer in chosen:
        share = overlap_fraction(candidate.product.footprint, newer.product.footprint)
        if share is None or share >= SAME_GROUND:
            return f"{newer.product.identifier} shows the same and was made later"
    return None
