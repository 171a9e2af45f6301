"""A gateway over stages in process: models of every task, with answers that tests can foresee."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from tests.support.hops import TaskHop
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import ModelDescriptor, ModelVersion, StageState, State, TensorInfo
from trireme_common.tensors import DATATYPES, Tensor, decode_bytes, decode_tensors, encode_tensors
from trireme_gateway.answer_cache import AnswerCache
from trireme_gateway.cache.cache import ResultCache
from trireme_gateway.cache.events import CacheCounts
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.catalog import STAGES, Catalog
from trireme_gateway.draining import Draining
from trireme_gateway.hop.ports import HopItem, Key
from trireme_gateway.pipeline import Pipeline
from trireme_gateway.services import Services
from trireme_gateway.settings import GatewaySettings
from trireme_protos.trireme.v1 import postprocess_pb2

LABELS = ("negative", "neutral", "positive")

Stage = Callable[[bytes], bytes | TriremeError]


class FakeHop(TaskHop):
    """Answers every payload by a function; remembers what it was asked."""

    def __init__(self, stage: Stage, wait: Callable[[], Awaitable[None]] | None = None) -> None:
        super().__init__()
        self._stage = stage
        self._wait = wait
        self.calls: list[tuple[str, str, int]] = []

    async def answer(self, key: Key, items: Sequence[HopItem]) -> list[bytes | TriremeError]:
        self.calls.append((*key, len(items)))
        if self._wait is not None:
            await self._wait()
        return [self._stage(item.payload) for item in items]


class SilentObserver:
    def observe_stage(self, stage: str, seconds: float) -> None: ...

    def observe_inference(self, model: str, seconds: float) -> None: ...

    def observe_confidence(self, model: str, confidence: float) -> None: ...


def preprocess(payload: bytes) -> bytes | TriremeError:
    """Refuses blank texts; passes everything else on."""
    (tensor,) = decode_tensors(payload)
    if tensor.name == "text" and not decode_bytes("text", tensor.data)[0].strip():
        return TriremeError(Code.BLANK_TEXT, "the text is blank")
    return payload


def inference(payload: bytes) -> bytes | TriremeError:
    """Echoes INPUT0 as OUTPUT0, and passes on what comes from preprocess."""
    tensors = decode_tensors(payload)
    return encode_tensors(tensor._replace(name=tensor.name.replace("INPUT", "OUTPUT")) for tensor in tensors)


def postprocess(payload: bytes) -> bytes | TriremeError:
    """Numbers answer their doubles, texts and pictures a class: positive if they hold `good`."""
    (tensor,) = decode_tensors(payload)
    answer = postprocess_pb2.Answer()
    if tensor.name == "features":
        answer.vector.values.extend((tensor.array().ravel() * 2).tolist())
        return answer.SerializeToString()
    element = decode_bytes(tensor.name, tensor.data)[0]
    if element.startswith(b"embed"):
        answer.vector.values.extend((0.5, float(len(element))))
        return answer.SerializeToString()
    good = b"good" in element
    found = answer.classification
    found.index, found.label, found.confidence = (2, LABELS[2], 0.75) if good else (0, LABELS[0], 0.625)
    found.labels.extend(reversed(LABELS))
    found.probabilities.extend((0.75, 0.125, 0.125) if good else (0.125, 0.25, 0.625))
    return answer.SerializeToString()


def catalog() -> Catalog:
    """Every task, an echo for every datatype, two versions of `echo`, and one model that failed to load."""
    models = [
        _model("sentiment", "text-classification", labels=LABELS),
        _model("vectors", "text-embedding"),
        _model("digits", "image-classification", labels=LABELS),
        _model("numbers", "tabular", max_items=4),
        _tensor_model("echo", "FP32", (-1, 3)),
        _tensor_model("echo", "FP32", (-1, 3), version="2"),
        _tensor_model("single", "FP32", (3,)),
        _pair(),
        *(_tensor_model(f"echo_{datatype}", datatype, (-1,)) for datatype in DATATYPES),
        ModelVersion("broken", "1", State.UNAVAILABLE, "no such file"),
    ]
    made = Catalog()
    made.rebuild({stage: [StageState(models=tuple(models), device="cpu")] for stage in STAGES})
    return made


def services(
    *,
    max_body_bytes: int = 1 << 20,
    wait: Callable[[], Awaitable[None]] | None = None,
    infer: Stage = inference,
    models: Catalog | None = None,
) -> Services:
    """Services over fake stages; `wait` is awaited by every call of inference."""
    cache = AnswerCache(ResultCache(MemoryCache(0), None, CacheCounts()))
    pipeline = Pipeline(
        FakeHop(preprocess), FakeHop(infer, wait), FakeHop(postprocess), cache, SilentObserver()
    )
    settings = GatewaySettings(max_body_bytes=max_body_bytes)
    return Services(settings, models or catalog(), pipeline, Draining())


def bytes_of(tensor: Tensor) -> list[bytes]:
    return decode_bytes(tensor.name, tensor.data)


def _model(name: str, task: str, *, labels: tuple[str, ...] = (), max_items: int = 0) -> ModelVersion:
    ids = (TensorInfo("ids", "INT32", (-1, -1)),)
    scores = (TensorInfo("scores", "FP32", (-1, 3)),)
    descriptor = ModelDescriptor(
        task, "onnxruntime_onnx", ids, scores, max_batch_size=8, labels=labels, max_items=max_items
    )
    return ModelVersion(name, "1", State.READY, descriptor=descriptor)


def _pair() -> ModelVersion:
    inputs = (TensorInfo("INPUT0", "INT8", (-1,)), TensorInfo("INPUT1", "INT8", (-1,)))
    outputs = (TensorInfo("OUTPUT0", "INT8", (-1,)), TensorInfo("OUTPUT1", "INT8", (-1,)))
    return ModelVersion(
        "pair", "1", State.READY, descriptor=ModelDescriptor("tensor", "onnxruntime_onnx", inputs, outputs)
    )


def _tensor_model(name: str, datatype: str, shape: tuple[int, ...], version: str = "1") -> ModelVersion:
    inputs = (TensorInfo("INPUT0", datatype, shape),)
    outputs = (TensorInfo("OUTPUT0", datatype, shape),)
    return ModelVersion(
        name, version, State.READY, descriptor=ModelDescriptor("tensor", "onnxruntime_onnx", inputs, outputs)
    )
