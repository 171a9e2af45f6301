"""The use case: pipelines and bare models as tensor models."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.unit.gateway.v2.fakes import LABELS, bytes_of, services
from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import DATATYPES, Tensor, dtype_of, encode_bytes, encode_tensors
from trireme_gateway.context import RequestContext
from trireme_gateway.v2.inference import infer
from trireme_gateway.v2.metadata import model_metadata, repository_index
from trireme_gateway.v2.requests import InferRequest, InferResponse, RequestedOutput


def context() -> RequestContext:
    return RequestContext("id", time.monotonic() + 10)


def text(*elements: bytes, shape: tuple[int, ...] | None = None) -> Tensor:
    return Tensor("text", "BYTES", shape or (len(elements),), encode_bytes(elements))


async def ask(
    model: str, *tensors: Tensor, outputs: Sequence[RequestedOutput] = (), version: str | None = None
) -> InferResponse:
    request = InferRequest(tensors, tuple(outputs), id="7")
    return await infer(services(), model, version, request, context())


async def refused(model: str, *tensors: Tensor, **keywords: Any) -> TriremeError:
    with pytest.raises(TriremeError) as caught:
        await ask(model, *tensors, **keywords)
    return caught.value


@pytest.mark.parametrize("shape", [(2,), (2, 1), (1, 2), (1, 1, 2)])
async def test_a_text_pipeline_answers_labels_and_scores(shape: tuple[int, ...]) -> None:
    response = await ask("sentiment", text(b"good", "坏".encode(), shape=shape))
    label, confidence, probabilities = response.outputs
    assert (response.model_name, response.model_version, response.id) == ("sentiment", "1", "7")
    assert bytes_of(label) == [b"positive", b"negative"]
    assert (confidence.datatype, confidence.array().tolist()) == ("FP32", [0.75, 0.625])
    assert probabilities.array().tolist() == [[0.125, 0.125, 0.75], [0.625, 0.25, 0.125]]


async def test_a_picture_is_bytes_of_any_kind() -> None:
    tensor = Tensor("image", "BYTES", (1,), encode_bytes((b"\x89PNG\xff good",)))
    assert bytes_of((await ask("digits", tensor)).outputs[0]) == [b"positive"]


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2], [3, 4]], dtype=np.float64),
        np.array([[1, 2], [3, 4]], dtype=np.float32),
        np.array([[1, 2], [3, 4]], dtype=np.float16),
        np.array([[1, 2], [3, 4]], dtype=np.int64),
        np.array([[1, 2], [3, 4]], dtype=np.uint8),
    ],
)
async def test_rows_of_any_numbers_are_items_of_a_tabular_pipeline(array: Any) -> None:
    (value,) = (await ask("numbers", Tensor.of("features", array))).outputs
    assert (value.name, value.datatype, value.array().tolist()) == ("value", "FP64", [[2, 4], [6, 8]])


async def test_one_row_may_come_without_a_batch_dimension_and_as_bf16() -> None:
    row = Tensor("features", "BF16", (2,), b"\x80\x3f\x00\x40")
    assert (await ask("numbers", row)).outputs[0].array().tolist() == [[2, 4]]


async def test_an_embedding_is_a_row_each() -> None:
    (embedding,) = (await ask("vectors", text(b"embed", b"embed me"))).outputs
    assert (embedding.name, embedding.datatype) == ("embedding", "FP32")
    assert embedding.array().tolist() == [[0.5, 5.0], [0.5, 8.0]]


@pytest.mark.parametrize("datatype", DATATYPES)
async def test_a_bare_model_takes_every_datatype(datatype: str) -> None:
    dtype = dtype_of(datatype)
    data = encode_bytes((b"a", b"")) if dtype is None else bytes(2 * dtype.itemsize)
    (output,) = (await ask(f"echo_{datatype}", Tensor("INPUT0", datatype, (2,), data))).outputs
    assert output == Tensor("OUTPUT0", datatype, (2,), data)


async def test_the_order_of_the_inputs_does_not_matter() -> None:
    first, second = (Tensor(f"INPUT{at}", "INT8", (1,), bytes((at,))) for at in (0, 1))
    assert (await ask("pair", second, first)).outputs == (await ask("pair", first, second)).outputs


async def test_the_bare_model_of_a_pipeline_goes_by_its_own_name() -> None:
    ids = Tensor.of("ids", np.array([[1, 2]], dtype=np.int32))
    response = await ask("sentiment.inference", ids)
    assert response.model_name == "sentiment.inference"
    assert response.outputs == (ids,)


async def test_outputs_come_in_the_order_in_which_they_were_asked_for() -> None:
    wanted = (RequestedOutput("confidence"), RequestedOutput("label"))
    response = await ask("sentiment", text(b"good"), outputs=wanted)
    assert [tensor.name for tensor in response.outputs] == ["confidence", "label"]


async def test_classification_answers_classes_with_their_labels() -> None:
    wanted = (RequestedOutput("probabilities", {"classification": 2}),)
    (classes,) = (await ask("sentiment", text(b"good", b"bad"), outputs=wanted)).outputs
    assert classes.shape == (2, 2)
    assert bytes_of(classes)[:2] == [b"0.750000:2:positive", b"0.125000:0:negative"]


async def test_classification_of_an_unbatched_model_is_one_list() -> None:
    tensor = Tensor.of("INPUT0", np.array([1, 3, 2], dtype=np.float32))
    wanted = (RequestedOutput("OUTPUT0", {"classification": 2}),)
    (classes,) = (await ask("single", tensor, outputs=wanted)).outputs
    assert (classes.shape, bytes_of(classes)) == ((2,), [b"3.000000:1", b"2.000000:2"])


async def test_versions_are_chosen_by_the_caller_or_the_newest() -> None:
    tensor = Tensor.of("INPUT0", np.zeros((1, 3), dtype=np.float32))
    assert (await ask("echo", tensor)).model_version == "2"
    assert (await ask("echo", tensor, version="1")).model_version == "1"


async def test_an_unknown_model_is_said_as_triton_says_it() -> None:
    error = await refused("absent")
    assert error.code is Code.MODEL_NOT_FOUND
    assert error.detail.startswith("Request for unknown model: 'absent' is not found")
    error = await refused("echo", version="9")
    assert error.detail.startswith("Request for unknown model: 'echo' version 9 is not found")
    assert (await refused("broken")).code is Code.MODEL_NOT_READY


F = np.float32


@pytest.mark.parametrize(
    ("model", "tensors", "code", "said"),
    [
        (
            "echo",
            [Tensor.of("INPUT0", np.zeros((1, 2), F))],
            Code.WRONG_SHAPE,
            "unexpected shape for input 'INPUT0' for model 'echo'. Expected [-1,3], got [1,2]",
        ),
        ("echo", [Tensor.of("INPUT0", np.zeros(3, F))], Code.WRONG_SHAPE, "Expected [-1,3], got [3]"),
        (
            "echo",
            [Tensor.of("INPUT0", np.zeros((1, 3)))],
            Code.INVALID_ARGUMENT,
            "inference input 'INPUT0' data-type is 'FP64', but model 'echo' expects 'FP32'",
        ),
        ("echo", [], Code.INVALID_ARGUMENT, "expected 1 inputs but got 0 inputs for model 'echo'"),
        ("echo", [text(b"a")], Code.INVALID_ARGUMENT, "unexpected inference input 'text' for model 'echo'"),
        ("sentiment", [], Code.INVALID_ARGUMENT, "missing required input(s) ['text']"),
        (
            "sentiment",
            [Tensor.of("text", np.zeros(1))],
            Code.INVALID_ARGUMENT,
            "data-type is 'FP64', but model 'sentiment' expects 'BYTES'",
        ),
        ("sentiment", [text(shape=(0,))], Code.WRONG_SHAPE, "Expected [-1], got [0]"),
        ("sentiment", [text(b"good", b"\xff")], Code.INVALID_ARGUMENT, "item 1: a text must be UTF-8"),
        ("sentiment", [text(b"good", b" ", b"")], Code.BLANK_TEXT, "item 1: the text is blank"),
        (
            "numbers",
            [Tensor.of("features", np.zeros((1, 1, 1)))],
            Code.WRONG_SHAPE,
            "Expected [-1,-1], got [1,1,1]",
        ),
        ("numbers", [Tensor.of("features", np.zeros(0))], Code.WRONG_SHAPE, "got [0]"),
        ("numbers", [Tensor.of("features", np.zeros((1, 1), bool))], Code.INVALID_ARGUMENT, "expects 'FP64'"),
        ("numbers", [Tensor.of("features", np.zeros((5, 1)))], Code.INVALID_ARGUMENT, "takes 4 at once"),
    ],
)
async def test_what_does_not_fit_the_model_is_refused(
    model: str, tensors: list[Tensor], code: Code, said: str
) -> None:
    error = await refused(model, *tensors)
    assert (error.code, said in error.detail) == (code, True), error.detail


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (RequestedOutput("scores"), "unexpected inference output 'scores' for model 'sentiment'"),
        (RequestedOutput("label", {"classification": 1}), "classification needs numbers"),
        (RequestedOutput("probabilities", {"classification": -1}), "'classification' must be a whole number"),
        (
            RequestedOutput("probabilities", {"classification": "2"}),
            "'classification' must be a whole number",
        ),
    ],
)
async def test_outputs_that_cannot_be_answered_are_refused(output: RequestedOutput, said: str) -> None:
    error = await refused("sentiment", text(b"good"), outputs=(output,))
    assert (error.code, said in error.detail) == (Code.INVALID_ARGUMENT, True), error.detail


@pytest.mark.parametrize("timeout", [0, 2_000_000, 10**15])
async def test_the_timeout_parameter_only_shortens(timeout: int) -> None:
    known = context()
    before = known.deadline
    await infer(services(), "sentiment", None, InferRequest((text(b"a"),), (), {"timeout": timeout}), known)
    assert known.deadline == (known.started + 2 if timeout == 2_000_000 else before)


async def test_a_timeout_that_is_over_fails_the_request() -> None:
    request = InferRequest((text(b"a"),), (), {"timeout": 1})
    with pytest.raises(TriremeError) as caught:
        await infer(services(), "sentiment", None, request, context())
    assert caught.value.code is Code.DEADLINE_EXCEEDED


async def test_a_model_that_forgets_an_output_is_at_fault_itself() -> None:
    request = InferRequest((Tensor.of("INPUT0", np.zeros((1, 3), F)),), (RequestedOutput("OUTPUT0"),))
    with pytest.raises(TriremeError) as caught:
        await infer(services(infer=lambda _: encode_tensors(())), "echo", None, request, context())
    assert caught.value.code is Code.INTERNAL


def test_metadata_of_a_pipeline_and_of_its_bare_model() -> None:
    catalog = services().catalog
    pipeline = model_metadata(catalog, "sentiment", None)
    assert pipeline["platform"] == "trireme_pipeline"
    assert pipeline["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert pipeline["outputs"][2] == {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(LABELS)]}
    bare = model_metadata(catalog, "sentiment.inference", None)
    assert (bare["name"], bare["platform"]) == ("sentiment.inference", "onnxruntime_onnx")
    assert bare["inputs"] == [{"name": "ids", "datatype": "INT32", "shape": [-1, -1]}]
    assert model_metadata(catalog, "echo", None)["versions"] == ["1", "2"]
    assert model_metadata(catalog, "echo", "1")["versions"] == ["1"]


def test_the_index_lists_every_version_and_what_is_broken() -> None:
    entries = repository_index(services().catalog, ready_only=False)
    assert {"name": "echo", "version": "2", "state": "READY", "reason": ""} in entries
    (broken,) = (entry for entry in entries if entry["name"] == "broken")
    assert broken["state"] == "UNAVAILABLE"
    assert "no such file" in broken["reason"]
    assert all(entry["state"] == "READY" for entry in repository_index(services().catalog, ready_only=True))
