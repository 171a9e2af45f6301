"""What is counted of workers, by version."""

from prometheus_client import CollectorRegistry, generate_latest

from trireme_inference.worker_metrics import WorkerMetrics


class Processes:
    def resident_bytes(self) -> dict[int, int]:
        return {0: 4096, 1: 8192}

    def cpu_seconds(self) -> dict[int, float]:
        return {0: 1.5, 1: 0.25}


def lines_of(registry: CollectorRegistry) -> set[str]:
    lines = generate_latest(registry).decode().splitlines()
    return {line for line in lines if not line.startswith("#")}


def test_crashes_restarts_refusals_and_bytes_are_counted_by_version() -> None:
    registry = CollectorRegistry()
    counts = WorkerMetrics(registry).counts("m", "2")
    counts.crashed()
    counts.crashed()
    counts.restarted()
    counts.quarantined(3)
    counts.carried(100, 7)
    assert lines_of(registry) == {
        'trireme_inference_worker_crashes_total{model="m",version="2"} 2.0',
        'trireme_inference_worker_restarts_total{model="m",version="2"} 1.0',
        'trireme_inference_quarantined_inputs_total{model="m",version="2"} 3.0',
        'trireme_inference_shared_memory_bytes_total{direction="to_worker",model="m",version="2"} 100.0',
        'trireme_inference_shared_memory_bytes_total{direction="from_worker",model="m",version="2"} 7.0',
    }


def test_what_each_process_takes_is_read_at_the_scrape_until_it_is_forgotten() -> None:
    registry = CollectorRegistry()
    forget = WorkerMetrics(registry).watch("m", "2", Processes())
    memory, computed = "trireme_inference_worker_resident_bytes", "trireme_inference_worker_cpu_seconds_total"
    assert lines_of(registry) == {
        f'{memory}{{instance="0",model="m",version="2"}} 4096.0',
        f'{memory}{{instance="1",model="m",version="2"}} 8192.0',
        f'{computed}{{instance="0",model="m",version="2"}} 1.5',
        f'{computed}{{instance="1",model="m",version="2"}} 0.25',
    }
    forget()
    assert lines_of(registry) == set()
