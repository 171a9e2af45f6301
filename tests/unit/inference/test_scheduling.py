"""model.yaml's `batching` to a policy."""

from typing import Any

import pytest

from tests.support.batch_simulation import Waiting
from trireme_common.model_spec import Batching
from trireme_common.triton.queue_policy import QueuePolicy
from trireme_inference.batch_policy import BatchPolicy, CloseReason
from trireme_inference.batch_queue import BatchQueue
from trireme_inference.scheduling import policy_notes, policy_of, sees_all


def test_without_an_objective_the_numbers_of_model_yaml_hold() -> None:
    batching = Batching(max_queue_delay_ms=5, preferred_batch_sizes=(0, 4, 64))
    policy = policy_of(batching, 16, measured={1: 0.002})
    assert isinstance(policy, BatchPolicy)
    assert (policy.max_rows, policy.preferred_rows, policy.max_delay_seconds) == (16, (4,), 0.005)
    assert policy.costs.seconds(1) == 0.002


def test_an_objective_and_a_measured_curve_decide_from_the_first_batch_on() -> None:
    batching = Batching(latency_objective_ms=40)
    policy = policy_of(batching, 16, instances=2, measured={1: 0.004, 8: 0.005, 16: 0.016})
    queue: BatchQueue[Waiting] = BatchQueue(policy)
    for _ in range(16):
        queue.add("k", Waiting())
    batch = queue.take(0.0)
    assert batch is not None
    # Rows are cheapest at 8 a run.
    assert (batch.rows, batch.reason) == (8, CloseReason.GOAL)


@pytest.mark.parametrize(
    ("given", "notes"),
    [
        ({"max_queue_delay_ms": 5}, []),
        ({"latency_objective_ms": 20}, []),
        (
            {"latency_objective_ms": 20, "max_queue_delay_ms": 5, "preferred_batch_sizes": (4,)},
            [
                "without effect beside batching.latency_objective_ms: "
                "batching.max_queue_delay_ms, batching.preferred_batch_sizes"
            ],
        ),
    ],
)
def test_keys_without_effect_are_named(given: dict[str, Any], notes: list[str]) -> None:
    assert policy_notes(Batching(**given)) == notes


@pytest.mark.parametrize(
    ("given", "timeout", "sees"),
    [
        ({}, None, False),
        ({"max_batch_size": 64, "max_queue_size": 10}, None, False),
        ({"max_queue_delay_ms": 5}, None, True),
        ({"preferred_batch_sizes": (4,)}, None, True),
        ({"latency_objective_ms": 20}, None, True),
        ({"priority_levels": 3}, None, True),
        ({}, 0.2, True),
    ],
)
def test_a_scheduler_with_rules_of_its_own_sees_all_that_waits(
    given: dict[str, Any], timeout: float | None, sees: bool
) -> None:
    assert sees_all(Batching(**given), QueuePolicy(0, timeout)) is sees
