"""Reports of gateways, and their sum."""

from __future__ import annotations

import orjson
import pytest

from trireme_gateway.scaling.report import PoolLoad, Report, decode_report, encode_sum, summed

OWN = Report("one", {"default": PoolLoad(1, 0.5, 2.0), "gpu": PoolLoad()})


def test_a_report_comes_back_as_it_left() -> None:
    assert decode_report(OWN.encode()) == OWN


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"gateway": 1, "pools": {}}',
        b'{"gateway": "x", "pools": {"a": {"queued": 1}}}',
        b'{"gateway": "x", "pools": {"a": {"queued": "1", "in_flight": 0, "queue_wait_seconds": 0}}}',
        b'{"gateway": "x", "pools": {"a": {"queued": -1, "in_flight": 0, "queue_wait_seconds": 0}}}',
        b"\xff",
    ],
)
def test_what_is_no_report_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the library's own among them
        decode_report(data)


def test_work_adds_up_and_the_longest_wait_stands() -> None:
    other = Report("two", {"default": PoolLoad(2, 0.25, 5.0), "new": PoolLoad(3, 0, 0)})
    pools, gateways = summed(OWN, [other])
    assert gateways == 2
    assert pools == {"default": PoolLoad(3, 0.75, 5.0), "gpu": PoolLoad(), "new": PoolLoad(3, 0, 0)}


def test_a_gateway_that_is_reached_twice_counts_once_and_its_own_word_stands() -> None:
    older = Report("one", {"default": PoolLoad(100, 100, 100)})
    other = Report("two", {"default": PoolLoad(1, 0, 0)})
    pools, gateways = summed(OWN, [older, other, other])
    assert gateways == 2
    assert pools["default"] == PoolLoad(2, 0.5, 2.0)


def test_the_answer_to_an_autoscaler() -> None:
    answer = orjson.loads(encode_sum({"gpu": PoolLoad(2.0, 0.12345, 1.00049)}, 3, 1))
    assert answer == {
        "pools": {"gpu": {"queued": 2, "in_flight": 0.123, "queue_wait_seconds": 1.0}},
        "gateways": {"answered": 3, "missing": 1},
    }


def test_the_least_work_is_not_rounded_away() -> None:
    assert orjson.loads(encode_sum({"a": PoolLoad(0, 0.001, 0)}, 1, 0))["pools"]["a"]["in_flight"] > 0
