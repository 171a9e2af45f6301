"""A request with more rows than one run takes: cut in slices, their answers put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import decode_bytes, dtype_of, encode_bytes
from trireme_inference.requests import Answer, Part, Request, RunTimes

Told = Callable[[Answer], None]


class _Gather:
    """Caller and sink of the slices; answers the whole request once all have come, or one has failed."""

    def __init__(self, whole: Request, count: int, told: Told) -> None:
        self._whole = whole
        self._told = told
        self._answers: dict[int, Answer] = {}
        self._count = count
        self._order: dict[Request, int] = {}
        self._failed = False

    @property
    def cancelled(self) -> bool:
        return self._failed or self._whole.caller.cancelled

    def expect(self, request: Request) -> None:
        self._order[request] = len(self._order)

    def deliver(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            if self._failed:
                return
            self._answers[self._order[answer.request]] = answer
            if answer.error is not None:
                self._failed = True
                self._finish(Answer(self._whole, error=answer.error, queue_seconds=answer.queue_seconds))
            elif len(self._answers) == self._count:
                self._finish(_concatenate(self._whole, [self._answers[at] for at in range(self._count)]))

    def _finish(self, answer: Answer) -> None:
        self._whole.answered = True
        self._told(answer)
        self._whole.sink.deliver([answer])


def cut(request: Request, max_rows: int, told: Told = lambda _: None) -> list[Request]:
    """Requests of at most `max_rows` rows each that answer `request` together; itself where it fits.

    `told` hears the answer to the whole before its sink does.
    """
    if request.rows <= max_rows:
        return [request]
    starts = range(0, request.rows, max_rows)
    gather = _Gather(request, len(starts), told)
    columns = [
        _cut_part(info.name, info.datatype, part, request.rows, max_rows)
        for info, part in zip(request.signature.inputs, request.parts, strict=True)
    ]
    slices = []
    for start, parts in zip(starts, zip(*columns, strict=True), strict=True):
        rows = min(max_rows, request.rows - start)
        piece = replace(request, parts=parts, rows=rows, caller=gather, sink=gather, context=None, part=True)
        gather.expect(piece)
        slices.append(piece)
    request.parts = ()
    return slices


def _cut_part(name: str, datatype: str, part: Part, rows: int, max_rows: int) -> Sequence[Part]:
    if dtype_of(datatype) is not None:
        size = len(part) // rows * max_rows
        # A row may be empty (a dimension of 0): every slice is then.
        return [part[at * size : (at + 1) * size] for at in range(-(-rows // max_rows))]
    elements = decode_bytes(name, part)
    count = len(elements) // rows * max_rows
    return [encode_bytes(elements[at * count : (at + 1) * count]) for at in range(-(-rows // max_rows))]


def _concatenate(whole: Request, answers: Sequence[Answer]) -> Answer:
    row_shapes = {tuple(shape[1:] for shape in answer.shapes) for answer in answers}
    if len(row_shapes) > 1:
        detail = f"the model's outputs for {whole.rows} rows differ in shape; send fewer rows at a time"
        return Answer(whole, error=TriremeError(Code.MODEL_FAILED, detail))
    shapes = tuple((whole.rows, *shape[1:]) for shape in answers[0].shapes)
    columns = zip(*(answer.parts for answer in answers), strict=True)
    return Answer(
        whole,
        tuple(b"".join(column) for column in columns),
        shapes,
        queue_seconds=min(answer.queue_seconds for answer in answers),
        compute_seconds=sum(answer.compute_seconds for answer in answers),
        run=_all_runs(whole.rows, [answer.run for answer in answers if answer.run is not None]),
    )


def _all_runs(rows: int, runs: Sequence[RunTimes]) -> RunTimes:
    return RunTimes(
        rows,
        sum(run.input_seconds for run in runs),
        sum(run.infer_seconds for run in runs),
        sum(run.output_seconds for run in runs),
    )
