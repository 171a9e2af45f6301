"""The page of metrics: whole, and fresh."""

from scripts.generate_metrics_doc import TARGET, gateway, inference, render, rows_of, stages

TRITONS = (
    "nv_inference_request_success", "nv_inference_request_failure", "nv_inference_count",
    "nv_inference_exec_count", "nv_inference_request_duration_us", "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us", "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us", "nv_inference_pending_request_count", "nv_gpu_utilization",
    "nv_gpu_memory_total_bytes", "nv_gpu_memory_used_bytes", "nv_gpu_power_usage", "nv_gpu_power_limit",
    "nv_energy_consumption", "nv_cpu_utilization", "nv_cpu_memory_total_bytes", "nv_cpu_memory_used_bytes",
    "nv_cache_num_hits_per_model", "nv_cache_num_misses_per_model", "nv_cache_hit_duration_per_model",
    "nv_cache_miss_duration_per_model",
)  # fmt: skip


def test_the_committed_page_is_fresh() -> None:
    assert TARGET.read_text("utf-8") == render()


def test_every_family_of_triton_stands_in_it() -> None:
    page = render()
    assert [name for name in TRITONS if f"| `{name}` |" not in page] == []


def test_metrics_carry_their_type_and_labels() -> None:
    rows = {
        row.name: row
        for group in (gateway(), inference(), stages())
        for found in group
        for row in rows_of(found)
    }
    assert (rows["model_requests_total"].kind, rows["model_requests_total"].labels) == (
        "counter",
        ("endpoint", "status"),
    )
    assert rows["nv_inference_request_failure"].labels == ("model", "version", "reason")
    assert rows["nv_gpu_utilization"].labels == ("gpu_uuid",)
    assert rows["trireme_inference_batch_rows"].kind == "histogram"
    assert all(row.meaning.endswith(".") for row in rows.values())
