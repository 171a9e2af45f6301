"""`dynamic_batching` of a config.pbtxt: what it says of waiting that no model.yaml can say."""

from __future__ import annotations

from typing import NamedTuple

from trireme_common.triton.pbtxt import ParsedConfig
from trireme_protos.inference.model_config_pb2 import ModelQueuePolicy

MAX_PRIORITY_LEVELS = 16


class QueuePolicy(NamedTuple):
    """How requests wait."""

    default_level: int = 0
    """Priority level of a request that names none; 0 is the middle one."""
    timeout_seconds: float | None = None
    """Longest wait for an instance; None where the caller's own deadline alone bounds it."""


def read_queue_policy(config: ParsedConfig) -> QueuePolicy:
    """Raises SpecError for a default level that the model does not have."""
    dynamic = config.message.dynamic_batching
    level, levels = dynamic.default_priority_level, max(1, dynamic.priority_levels)
    if level > levels:
        raise config.error(
            f"level {level} is not one of priority_levels {levels}",
            "dynamic_batching",
            "default_priority_level",
        )
    policy = dynamic.default_queue_policy
    # A request whose time is up is then to run after the others, not to be refused.
    delayed = policy.timeout_action == ModelQueuePolicy.DELAY
    microseconds = 0 if delayed else policy.default_timeout_microseconds
    return QueuePolicy(min(level, MAX_PRIORITY_LEVELS), microseconds / 1e6 if microseconds else None)
