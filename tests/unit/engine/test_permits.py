"""Permits of several processes: shared by need, never more than the store accepts, and halved once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collgs_async.engine.permits import Permits, fair_shares
from collgs_async.http.limits import PROBE_EACH
from tests.support.clocks import Clock

NEEDS = st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 20), min_size=1)


@given(limit=st.integers(0, 64), needs=NEEDS, turn=st.integers(0, 100))
def test_shares_are_fair_and_add_up(limit: int, needs: dict[str, int], turn: int) -> None:
    shares = fair_shares(limit, needs, turn=turn)

    assert set(needs) == set(shares)
    assert limit == sum(shares.values())
    short = [name for name in needs if shares[name] < needs[name]]
    if short:  # nobody has more than one permit more than a process that lacks some
        least = min(shares[name] for name in short)
        assert all(share <= max(least + 1, 0) for share in shares.values())
        assert all(shares[name] <= needs[name] for name in needs)


def test_permits_that_do_not_go_round_are_had_in_turn() -> None:
    needs = dict.fromkeys("abc", 5)

    had = [name for turn in range(3) for name, share in fair_shares(1, needs, turn=turn).items() if share]

    assert ["a", "b", "c"] == had


class Processes:
    """Processes that use what they are granted, and whose messages may be late."""

    def __init__(self, most: int, names: str) -> None:
        self.clock = Clock()
        self.permits = Permits(most, clock=self.clock)
        self.permits.keep(names)
        self.granted = dict.fromkeys(names, 0)
        self.active = dict.fromkeys(names, 0)
        self.moments = dict.fromkeys(names, 0.0)

    def share(self, names: str) -> dict[str, int]:
        self.clock.now += 1
        moment, sent = self.permits.share(names)
        self.moments |= dict.fromkeys(sent, moment)
        return sent

    def hear(self, sent: dict[str, int], *, waiting: int = 5, rejected: str = "") -> None:
        for name, count in sent.items():
            self.granted[name] = count
        for name in sent:
            rejections = [(self.moments[name], None)] if name in rejected else []
            self.permits.report(name, active=self.active[name], waiting=waiting, rejections=rejections)


def test_idle_processes_share_what_is_left_evenly() -> None:
    processes = Processes(8, "abcd")

    assert {"a": 2, "b": 2, "c": 2, "d": 2} == processes.share("abcd")


def test_rejections_of_one_wave_halve_once_in_whatever_process_they_are_met() -> None:
    processes = Processes(8, "abcd")
    processes.hear(processes.share("abcd"))
    processes.clock.now += 1

    processes.hear(processes.granted, rejected="abcd")

    assert 4 == processes.permits.limit
    assert {"a": 1, "b": 1, "c": 1, "d": 1} == processes.share("abcd")


def test_what_is_still_too_much_elsewhere_is_no_new_wave() -> None:
    """One process has heard of the lower limit, and is refused because another one has not."""
    processes = Processes(8, "ab")
    processes.hear(processes.share("ab"))
    processes.active = {"a": 4, "b": 4}
    processes.hear(processes.granted, rejected="a")
    assert 4 == processes.permits.limit

    sent = processes.share("a")
    processes.active["a"] = 2
    processes.hear(sent, rejected="a")

    assert 4 == processes.permits.limit


def test_a_permit_is_given_to_another_process_only_when_it_is_free() -> None:
    processes = Processes(1, "ab")
    processes.active = {"a": 0, "b": 0}
    processes.hear(processes.share("ab"))
    [holder] = [name for name, count in processes.granted.items() if count]
    other = "ab".replace(holder, "")
    processes.active[holder] = 1
    processes.hear(processes.granted)

    given_early = 0
    for _ in range(40):  # through several turns
        sent = processes.share("ab")
        given_early += sent[other]
        processes.hear(sent)
    assert 0 == given_early

    processes.active[holder] = 0
    for _ in range(40):
        sent = processes.share("ab")
        processes.hear(sent)
        if sent[other]:
            break
    assert 1 == sent[other]
    assert 0 == sent[holder]


@given(data=st.data())
def test_processes_never_use_more_than_the_limit_however_late_messages_are(data: st.DataObject) -> None:
    names = "abcd"
    processes = Processes(data.draw(st.integers(1, 9)), names)
    on_the_way: dict[str, int] = {}
    for _ in range(data.draw(st.integers(1, 40))):
        listening = "".join(name for name in names if name not in on_the_way)
        on_the_way |= processes.share(listening)
        for name in [*on_the_way]:
            if data.draw(st.booleans()):
                processes.granted[name] = on_the_way.pop(name)
                needs = data.draw(st.integers(0, 5))
                busy = data.draw(st.integers(0, max(processes.active[name], processes.granted[name])))
                processes.active[name] = busy
                processes.permits.report(name, active=busy, waiting=max(0, needs - busy), rejections=[])
        for name in names:  # it begins what it may
            if data.draw(st.booleans()):
                processes.active[name] = max(processes.active[name], processes.granted[name])
        assert sum(processes.active.values()) <= processes.permits.limit


def test_the_limit_is_tried_again_after_a_while_and_permits_of_a_process_that_is_gone_come_back() -> None:
    processes = Processes(4, "ab")
    processes.hear(processes.share("ab"))
    processes.clock.now += 1
    processes.hear(processes.granted, rejected="a")
    assert 2 == processes.permits.limit
    processes.clock.now += PROBE_EACH

    processes.permits.keep("b")

    assert {"b": 3} == processes.share("b")


def test_a_rate_goes_to_those_that_use_it() -> None:
    processes = Processes(8, "ab")
    processes.hear(processes.share("ab"), waiting=0)
    assert (0.5, 0.5) == (processes.permits.rate_share("a"), processes.permits.rate_share("b"))
    processes.active["a"] = 1

    processes.hear(processes.share("ab"), waiting=0)

    assert (0.8, 0.2) == (processes.permits.rate_share("a"), processes.permits.rate_share("b"))


@given(data=st.data())
def test_a_process_with_a_request_in_progress_has_a_share_of_the_rate(data: st.DataObject) -> None:
    """Also when its turn is over, and with more processes than permits."""
    names = "abcd"
    processes = Processes(data.draw(st.integers(1, 3)), names)
    for _ in range(data.draw(st.integers(1, 40))):
        processes.clock.now += data.draw(st.sampled_from([0, 10]))
        sent = processes.share(names)
        shares = {name: processes.permits.rate_share(name) for name in names}
        for name in names:  # each begins and ends what it likes, before or after it hears
            most = max(processes.active[name], sent[name])
            processes.active[name] = data.draw(st.integers(0, most))
            assert shares[name] > 0 or not most
        assert sum(shares.values()) <= 1.001
        processes.hear(sent, waiting=data.draw(st.integers(0, 3)))
