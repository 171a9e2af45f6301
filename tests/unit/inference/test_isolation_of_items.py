"""Whatever shares a queue, a batch and a run: every item has the answer that it has alone, and has it once.

Random streams of requests go through the real scheduler: other lengths, other numbers of rows, priorities,
callers that leave, times that are up, inputs on which the model fails, a reload in the middle.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import onnx_models
from tests.support.inference_fakes import (
    INPUTS,
    OUTPUTS,
    POISON,
    FakeBackend,
    FakeCaller,
    Inbox,
    make_request,
)
from trireme_common.errors import Code
from trireme_common.stage_state import TensorInfo
from trireme_inference.adaptive_policy import AdaptivePolicy
from trireme_inference.backend import Backend, OpenOptions
from trireme_inference.batch_policy import BatchPolicy, Policy
from trireme_inference.batcher import Batcher
from trireme_inference.execution import Execution
from trireme_inference.onnx_backend import open_onnx
from trireme_inference.requests import Answer, Request
from trireme_inference.shape_buckets import ShapeBuckets
from trireme_inference.signature import Signature

MOST_ROWS = 4
LEVELS = 3
BUCKETS = (2, 4, 8)
PLAIN = Signature(INPUTS, OUTPUTS)
PADDED = Signature(INPUTS, OUTPUTS, buckets=ShapeBuckets(BUCKETS, (1,), (1,)))


@dataclass
class Sent:
    """One request of a stream and what is to become of it."""

    rows: int
    length: int
    fate: str
    priority: int
    pause: bool
    request: Request = field(init=False)
    caller: FakeCaller = field(default_factory=FakeCaller)

    @property
    def level(self) -> int:
        return self.priority if 1 <= self.priority <= LEVELS else 2


items = st.builds(
    Sent,
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from(["good", "good", "good", "poison", "left", "leaves", "late"]),
    st.integers(0, LEVELS + 1),
    st.booleans(),
)
streams = st.lists(items, min_size=1, max_size=40)
policies = st.one_of(
    st.builds(BatchPolicy, st.just(MOST_ROWS), st.sampled_from([(), (3,)]), st.sampled_from([0.0, 0.002])),
    st.builds(AdaptivePolicy, st.just(MOST_ROWS), st.sampled_from([0.002, 0.02])),
)


async def play(stream: Sequence[Sent], inbox: Inbox, batchers: Sequence[Batcher]) -> None:
    """Sends the stream to the first batcher, and from its middle on to the second while the first closes."""
    serving, closing = batchers[0], None
    for number, sent in enumerate(stream):
        if len(batchers) > 1 and number == len(stream) // 2:
            closing = asyncio.create_task(serving.close())
            serving = batchers[1]
        sent.caller.cancelled = sent.fate == "left"
        serving.submit([sent.request])
        if sent.pause:
            await asyncio.sleep(0)
        if sent.fate == "leaves":
            sent.caller.cancelled = True
    async with asyncio.timeout(10):
        while len(inbox.answers) < len(stream):
            await asyncio.sleep(0.0005)
        if closing is not None:
            await closing
        await serving.close()


def answers_of(stream: Sequence[Sent], inbox: Inbox) -> list[tuple[Sent, Answer]]:
    """Every request of the stream beside the one answer that it had."""
    by_request = {id(answer.request): answer for answer in inbox.answers}
    assert len(inbox.answers) == len(by_request) == len(stream), "lost, or answered twice"
    return [(sent, by_request[id(sent.request)]) for sent in stream]


def check_code(sent: Sent, answer: Answer) -> bool:
    """True where the request has an answer of the model."""
    code = None if answer.error is None else answer.error.code
    allowed = {
        "good": {None},
        "poison": {Code.MODEL_FAILED},
        "left": {Code.CANCELLED},
        "late": {Code.DEADLINE_EXCEEDED},
        "leaves": {None, Code.CANCELLED},
    }
    assert code in allowed[sent.fate]
    return code is None


def check_order(stream: Sequence[Sent], inbox: Inbox, signature: Signature) -> None:
    """Requests of equal priority that share a run if they can are answered in the order of arrival."""
    positions = {id(answer.request): at for at, answer in enumerate(inbox.answers)}
    lanes: dict[Any, list[int]] = {}
    for sent in stream:
        if sent.fate in ("good", "poison") and sent.rows <= MOST_ROWS:
            lane = (sent.level, signature.key(sent.request))
            lanes.setdefault(lane, []).append(positions[id(sent.request)])
    assert all(order == sorted(order) for order in lanes.values())


@settings(max_examples=150, deadline=None)
@given(streams, policies, st.integers(1, 3), st.sampled_from([PLAIN, PADDED]), st.booleans())
async def test_every_answer_equals_its_answer_alone(
    stream: list[Sent], policy: Policy, instances: int, signature: Signature, reload: bool
) -> None:
    backend, inbox = FakeBackend(), Inbox()
    expected = []
    for number, sent in enumerate(stream):
        array = np.arange(sent.rows * sent.length, dtype=np.float32).reshape(sent.rows, -1) + 1 + 100 * number
        if sent.fate == "poison":
            array[sent.rows // 2, -1] = POISON
        expected.append(array * 2)
        sent.request = make_request(
            inbox,
            array.tolist(),
            seconds=-1 if sent.fate == "late" else 30,
            caller=sent.caller,
            signature=signature,
            priority=sent.priority,
        )
    batchers = [
        Batcher(
            Execution("fake", backend, signature).run,
            chosen,
            asyncio.get_running_loop(),
            instances=instances,
            priority_levels=LEVELS,
            key=signature.key,
        )
        for chosen in (policy, BatchPolicy(MOST_ROWS))[: 1 + reload]
    ]
    await play(stream, inbox, batchers)
    for (sent, answer), values in zip(answers_of(stream, inbox), expected, strict=True):
        if check_code(sent, answer):
            np.testing.assert_array_equal(inbox.values(sent.request), values)
    if instances == 1 and not reload:
        check_order(stream, inbox, signature)
    if signature is PADDED:
        assert {run.shape[1] for run in backend.runs} <= {*BUCKETS, 9}


ENCODER = Signature(
    (TensorInfo("ids", "INT64", (-1, -1)), TensorInfo("mask", "INT64", (-1, -1))),
    (TensorInfo("tokens", "FP32", (-1, -1, 3)), TensorInfo("pooled", "FP32", (-1, 3))),
    buckets=ShapeBuckets(BUCKETS, (1, 1), (1, None)),
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    directory = tmp_path_factory.mktemp("encoder")
    (directory / "model.onnx").write_bytes(onnx_models.masked_encoder())
    return open_onnx(directory, OpenOptions())


def encoder_inputs(sent: Sent, number: int) -> list[np.ndarray]:
    chance = np.random.default_rng(number)
    ids = chance.integers(0, 16, (sent.rows, sent.length))
    if sent.fate == "poison":
        ids[sent.rows // 2, -1] = 99  # outside of the vocabulary
    mask = np.ones_like(ids)
    mask[:, 1:] = chance.integers(0, 2, (sent.rows, sent.length - 1))
    return [ids, mask]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    streams, policies, st.sampled_from([ENCODER, Signature(ENCODER.inputs, ENCODER.outputs)]), st.booleans()
)
async def test_every_answer_of_onnx_runtime_equals_its_answer_alone(
    encoder: Backend, stream: list[Sent], policy: Policy, signature: Signature, reload: bool
) -> None:
    """Within rtol 1e-5 and atol 1e-6, padded or not."""
    inbox = Inbox()
    inputs = [encoder_inputs(sent, number) for number, sent in enumerate(stream)]
    for sent, arrays in zip(stream, inputs, strict=True):
        sent.request = make_request(
            inbox,
            [[0.0]] * sent.rows,
            seconds=-1 if sent.fate == "late" else 30,
            caller=sent.caller,
            signature=signature,
            priority=sent.priority,
        )
        sent.request.parts = tuple(array.tobytes() for array in arrays)
        sent.request.shapes = tuple(array.shape[1:] for array in arrays)
    batchers = [
        Batcher(
            Execution("encoder", encoder, signature).run,
            chosen,
            asyncio.get_running_loop(),
            instances=2,
            priority_levels=LEVELS,
            key=signature.key,
        )
        for chosen in (policy, BatchPolicy(MOST_ROWS))[: 1 + reload]
    ]
    await play(stream, inbox, batchers)
    for (sent, answer), arrays in zip(answers_of(stream, inbox), inputs, strict=True):
        if not check_code(sent, answer):
            continue
        alone = encoder.run(dict(zip(("ids", "mask"), arrays, strict=True)), signature.fetch)
        for part, shape, want in zip(answer.parts, answer.shapes, alone, strict=True):
            got = np.frombuffer(bytes(part), np.float32).reshape(shape)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 31), max_size=6))
async def test_a_failing_batch_is_halved_until_only_the_guilty_stand_alone(guilty: set[int]) -> None:
    backend, inbox = FakeBackend(), Inbox()
    batcher = Batcher(
        Execution("fake", backend, PLAIN).run, BatchPolicy(32), asyncio.get_running_loop(), key=PLAIN.key
    )
    requests = [
        make_request(inbox, [[POISON if number in guilty else float(number)]]) for number in range(32)
    ]
    batcher.submit(requests)
    async with asyncio.timeout(10):
        while len(inbox.answers) < 32:
            await asyncio.sleep(0.0005)
    await batcher.close()
    failed = {requests.index(answer.request) for answer in inbox.answers if answer.error is not None}
    assert failed == guilty
    alone = [run for run in backend.runs if len(run) == 1 and run[0, 0] == POISON]
    assert len(alone) == len(guilty)
    # A guilty one costs at most two runs on each of the five levels below the whole batch.
    assert len(backend.runs) <= 1 + 10 * len(guilty)
