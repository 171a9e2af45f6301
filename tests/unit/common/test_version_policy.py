from __future__ import annotations

import pytest

from trireme_common.model_spec import ModelSpec, Versions
from trireme_common.orders import Order
from trireme_common.version_policy import every_version, ordered_policy

ON_DISK = [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("versions", "version", "expected"),
    [
        (Versions(), "", [4]),
        (Versions(), "2", [2]),
        (Versions(), "9", [4]),  # no longer on disk
        (Versions(count=2), "2", [2, 4]),
        (Versions(policy="all"), "2", [2, 4, 3, 1]),
        (Versions(policy="specific", list=(1, 3)), "", [3, 1]),
        (Versions(policy="specific", list=(1, 3)), "1", [1, 3]),
        (Versions(policy="specific", list=(1, 3)), "2", [2, 3, 1]),
    ],
)
def test_an_ordered_version_comes_first_and_the_rest_as_the_spec_says(
    versions: Versions, version: str, expected: list[int]
) -> None:
    candidates, count = ordered_policy(
        ModelSpec(name="m", versions=versions), ON_DISK, Order(1, "m", version)
    )
    assert candidates[:count] == expected


def test_a_version_that_cannot_be_loaded_leaves_the_others_as_candidates() -> None:
    candidates, count = ordered_policy(ModelSpec(name="m"), ON_DISK, Order(1, "m", version="2"))
    assert (candidates, count) == ([2, 4, 3, 1], 1)


def test_what_is_unloaded_wants_nothing_but_where_versions_cost_little() -> None:
    order = Order(1, "m", unloaded=True)
    assert ordered_policy(ModelSpec(name="m"), ON_DISK, order) == ([], 0)
    assert every_version(ModelSpec(name="m"), ON_DISK, order) == ([4, 3, 2, 1], 4)


def test_no_order_and_one_that_lifts_are_the_same() -> None:
    spec = ModelSpec(name="m")
    assert ordered_policy(spec, ON_DISK, None) == ordered_policy(spec, ON_DISK, Order(1, "m"))
