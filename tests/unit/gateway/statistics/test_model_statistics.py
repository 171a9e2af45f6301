"""Sums over replicas, the cache before them, and Triton's JSON."""

import json

from trireme_gateway.statistics.model_statistics import (
    BATCH,
    INFERENCE,
    CacheCounts,
    Duration,
    ModelStatistics,
    summed,
)


def one(name: str = "m", version: str = "1", scale: int = 1) -> ModelStatistics:
    """Every number of its own."""
    return ModelStatistics(
        name,
        version,
        last_inference_ms=1000 * scale,
        inferences=7 * scale,
        executions=3 * scale,
        inference={key: Duration(at * scale, 10 * at * scale) for at, key in enumerate(INFERENCE)},
        responses={"0": {"success": Duration(scale, scale)}},
        batches={4: {key: Duration(scale, 5 * scale) for key in BATCH}},
        memory={("CPU", 0): 100 * scale},
    )


def test_the_same_version_of_two_replicas_is_added_up() -> None:
    (found,) = summed([one(), one(scale=2)])
    assert (found.last_inference_ms, found.inferences, found.executions) == (2000, 21, 9)
    assert found.inference == one(scale=3).inference
    assert found.responses == {"0": {"success": Duration(3, 3)}}
    assert found.batches == one(scale=3).batches
    assert found.memory == {("CPU", 0): 300}


def test_what_only_one_replica_has_is_kept() -> None:
    other = ModelStatistics("m", "1", batches={2: {"compute_infer": Duration(1, 1)}}, memory={("GPU", 1): 5})
    (found,) = summed([one(), other])
    assert found.inference == one().inference
    assert set(found.batches) == {2, 4}
    assert found.memory == {("CPU", 0): 100, ("GPU", 1): 5}


def test_versions_stand_by_name_and_number() -> None:
    found = summed([one("b"), one("a", "10"), one("a", "9"), one("a", "9")])
    assert [(each.name, each.version, each.inferences) for each in found] == [
        ("a", "9", 14), ("a", "10", 7), ("b", "1", 7)
    ]  # fmt: skip


def test_what_the_cache_answered_was_answered_well() -> None:
    cached = CacheCounts(Duration(5, 500), Duration(2, 20))
    before, after = one().inference, one().with_cache(cached).inference
    assert after["success"] == before["success"] + Duration(5, 520)
    assert after["queue"] == before["queue"] + Duration(5)
    assert after["cache_hit"] == before["cache_hit"] + Duration(5, 500)
    assert after["cache_miss"] == before["cache_miss"] + Duration(2, 20)
    for part in ("fail", *BATCH):
        assert after[part] == before[part]


def test_a_version_that_never_ran_has_every_field() -> None:
    zero = {"count": 0, "ns": 0}
    assert ModelStatistics("m", "1").plain() == {
        "name": "m",
        "version": "1",
        "last_inference": 0,
        "inference_count": 0,
        "execution_count": 0,
        "inference_stats": dict.fromkeys(INFERENCE, zero),
        "response_stats": {},
        "batch_stats": [],
        "memory_usage": [],
    }


def test_json_has_tritons_names_and_whole_numbers() -> None:
    plain = json.loads(json.dumps(one().plain()))
    assert list(plain["inference_stats"]) == [
        "success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit",
        "cache_miss",
    ]  # fmt: skip
    assert plain["inference_stats"]["queue"] == {"count": 2, "ns": 20}
    assert plain["batch_stats"] == [
        {
            "batch_size": 4,
            **{key: {"count": 1, "ns": 5} for key in ("compute_input", "compute_infer", "compute_output")},
        }
    ]
    assert plain["memory_usage"] == [{"type": "CPU", "id": 0, "byte_size": 100}]
    assert plain["response_stats"]["0"]["success"] == {"count": 1, "ns": 1}
    assert plain["response_stats"]["0"]["cancel"] == {"count": 0, "ns": 0}
