"""Metrics of the models in memory."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from trireme_inference.memory_metrics import MemoryMetrics


def test_what_models_take_is_shown_of_this_machine_and_of_each_gpu() -> None:
    registry = CollectorRegistry()
    metrics = MemoryMetrics(registry)
    metrics.holds({"cpu": 30, "cuda:0": 500, "cuda:1": 70}, 100)
    metrics.holds({"cpu": 10, "cuda:1": 70}, 100)

    def shown(gpu: str) -> float | None:
        return registry.get_sample_value("trireme_models_gpu_bytes", {"device": gpu})

    assert registry.get_sample_value("trireme_models_loaded_bytes") == 10
    assert registry.get_sample_value("trireme_models_memory_limit_bytes") == 100
    assert (shown("cuda:0"), shown("cuda:1"), shown("cuda:2")) == (0, 70, None)


def test_loads_and_those_that_had_to_leave_are_counted() -> None:
    registry = CollectorRegistry()
    metrics = MemoryMetrics(registry)
    metrics.loaded("m", "1", 0.5)
    metrics.evicted("m", "1")
    labels = {"model": "m", "version": "1"}
    assert registry.get_sample_value("trireme_model_loads_total", labels) == 1
    assert registry.get_sample_value("trireme_model_evictions_total", labels) == 1
