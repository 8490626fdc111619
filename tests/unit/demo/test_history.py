"""A catalogue with a history: what it lists at a time follows from its events, and those are possible ones."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collgs_async.demo.constellation import make_constellation
from collgs_async.demo.history import Change, Event, History, Rates, Rollback
from collgs_async.demo.scenes import Scene, make_scenes

if TYPE_CHECKING:
    from collections.abc import Iterable

BEGUN = datetime(2023, 1, 1, tzinfo=UTC)
BUSY = Rates(late=0.2, swapped=0.4, replaced=0.3, withdrawn=0.2, returning=0.3, repaired=0.4)
APPEARS = {Change.PUBLISHED, Change.RESTORED}
GOES = {Change.WITHDRAWN, Change.SUPERSEDED}
DAYS = st.floats(-30, 1400)


@cache
def scenes() -> list[Scene]:
    found = make_constellation(tiles=("31UFR",), first=date(2021, 9, 1), last=date(2021, 12, 31), size=1000)
    assert len(found) > 100
    return found


@cache
def history(seed: int = 0, *, busy: bool = True, undated: bool = False) -> History:
    return History(scenes(), begun=BEGUN, seed=seed, rates=BUSY if busy else None, undated=undated)


def names(listed: list[Scene]) -> set[str]:
    return {scene.identifier for scene in listed}


def versions(listed: list[Scene]) -> dict[str, int]:
    return {scene.identifier: scene.version for scene in listed}


def changed(listed: set[str], events: Iterable[Event]) -> set[str]:
    """What is listed after these events."""
    listed = set(listed)
    for event in events:
        if event.change in APPEARS:
            listed.add(event.identifier)
        elif event.change in GOES:
            listed.discard(event.identifier)
    return listed


def of_each(events: tuple[Event, ...]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.identifier, []).append(event)
    return found


# ----------------------------------------------------------------------------------------- listings follow from events


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3), DAYS, DAYS)
def test_at_two_times_the_listings_differ_by_the_events_between_them(seed: int, one: float, other: float) -> None:
    it = history(seed)
    first, last = sorted((it.day(one), it.day(other)))
    before, after = it.at(first), it.at(last)
    happened = it.between(first, last)

    assert names(after) == changed(names(before), happened)
    repairs = Counter(event.identifier for event in happened if event.change is Change.REPAIRED)
    known = versions(before)
    for name, version in versions(after).items():
        assert version == known.get(name, version - repairs[name]) + repairs[name]


def test_before_the_first_event_nothing_is_listed() -> None:
    it = history()

    assert [] == it.at(it.events[0].at - timedelta(microseconds=1))
    assert [it.events[0].identifier] == [scene.identifier for scene in it.at(it.events[0].at)]


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 1000), DAYS)
def test_the_same_seed_has_the_same_history_whatever_other_scenes_there_are(seed: int, day: float) -> None:
    some = [scene for scene in scenes() if scene.orbit_number == scenes()[0].orbit_number]
    whole, part = (History(given, begun=BEGUN, seed=seed, rates=BUSY) for given in (scenes(), some))

    assert whole.at(whole.day(day)) == History(scenes(), begun=BEGUN, seed=seed, rates=BUSY).at(whole.day(day))
    assert part.at(part.day(day)) == [scene for scene in whole.at(whole.day(day)) if scene.identifier in names(some)]


def test_another_seed_has_another_history() -> None:
    assert history(0).events != history(1).events


@pytest.mark.parametrize("seed", range(4))
def test_each_product_has_a_possible_life(seed: int) -> None:
    for events in of_each(history(seed).events).values():
        listed = False
        for event in events:
            assert listed is (event.change not in APPEARS)
            listed = listed and event.change not in GOES if event.change not in APPEARS else True
        assert [Change.PUBLISHED] == [event.change for event in events if event.change is Change.PUBLISHED]
        assert events[0].change is Change.PUBLISHED
        assert sorted(event.at for event in events) == [event.at for event in events]


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_the_moment_of_an_event_shows_it(data: st.DataObject) -> None:
    it = history(data.draw(st.integers(0, 3)))
    event = data.draw(st.sampled_from(it.events))
    just_before = event.at - timedelta(microseconds=1)

    if event.change is Change.REPAIRED:
        assert 1 == versions(it.at(event.at))[event.identifier] - versions(it.at(just_before))[event.identifier]
    else:
        assert (event.change in APPEARS) is (event.identifier in names(it.at(event.at)))
        assert (event.change in GOES) is (event.identifier in names(it.at(just_before)))


# ------------------------------------------------------------------------------------------------------- what happens


def test_a_swap_is_one_moment_so_the_number_listed_stays() -> None:
    it = History(scenes(), begun=BEGUN, rates=Rates(0, 1, 0, 0, 0, 0))
    swaps = [event for event in it.events if event.change is Change.SUPERSEDED]

    assert len(swaps) > 10
    for swap in swaps:
        old, new = it.at(swap.at - timedelta(microseconds=1)), it.at(swap.at)
        gone, come = names(old) - names(new), names(new) - names(old)
        assert len(old) == len(new)
        assert {name[:26] + name[32:44] for name in gone} == {name[:26] + name[32:44] for name in come}
        assert max(name[26:32] for name in gone) < min(name[26:32] for name in come)


def test_a_replacement_can_come_within_a_month_of_the_reprocessing() -> None:
    it = History(scenes(), begun=BEGUN, rates=Rates(0, 0, 1, 0, 0, 0))
    published = {event.at for event in it.events if event.change is Change.PUBLISHED}
    ends = [event.at for event in it.events if event.change is Change.SUPERSEDED]

    assert len(ends) > 10
    assert not published & set(ends)
    assert all(any(timedelta(0) < end - at <= timedelta(days=30) for at in published) for end in ends)


def test_things_happen_as_often_as_stated() -> None:
    it = History(make_scenes(6_000, size=1000), begun=datetime(2021, 1, 1, tzinfo=UTC))
    counts = Counter(event.change for event in it.events)
    published = {event.identifier: event.at for event in it.events if event.change is Change.PUBLISHED}
    delays = sorted(published[scene.identifier] - scene.made_at for scene in make_scenes(6_000, size=1000))

    assert 6_000 == counts[Change.PUBLISHED]
    assert timedelta(hours=2.8) < delays[3_000] < timedelta(hours=3.4)
    assert 0.02 < sum(delay >= timedelta(days=35) for delay in delays) / 6_000 < 0.04
    assert delays[-1] <= timedelta(days=400)
    assert 0.006 < counts[Change.RESTORED] / 6_000 < 0.014
    assert 0.006 < (counts[Change.WITHDRAWN] - counts[Change.RESTORED]) / 6_000 < 0.014
    assert 0.006 < counts[Change.REPAIRED] / 6_000 < 0.014


def test_a_repair_has_another_version_and_half_of_them_another_length() -> None:
    it = history()
    last = {scene.identifier: scene for scene in it.at(it.ended)}
    repaired = [scene for scene in last.values() if scene.version]
    first = {scene.identifier: scene for scene in scenes()}

    assert len(repaired) > 10
    changed = sum(scene.size != first[scene.identifier].size for scene in repaired)
    assert 0.2 < changed / len(repaired) < 0.8
    repairs = {event.identifier: event.at for event in it.events if event.change is Change.REPAIRED}
    assert all(scene.updated == repairs[scene.identifier] for scene in repaired)
    assert {None} == {scene.updated for scene in last.values() if not scene.version}


def test_entries_state_when_they_were_made_and_published() -> None:
    it = history()
    published = {event.identifier: event.at for event in it.events if event.change is Change.PUBLISHED}

    assert len(it.at(it.ended)) > 50
    for scene in it.at(it.ended):
        assert scene.dates.created == scene.made_at
        assert scene.dates.available == published[scene.identifier] > scene.made_at - timedelta(seconds=1)


def test_a_third_of_the_entries_may_have_no_date_and_is_always_the_same_third() -> None:
    it, dated = history(undated=True), history()
    without = {scene.identifier for scene in it.at(it.ended) if scene.dates.created is None}
    empty = [scene.dates for scene in it.at(it.ended) if scene.identifier in without]

    assert 0.2 < len(without) / len(it.at(it.ended)) < 0.45
    assert {(None, None, None)} == {(one.created, one.updated, one.available) for one in empty}
    assert it.events == dated.events
    assert not [scene for scene in dated.at(dated.ended) if scene.dates.created is None]
    early = it.at(it.day(200))
    assert all(
        (scene.dates.created is None) is (scene.identifier in without) for scene in early if scene in it.at(it.ended)
    )


def test_without_scenes_there_is_nothing_at_any_time() -> None:
    it = History([])

    assert ((), []) == (it.events, it.at(it.day(10)))


def test_it_begins_at_midnight_before_the_first_publication_unless_told() -> None:
    it = History(scenes())

    assert (0, 0, 0) == (it.begun.hour, it.begun.minute, it.begun.second)
    assert [] == it.at(it.begun)
    assert it.at(it.day(1))


# ----------------------------------------------------------------------------------------------------------- a backup


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 3), st.tuples(*[st.floats(0, 1000)] * 3), DAYS)
def test_a_restored_backup_undoes_what_came_after_it_until_that_is_mended(
    seed: int, days: tuple[float, float, float], day: float
) -> None:
    plain = history(seed)
    backup, at, mended = (plain.day(one) for one in sorted(days))
    it = History(scenes(), begun=BEGUN, seed=seed, rates=BUSY, rollback=Rollback(backup, at, mended))
    moment = plain.day(day)

    if at <= moment < mended:
        restored = changed(set(), plain.between(datetime.min.replace(tzinfo=UTC), backup))
        assert changed(restored, plain.between(at, moment)) == names(it.at(moment))
        known = versions(plain.at(moment))
        assert all(known[name] == version for name, version in versions(it.at(moment)).items() if name in known)
    else:
        assert plain.at(moment) == it.at(moment)
