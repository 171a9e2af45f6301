"""Runs a batch on the backend so that every request gets its own outcome: a batch that fails is run
again in halves, until the request that makes it fail stands alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Array
from trireme_common.tracing import log_ids
from trireme_inference import run_clock
from trireme_inference.backend import Backend, RunError
from trireme_inference.requests import Answer, MembersLeft, Request, RunTimes
from trireme_inference.signature import Row, Signature, Stack
from trireme_inference.workers.worker import WorkerLost

logger = structlog.get_logger(__name__)


class Execution:
    """Synchronous, called from the instances' threads. `stage`, where given, is asked before every run
    for what stacks its inputs where the backend wants them."""

    def __init__(
        self,
        model: str,
        backend: Backend,
        signature: Signature,
        clock: Callable[[], float] = time.monotonic,
        *,
        stage: Callable[[Sequence[Request], Sequence[Row]], Stack] | None = None,
    ) -> None:
        self._model = model
        self._backend = backend
        self._signature = signature
        self._clock = clock
        self._stage = stage

    def run(self, batch: Sequence[Request]) -> list[Answer]:
        """Answers the members that have not gone, in order; the others are left out.

        `batch` holds requests of equal shapes, and a single one where the model does not batch. Raises
        WorkerLost where the process of the model died of it.
        """
        started = self._clock()
        # Parts before the look: one that is answered meanwhile, at its deadline, lets go of them.
        rows = [request.parts for request in batch]
        here = [pair for pair in zip(batch, rows, strict=True) if not pair[0].gone(started)]
        alive, given = [request for request, _ in here], [parts for _, parts in here]
        if not alive:
            return []
        try:
            stack = self._stage(alive, given) if self._stage is not None else None
            feed = self._signature.feed(alive, stack, given)
            outputs, began, ended = self._run(feed)
            pieces = self._signature.split(outputs, alive)
        except MembersLeft:
            return self.run(batch)
        except WorkerLost:
            raise
        except TriremeError as refusal:  # nothing ran: the batch is not to blame
            return [
                Answer(request, error=refusal.afresh(), queue_seconds=started - request.arrived)
                for request in alive
            ]
        except Exception as error:  # a runtime may raise anything; the batch is taken apart
            return self._take_apart(alive, error, started)
        now = self._clock()
        run = RunTimes(sum([request.rows for request in alive]), began - started, ended - began, now - ended)
        seconds = now - started
        return [
            Answer(request, parts, shapes, None, started - request.arrived, seconds, run)
            for request, (parts, shapes) in zip(alive, pieces, strict=True)
        ]

    def _run(self, feed: Mapping[str, Array]) -> tuple[list[Array], float, float]:
        """The outputs, and when the model began and ended."""
        began = self._clock()
        outputs = self._backend.run(feed, self._signature.fetch)
        return outputs, *run_clock.told(began, self._clock())

    def _take_apart(self, batch: list[Request], error: Exception, started: float) -> list[Answer]:
        if len(batch) > 1:
            middle = len(batch) // 2
            return [*self.run(batch[:middle]), *self.run(batch[middle:])]
        request = batch[0]
        detail = error.detail if isinstance(error, RunError) else "the model failed on this input"
        # What the runtime says may quote the input: the log names the model's part of it only.
        logger.warning(
            "model_failed",
            model=self._model,
            kind=type(error).__name__,
            detail=detail,
            request_id=request.request_id,
            **log_ids(request.span),
        )
        failure = TriremeError(Code.MODEL_FAILED, detail)
        return [Answer(request, (), (), failure, started - request.arrived, self._clock() - started)]
