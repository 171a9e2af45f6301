"""Which pool an endpoint and a model belong to."""

from __future__ import annotations

import pytest

from trireme_gateway.scaling.pools import PoolModels, pool_addresses, split_address


@pytest.mark.parametrize(
    ("given", "pool", "address"),
    [
        ("127.0.0.1:50052", "default", "127.0.0.1:50052"),
        ("[::1]:50052", "default", "[::1]:50052"),
        ("trireme-inference-default:50052", "default", "trireme-inference-default:50052"),
        ("trireme-inference-gpu-a:50052", "gpu-a", "trireme-inference-gpu-a:50052"),
        ("x-inference-y-inference-big.ns.svc:1", "big", "x-inference-y-inference-big.ns.svc:1"),
        ("triton.ns-inference-x.svc:1", "default", "triton.ns-inference-x.svc:1"),
        ("trireme-inference:50052", "default", "trireme-inference:50052"),
        ("big=triton:8001", "big", "triton:8001"),
        ("big=a-inference-small:1", "big", "a-inference-small:1"),
    ],
)
def test_the_pool_of_an_address(given: str, pool: str, address: str) -> None:
    assert split_address(given) == (pool, address)


@pytest.mark.parametrize("given", ["=a:1", "Big=a:1", "a.b=c:1", "-a=c:1"])
def test_a_pool_has_the_name_of_a_label(given: str) -> None:
    with pytest.raises(ValueError, match="name of a pool"):
        split_address(given)


def test_addresses_have_commas_between() -> None:
    assert pool_addresses("a=x:1, y-inference-b:2,,") == [("a", "x:1"), ("b", "y-inference-b:2")]


def test_a_model_counts_for_the_pools_that_have_it() -> None:
    pools = PoolModels(["a", "b", "default"])
    pools.learn("a", ["m"])
    pools.learn("b", ["m", "n"])
    pools.learn("default", ["o"])
    assert pools.of("m") == ["a", "b"]
    assert pools.of("n") == ["b"]
    assert pools.spread({"m": 2, "n": 1}) == {"a": 2, "b": 3, "default": 0}


def test_what_a_pool_said_last_stays_while_it_has_no_endpoint() -> None:
    pools = PoolModels(["a", "b"])
    pools.learn("a", ["m"])
    pools.learn("a", [])
    assert pools.of("m") == ["a"]


def test_an_unknown_model_counts_for_pools_never_heard_of_and_then_for_default() -> None:
    pools = PoolModels(["a", "b", "default"])
    pools.learn("default", ["m"])
    assert pools.of("x") == ["a", "b"]
    pools.learn("a", ["m"])
    pools.learn("b", ["m"])
    assert pools.of("x") == ["default"]
    known = PoolModels(["a", "b"])
    known.learn("a", ["m"])
    known.learn("b", ["m"])
    assert known.of("x") == ["a", "b"]
    assert PoolModels([]).of("x") == ["default"]
