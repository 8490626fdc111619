"""What counts as a fault of the catalogue, and not as a withdrawal."""

from __future__ import annotations

import pytest

from collgs_async.mirror.absence import Loss, lost_too_much


@pytest.mark.parametrize(
    ("loss", "everything", "is_too_much"),
    [
        (Loss(100, 19), False, False),
        (Loss(100, 20), False, True),
        (Loss(200, 20), False, False),
        (Loss(200, 21), False, True),
        (Loss(200, 60, replaced=40), False, False),
        (Loss(200, 60, replaced=39), False, True),
        (Loss(3, 3), False, False),
        (Loss(3, 3), True, True),
        (Loss(3, 2), True, False),
        (Loss(3, 3, replaced=3), True, True),
        (Loss(0, 0), True, False),
    ],
)
def test_a_tenth_and_twenty_or_everything_is_too_much(loss: Loss, everything: bool, is_too_much: bool) -> None:
    assert lost_too_much(loss, everything=everything) is is_too_much


def test_losses_add_up() -> None:
    assert Loss(10, 2, 1) + Loss(5, 1) == Loss(15, 3, 1)
    assert (Loss(10, 2, 1) + Loss(5, 1)).lost == 2
