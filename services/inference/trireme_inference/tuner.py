"""Opens a model, measures it, settles how it is run, and opens it again where that is another way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import structlog

from trireme_common.model_spec import ModelSpec
from trireme_common.tensors import Array
from trireme_inference.backend import Backend
from trireme_inference.batch_curve import CPU_BUDGET_SECONDS, GPU_BUDGET_SECONDS, measure_curve
from trireme_inference.signature import Signature
from trireme_inference.tuning import Curve, Plan, Wishes, alternative, choose, first_plan

logger = structlog.get_logger(__name__)

# The alternative runs on all threads: half the time is as much of the CPU, or more.
_SHARE_OF_BUDGET = 0.5


class Open(Protocol):
    def __call__(self, spec: ModelSpec, threads: int) -> Backend:
        """Opens the model for runs of so many CPU threads. Raises SpecError."""


def wishes_of(spec: ModelSpec) -> Wishes:
    """What the spec fixes, by a value of its own rather than by the schema's default."""
    batching, instances = spec.batching, spec.instances
    return Wishes(
        max_rows=max(1, batching.max_batch_size) if "max_batch_size" in batching.model_fields_set else None,
        runs=instances.count if "count" in instances.model_fields_set else None,
    )


class Tuner:
    """One model version that is being loaded, on a machine that lends it `threads` CPU threads.

    Opens the model at once; whoever fails afterwards closes `backend`.
    """

    def __init__(self, spec: ModelSpec, opener: Open, *, threads: int, gpu: bool) -> None:
        self._open = opener
        self._wishes = wishes_of(spec)
        self._threads = threads
        self._gpu = gpu
        self._plan = first_plan(self._wishes, threads=threads, gpu=gpu)
        self._fixed = spec
        self.backend = opener(self.spec, self._plan.threads)

    @property
    def spec(self) -> ModelSpec:
        """The spec with what was settled: its largest batch, its instances."""
        spec, plan = self._fixed, self._plan
        batching = spec.batching
        if self._wishes.max_rows is None:
            batching = batching.model_copy(update={"max_batch_size": plan.max_rows})
        instances = spec.instances.model_copy(update={"count": plan.runs})
        return spec.model_copy(update={"batching": batching, "instances": instances})

    @property
    def curve(self) -> Curve:
        """What was measured, for the plan that was taken."""
        return self._plan.curve

    def tune(self, signature: Signature, feed: Mapping[str, Array]) -> None:
        """Measures with rows like the first of `feed`, and settles `backend` and `spec`."""
        measured = self._measured(self._plan, self.backend, signature, feed)
        together = alternative(self._wishes, measured, threads=self._threads, gpu=self._gpu)
        if together is not None:
            backend = self._open(self.spec, together.threads)
            try:
                together = self._measured(together, backend, signature, feed, _SHARE_OF_BUDGET)
            finally:
                backend.close()
        opened = self._plan
        self._plan = plan = choose(self._wishes, measured, together, threads=self._threads, gpu=self._gpu)
        if plan.threads != opened.threads:
            before, self.backend = self.backend, self._open(self.spec, plan.threads)
            before.close()
        logger.info(
            "model_tuned",
            model=self._fixed.name,
            max_rows=plan.max_rows,
            runs=plan.runs,
            threads=plan.threads,
            microseconds={str(rows): round(seconds * 1e6) for rows, seconds in plan.curve.items()},
        )

    def _measured(
        self,
        plan: Plan,
        backend: Backend,
        signature: Signature,
        feed: Mapping[str, Array],
        share: float = 1.0,
    ) -> Plan:
        budget = share * (GPU_BUDGET_SECONDS if self._gpu else CPU_BUDGET_SECONDS)
        most = plan.max_rows if signature.batchable else 1
        return replace(plan, curve=measure_curve(backend, signature, feed, most, budget_seconds=budget))
