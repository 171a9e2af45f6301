"""The calls of the platform's interface: what is sent, and how the answer is read.

Nothing here touches a network, so that the sync and the async client share all of it.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar
from urllib.parse import quote

from trireme_client import answers, tensors
from trireme_client.reply import Reply
from trireme_client.results import (
    Classification,
    Embeddings,
    FailedItem,
    Health,
    Inference,
    ModelInfo,
    Numbers,
)
from trireme_client.tensors import Tensor

T_co = TypeVar("T_co", covariant=True)

File = str | os.PathLike[str] | bytes | BinaryIO
"""A path, the bytes themselves, or an open binary file."""
EmbeddingInput = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]
"""A text, texts, the token ids of one text, or those of several."""

_JSON = {"content-type": "application/json"}
_NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One call; `read` makes its result of the answer, or raises what went wrong."""

    method: str
    path: str
    read: Callable[[Reply], T_co]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


def predict_one(text: str, model: str | None, version: str | None) -> Call[Classification]:
    """The label of one text."""
    return _post("/predict", {"texts": [text]}, answers.read_only_text, model, version)


def predict_many(
    texts: Sequence[str], model: str | None, version: str | None
) -> Call[list[Classification | FailedItem]]:
    """The labels of 1 to 100 texts."""
    return _post("/predict", {"texts": list(texts)}, answers.read_texts, model, version)


def predict_file(file: File, model: str | None, version: str | None) -> Call[Classification]:
    """The label of a picture."""
    boundary = uuid.uuid4().hex
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="file"\r\n'
        "content-type: application/octet-stream\r\n\r\n"
    )
    return Call(
        "POST",
        "/predict",
        answers.read_classification,
        _choice(model, version),
        {"content-type": f"multipart/form-data; boundary={boundary}"},
        b"".join((head.encode(), _read(file), f"\r\n--{boundary}--\r\n".encode())),
    )


def predict_numbers(
    numbers: Sequence[float], model: str | None, version: str | None
) -> Call[Numbers | Classification]:
    """The answer of a model on one row of numbers. Raises ValueError for NaN and infinities."""
    row = [float(number) for number in numbers]
    return _post("/predict", {"data": row}, answers.read_numbers, model, version)


def batch(texts: Sequence[str], model: str | None, version: str | None) -> Call[None]:
    """Texts as NDJSON; the answer is read line by line, see `batches`."""
    lines = b"".join(_json(text) + b"\n" for text in texts)
    headers = {"content-type": _NDJSON, "accept": _NDJSON}
    return Call("POST", "/predict/batch", answers.read_nothing, _choice(model, version), headers, lines)


def embeddings(
    given: EmbeddingInput, model: str, version: str | None, dimensions: int | None
) -> Call[Embeddings]:
    """An embedding for every input, as float32 bytes on the way."""
    body: dict[str, Any] = {"model": model, "input": _embedding_input(given), "encoding_format": "base64"}
    if dimensions is not None:
        body["dimensions"] = dimensions
    return _post("/v1/embeddings", body, answers.read_embeddings, None, version)


def infer(
    model: str, inputs: Mapping[str, Any], outputs: Sequence[str], version: str | None
) -> Call[Inference]:
    """Tensors through a model, binary in both directions; inputs that are no Tensor are numpy arrays."""
    named = {name: given if isinstance(given, Tensor) else Tensor.of(given) for name, given in inputs.items()}
    content, header_length = tensors.encode_request(named, outputs)
    headers = {"content-type": "application/octet-stream", tensors.HEADER_LENGTH: str(header_length)}
    path = f"/v2/models/{_segment(model)}"
    if version is not None:
        path += f"/versions/{_segment(version)}"
    return Call("POST", f"{path}/infer", answers.read_inference, {}, headers, content)


def models() -> Call[list[str]]:
    """Names of the models that can be asked now."""
    return Call("GET", "/v1/models", answers.read_models)


def model(name: str) -> Call[ModelInfo]:
    """One model."""
    return Call("GET", f"/v1/models/{_segment(name)}", answers.read_model)


def health() -> Call[Health]:
    """The platform's own word on itself."""
    return Call("GET", "/health", answers.read_health)


def ready() -> Call[bool]:
    """Whether requests can be answered now."""
    return Call("GET", "/readyz", answers.read_ready)


def _post(
    path: str, body: Any, read: Callable[[Reply], T_co], model: str | None, version: str | None
) -> Call[T_co]:
    return Call("POST", path, read, _choice(model, version), _JSON, _json(body))


def _choice(model: str | None, version: str | None) -> dict[str, str]:
    given = {"model": model, "version": version}
    return {name: value for name, value in given.items() if value is not None}


def _json(value: Any) -> bytes:
    """Raises ValueError for NaN, infinities and lone surrogates, which JSON cannot carry."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _segment(name: str) -> str:
    return quote(name, safe="")


def _embedding_input(given: EmbeddingInput) -> Any:
    if isinstance(given, str):
        return given
    return [item if isinstance(item, (str, int)) else list(item) for item in given]


def _read(file: File) -> bytes:
    if isinstance(file, bytes):
        return file
    return Path(file).read_bytes() if isinstance(file, (str, os.PathLike)) else file.read()
