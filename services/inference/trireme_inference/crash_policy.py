"""What happens to a batch whose worker process died: the run is tried once more, item by item.

The members of a batch that crashed are suspects: each runs alone, elsewhere or on the restarted worker,
now or whenever it is sent again. One that survives is cleared; one that crashes again is refused, and
remembered, so that it is refused at once from then on. So an input costs two crashes at most, a batch
one crash more than it has such inputs, and the callers beside it nothing but time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_inference.quarantine import Quarantine, Verdict
from trireme_inference.requests import Answer, Part, Request, Shapes
from trireme_inference.workers.worker import WorkerLost
from trireme_inference.workers.worker_set import WorkerCounts

logger = structlog.get_logger(__name__)

_DETAIL = "the model's process died twice of this input, which is refused until the model is loaded again"


class _Given(NamedTuple):
    """The input of a request."""

    rows: int
    shapes: Shapes
    parts: tuple[Part, ...]


class CrashPolicy:
    """Runs batches by `run`, which answers members in order and raises WorkerLost."""

    def __init__(
        self,
        run: Callable[[Sequence[Request]], list[Answer]],
        quarantine: Quarantine,
        counts: WorkerCounts,
        *,
        model: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._quarantine = quarantine
        self._counts = counts
        self._model = model
        self._clock = clock

    def run(self, batch: Sequence[Request]) -> list[Answer]:
        """As Execution.run; raises nothing of a crash."""
        if self._quarantine.empty:
            return self._tried(batch)
        verdicts = [self._quarantine.verdict(request) for request in batch]
        together = [request for request, found in zip(batch, verdicts, strict=True) if found is Verdict.CLEAR]
        answers = self._tried(together) if together else []
        for request, found in zip(batch, verdicts, strict=True):
            if found is Verdict.REFUSED:
                answers.append(self._refusal(request))
            elif found is Verdict.SUSPECT:
                answers.extend(self._alone(request))
        order = {request: place for place, request in enumerate(batch)}
        return sorted(answers, key=lambda answer: order[answer.request])

    def _tried(self, batch: Sequence[Request]) -> list[Answer]:
        present, given = self._present(batch)
        try:
            return self._run(present)
        except WorkerLost as lost:
            self._crashed(present, given, lost)
        return self.run(present)

    def _alone(self, request: Request) -> list[Answer]:
        present, given = self._present([request])
        try:
            answers = self._run(present)
        except WorkerLost as lost:
            self._crashed(present, given, lost)
            return [self._refusal(request)]
        if answers:
            self._quarantine.survived(given[0])
        return answers

    def _present(self, batch: Sequence[Request]) -> tuple[list[Request], list[_Given]]:
        """Without those that have gone: they do not run, and are not to blame. And what these are given,
        because a request that is answered at its deadline, while a worker hangs, lets go of it."""
        given = [_Given(request.rows, request.shapes, request.parts) for request in batch]
        now = self._clock()
        here = [pair for pair in zip(batch, given, strict=True) if not pair[0].gone(now)]
        return [request for request, _ in here], [kept for _, kept in here]

    def _crashed(self, batch: Sequence[Request], given: Sequence[_Given], lost: WorkerLost) -> None:
        refused = self._quarantine.crashed(given)
        self._counts.quarantined(refused)
        logger.error(
            "batch_crashed",
            model=self._model,
            reason=lost.reason,
            requests=len(batch),
            quarantined=refused,
            request_ids=[request.request_id for request in batch[:8]],
        )

    def _refusal(self, request: Request) -> Answer:
        error = TriremeError(Code.INPUT_QUARANTINED, _DETAIL)
        return Answer(request, error=error, queue_seconds=self._clock() - request.arrived)
