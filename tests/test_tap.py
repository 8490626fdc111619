"""Turns: one connection is decrypted at a time, and none is forgotten."""

from __future__ import annotations

import threading
import time

from collgs_async.transfer.tap import _Turns


def waiting(turns: _Turns, count: int) -> None:
    """Wait until so many threads stand in line."""
    given_up = time.monotonic() + 10
    while len(turns._waiting) < count:
        assert time.monotonic() < given_up
        time.sleep(0.001)


def test_turns_go_in_the_order_of_asking_also_past_one_that_asks_again_at_once() -> None:
    turns, order = _Turns(), []

    def take_one(number: int) -> None:
        turns.take()
        order.append(number)
        turns.give()

    turns.take()
    threads = [threading.Thread(target=take_one, args=(number,), daemon=True) for number in range(5)]
    for count, thread in enumerate(threads, 1):
        thread.start()
        waiting(turns, count)
    turns.give()
    turns.take()  # a common lock would be had here by whoever has the interpreter
    order.append(5)
    turns.give()
    for thread in threads:
        thread.join(10)

    assert [0, 1, 2, 3, 4, 5] == order


def test_never_two_at_a_time_and_everybody_comes_to_an_end() -> None:
    turns, inside, most = _Turns(), [0], []

    def take_many() -> None:
        for _ in range(200):
            turns.take()
            inside[0] += 1
            most.append(inside[0])
            time.sleep(0)  # lets others try
            inside[0] -= 1
            turns.give()

    threads = [threading.Thread(target=take_many, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [1] * 1200 == most
