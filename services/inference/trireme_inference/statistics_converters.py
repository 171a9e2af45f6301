"""Statistics as messages of the Open Inference Protocol."""

from __future__ import annotations

from trireme_inference.statistics import BatchCounts, Times, VersionStatistics
from trireme_protos.inference import grpc_service_pb2 as oip


def model_statistics(
    name: str, version: str, counts: VersionStatistics, worker_bytes: int
) -> oip.ModelStatistics:
    """One version's message. `worker_bytes`: memory of its own processes, 0 where it has none."""
    message = oip.ModelStatistics(
        name=name,
        version=version,
        last_inference=int(counts.last_inference * 1000),
        inference_count=counts.inferences,
        execution_count=counts.executions,
        inference_stats=_inference(counts),
        batch_stats=[_batch(rows, batch) for rows, batch in sorted(counts.batches.items())],
    )
    if worker_bytes:
        message.memory_usage.add(type="CPU", id=0, byte_size=worker_bytes)
    return message


def _inference(counts: VersionStatistics) -> oip.InferStatistics:
    served = counts.successes
    return oip.InferStatistics(
        success=_duration(served, counts.success_seconds),
        fail=_duration(counts.failed, counts.fail_seconds),
        queue=_duration(served, counts.queue_seconds),
        cache_hit=_duration(0, 0),
        cache_miss=_duration(0, 0),
        **_compute(served, counts.compute),
    )


def _batch(rows: int, batch: BatchCounts) -> oip.InferBatchStatistics:
    return oip.InferBatchStatistics(batch_size=rows, **_compute(batch.count, batch))


def _compute(count: int, times: Times) -> dict[str, oip.StatisticDuration]:
    return {
        "compute_input": _duration(count, times.input_seconds),
        "compute_infer": _duration(count, times.infer_seconds),
        "compute_output": _duration(count, times.output_seconds),
    }


def _duration(count: int, seconds: float) -> oip.StatisticDuration:
    return oip.StatisticDuration(count=count, ns=round(seconds * 1e9))
