"""A catalogue with a history: what it lists day by day, with products that come late, go, return and are replaced."""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from collgs_async.demo.scenes import Scene

__all__ = ["Change", "Event", "History", "Rates", "Rollback"]

_DAY: Final = timedelta(days=1)


class Change(StrEnum):
    """What happens to a product in the catalogue."""

    PUBLISHED = "published"
    """It is listed for the first time."""

    WITHDRAWN = "withdrawn"
    """It is listed no more."""

    RESTORED = "restored"
    """It is listed again, unchanged."""

    SUPERSEDED = "superseded"
    """It is listed no more, since a reprocessing takes its place."""

    REPAIRED = "repaired"
    """Its archive is another one under the same name: other bytes, and in half of the cases another length."""


@dataclass(frozen=True, slots=True)
class Event:
    """One change of the catalogue.

    Attributes
    ----------
    at
        When it happens, in UTC; a listing at this very moment shows it.
    identifier
        The product.
    change
        What happens to it.
    """

    at: datetime
    identifier: str
    change: Change


@dataclass(frozen=True, slots=True)
class Rates:
    """How often things happen: shares from 0 to 1.

    Attributes
    ----------
    late
        Of products that are published 35 to 400 days after their processing; others have a lognormal delay with a
        median of three hours.
    swapped
        Of reprocessings that replace the older edition at the moment of their own publication.
    replaced
        Of reprocessings that replace it within 30 days; the rest leaves it listed.
    withdrawn
        Of products that go for good.
    returning
        Of products that go, and come back.
    repaired
        Of products whose archive is replaced under the same name.
    """

    late: float = 0.03
    swapped: float = 0.6
    replaced: float = 0.2
    withdrawn: float = 0.01
    returning: float = 0.01
    repaired: float = 0.01


@dataclass(frozen=True, slots=True)
class Rollback:
    """An old backup that the catalogue was restored from; the archives stay as they are.

    Attributes
    ----------
    backup
        When the backup was made: what happened from then to `at` is undone.
    at
        When it was restored; what happens afterwards is listed.
    mended
        When all that was undone is listed again.
    """

    backup: datetime
    at: datetime
    mended: datetime


class History:
    """The states of a catalogue over time, deterministic for its scenes and a seed.

    The events of a product depend on the seed, its own name and those of its other editions, not on the other scenes.

    Parameters
    ----------
    scenes
        All products that are ever listed, such as those of `make_constellation`.
    begun
        The beginning, aware: day 0. None: midnight (UTC) before the first publication.
    seed
        Another seed has other events.
    rates
        How often things happen.
    undated
        Whether a third of the entries lack all three dates, as columns that the operator did not fill.
    rollback
        A restored backup; None: none.

    Attributes
    ----------
    begun
        Day 0.
    ended
        The time of the last event.
    events
        All events, in order of time; what a backup undoes and what mends it is not among them.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        *,
        begun: datetime | None = None,
        seed: int = 0,
        rates: Rates | None = None,
        undated: bool = False,
        rollback: Rollback | None = None,
    ) -> None:
        rates = rates or Rates()
        lives = [life for editions in _editions(scenes) for life in _lives(editions, rates, seed)]
        self.events: tuple[Event, ...] = tuple(
            sorted(
                (event for life in lives for event in life.events),
                key=lambda event: (event.at, event.identifier, event.change),
            )
        )
        self._times = [event.at for event in self.events]
        if begun is None:
            begun = datetime.combine(self._times[0], time(), UTC) if self._times else datetime(2023, 1, 1, tzinfo=UTC)
        self.begun = begun.astimezone(UTC)
        self.ended = self._times[-1] if self._times else self.begun
        self._rollback = rollback
        states = {life.scene.identifier: _states(life, seed, undated=undated) for life in lives}
        self._states = [(scene.identifier, states[scene.identifier]) for scene in scenes]

    def day(self, number: float) -> datetime:
        """Return the time so many days after the beginning."""
        return self.begun + number * _DAY

    def between(self, after: datetime, until: datetime) -> tuple[Event, ...]:
        """Return the events after one time and until another, which is included."""
        return self.events[bisect_right(self._times, after) : bisect_right(self._times, until)]

    def at(self, moment: datetime) -> list[Scene]:
        """Return what the catalogue lists at a time, in the order of the scenes given.

        A product has the dates and the version of its archive that it has at that time. The server of a running test
        takes it by ``server.scenes[:] = history.at(moment)``.
        """
        listed: set[str] = set()
        version: dict[str, int] = {}
        for event in self._effective(moment):
            match event.change:
                case Change.PUBLISHED | Change.RESTORED:
                    listed.add(event.identifier)
                case Change.WITHDRAWN | Change.SUPERSEDED:
                    listed.discard(event.identifier)
                case Change.REPAIRED:
                    version[event.identifier] = version.get(event.identifier, 0) + 1
        return [states[version.get(name, 0)] for name, states in self._states if name in listed]

    def _effective(self, moment: datetime) -> Iterator[Event]:
        """Yield what the catalogue knows at a time, in order."""
        rollback = self._rollback
        known = self.events[: bisect_right(self._times, moment)]
        if rollback is None or not rollback.at <= moment < rollback.mended:
            yield from known
            return
        for event in known:
            if event.change is Change.REPAIRED or not rollback.backup < event.at <= rollback.at:
                yield event


@dataclass(frozen=True, slots=True)
class _Life:
    """A product and its events, in order of time; there is one `REPAIRED` at most."""

    scene: Scene
    events: tuple[Event, ...]


def _states(life: _Life, seed: int, *, undated: bool) -> tuple[Scene, ...]:
    """Return the product as it is first published and after each repair; always the same objects."""
    rng = random.Random(f"{seed}/state/{life.scene.identifier}")
    is_dated = rng.random() >= 1 / 3 or not undated
    states = [replace(life.scene, available=life.events[0].at, is_dated=is_dated)]
    for event in life.events:
        if event.change is Change.REPAIRED:
            size = states[-1].size + rng.randrange(1, 1 + max(2, life.scene.size // 10)) * rng.randrange(2)
            states.append(replace(states[-1], version=len(states), size=size, updated=event.at))
    return tuple(states)


def _editions(scenes: Sequence[Scene]) -> Iterable[list[Scene]]:
    """Group the editions of each acquisition and level, the oldest first."""
    groups: dict[str, list[Scene]] = {}
    for scene in scenes:
        groups.setdefault(_acquisition(scene), []).append(scene)
    return (sorted(group, key=lambda scene: (scene.made_at, scene.identifier)) for group in groups.values())


def _acquisition(scene: Scene) -> str:
    """Return what the editions of one product have in common: of Sentinel-2 all but baseline and processing time.

    The two parts of a tile that was received in two parts have processing times of their own, and the footprint tells
    which is which.
    """
    words = scene.identifier.split("_")
    if scene.platform != "Sentinel-2" or len(words) != 7:
        return scene.identifier
    satellite, level, sensed, _, orbit, tile, _ = words
    return f"{satellite}_{level}_{sensed}_{orbit}_{tile}_{scene.footprint}"


def _lives(editions: Sequence[Scene], rates: Rates, seed: int) -> Iterator[_Life]:
    """Yield the lives of the editions of one product: each may end as the next one appears."""
    rngs = [random.Random(f"{seed}/{scene.identifier}") for scene in editions]
    published = [_whole(scene.made_at + _delay(rates, rng)) for scene, rng in zip(editions, rngs, strict=True)]
    ends = [
        _replaced_at(old, new, rates, rng) for (old, new), rng in zip(pairwise(published), rngs[1:], strict=True)
    ] + [None]
    for scene, rng, begun, ended in zip(editions, rngs, published, ends, strict=True):
        events = _events(rng, begun, ended, rates)
        yield _Life(scene, tuple(Event(at, scene.identifier, change) for at, change in events))


def _delay(rates: Rates, rng: random.Random) -> timedelta:
    """Return the time from processing to publication."""
    if rng.random() < rates.late:
        return timedelta(days=rng.uniform(35, 400))
    return timedelta(hours=min(3 * rng.lognormvariate(0, 1), 200))


def _replaced_at(old: datetime, new: datetime, rates: Rates, rng: random.Random) -> datetime | None:
    """Return when a reprocessing replaces the older edition; None: never, or it was published before that."""
    chance, later = rng.random(), _whole(new + timedelta(days=rng.uniform(0, 30)))
    when = new if chance < rates.swapped else later if chance < rates.swapped + rates.replaced else None
    return when if when is not None and old < when else None


def _events(
    rng: random.Random, begun: datetime, ended: datetime | None, rates: Rates
) -> Iterator[tuple[datetime, Change]]:
    """Yield what happens to one product from its publication to its end; each listed time is followed by its change."""
    chance, gone, back = rng.random(), rng.uniform(1, 300), rng.uniform(1, 30)
    is_repaired, repair = rng.random() < rates.repaired, rng.uniform(0.5, 60)
    found = [(begun, Change.PUBLISHED)]
    if chance < rates.withdrawn:
        found.append((_whole(begun + gone * _DAY), Change.WITHDRAWN))
    elif chance < rates.withdrawn + rates.returning:
        leave = begun + gone * _DAY
        found += [(_whole(leave), Change.WITHDRAWN), (_whole(leave + back * _DAY), Change.RESTORED)]
    if is_repaired:
        found.append((_whole(begun + repair * _DAY), Change.REPAIRED))
    listed = True
    for at, change in sorted(found):
        if ended is not None and at >= ended:
            break
        if change is Change.REPAIRED and not listed:
            continue
        listed = change is not Change.WITHDRAWN
        yield at, change
    if ended is not None and listed:
        yield ended, Change.SUPERSEDED


def _whole(moment: datetime) -> datetime:
    """Return a time without fractions of a second."""
    return moment.replace(microsecond=0)
