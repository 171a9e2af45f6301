from __future__ import annotations

import pytest

from trireme_gateway.hop.learning import Learning
from trireme_gateway.hop.outlier import OutlierPolicy

KEY = ("m", "1")


def test_before_any_answer_every_item_may_go_to_an_endpoint_of_its_own() -> None:
    assert Learning(OutlierPolicy()).share(KEY) == 1


@pytest.mark.parametrize(("item_us", "share"), [(50, 20), (400, 2), (1000, 1), (2_000_000, 1)])
def test_a_share_is_a_millisecond_of_work(item_us: int, share: int) -> None:
    learning = Learning(OutlierPolicy())
    for _ in range(3):
        learning.ran(KEY, [(0, item_us)])
    assert learning.share(KEY) == share


def test_items_of_one_run_share_its_time() -> None:
    learning = Learning(OutlierPolicy())
    learning.ran(KEY, [(0, 800)] * 4 + [(0, 1200)] * 4)
    assert learning.share(KEY) == 4


def test_one_slow_run_does_not_change_the_share_for_good() -> None:
    learning = Learning(OutlierPolicy())
    learning.ran(KEY, [(0, 100)])
    learning.ran(KEY, [(0, 100_000)])
    assert learning.share(KEY) == 1
    for _ in range(100):
        learning.ran(KEY, [(0, 100)])
    assert learning.share(KEY) == 9


def test_versions_are_learnt_apart_and_the_oldest_is_forgotten() -> None:
    learning = Learning(OutlierPolicy())
    for number in range(300):
        learning.ran(("m", str(number)), [(0, 100)])
    assert learning.share(("m", "299")) == 10
    assert learning.share(("m", "0")) == 1


@pytest.mark.parametrize(
    ("compute_us", "queue_us", "gathers"),
    [
        ([300], 0, True),  # a message costs about as much
        ([9000] * 8, 0, True),
        ([12_000] * 2, 0, False),  # an instance may be idle
        ([12_000] * 2, 11_000, False),
        ([12_000] * 2, 12_000, True),  # it would wait there as well
    ],
)
def test_short_items_gather_and_long_ones_where_the_stage_has_a_queue(
    compute_us: list[int], queue_us: int, gathers: bool
) -> None:
    learning = Learning(OutlierPolicy())
    assert learning.gathers(KEY)
    learning.ran(KEY, [(queue_us, each) for each in compute_us])
    assert learning.gathers(KEY) is gathers
