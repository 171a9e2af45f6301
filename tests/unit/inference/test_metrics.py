"""The batch curve as a metric, shown as long as its version is loaded."""

from prometheus_client import CollectorRegistry

from trireme_inference.metrics import InferenceMetrics

NAME = "trireme_inference_batch_curve_seconds"


def seconds(registry: CollectorRegistry, rows: int) -> float | None:
    return registry.get_sample_value(NAME, {"model": "m", "version": "1", "rows": str(rows)})


def test_a_curve_is_shown_until_its_version_is_gone() -> None:
    registry = CollectorRegistry()
    metrics = InferenceMetrics(registry)
    forget = metrics.show_curve("m", "1", {1: 0.5, 2: 0.75})
    assert (seconds(registry, 1), seconds(registry, 2)) == (0.5, 0.75)
    forget()
    assert seconds(registry, 1) is None


def test_a_version_that_is_loaded_again_shows_its_new_curve() -> None:
    registry = CollectorRegistry()
    metrics = InferenceMetrics(registry)
    forget = metrics.show_curve("m", "1", {1: 0.5})
    metrics.show_curve("m", "1", {1: 0.25})
    assert seconds(registry, 1) == 0.25
    forget()
    assert seconds(registry, 1) == 0.25
