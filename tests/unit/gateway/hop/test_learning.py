from __future__ import annotations

import pytest

from trireme_gateway.hop.learning import Learning
from trireme_gateway.hop.outlier import OutlierPolicy

KEY = ("m", "1")


def test_before_any_answer_every_item_may_go_to_an_endpoint_of_its_own() -> None:
    assert Learning(OutlierPolicy()).share(KEY) == 1


@pytest.mark.parametrize(
    ("item_seconds", "share"), [(0.00005, 20), (0.0004, 2), (0.001, 1), (2.0, 1), (0.0, 1)]
)
def test_a_share_is_a_millisecond_of_work(item_seconds: float, share: int) -> None:
    learning = Learning(OutlierPolicy())
    for _ in range(3):
        learning.ran(KEY, item_seconds)
    assert learning.share(KEY) == share


def test_one_slow_run_does_not_change_the_share_for_good() -> None:
    learning = Learning(OutlierPolicy())
    learning.ran(KEY, 0.0001)
    learning.ran(KEY, 0.1)
    assert learning.share(KEY) == 1
    for _ in range(100):
        learning.ran(KEY, 0.0001)
    assert learning.share(KEY) == 9


def test_versions_are_learnt_apart_and_the_oldest_is_forgotten() -> None:
    learning = Learning(OutlierPolicy())
    for number in range(300):
        learning.ran(("m", str(number)), 0.0001)
    assert learning.share(("m", "299")) == 10
    assert learning.share(("m", "0")) == 1
