"""A pipeline seen as a tensor model: its one input as items, its answers as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Array, Tensor, decode_bytes, encode_bytes
from trireme_gateway.answers import Answer, Classification, Vector
from trireme_gateway.catalog import Route
from trireme_gateway.items import IMAGE_TASKS, TABULAR_TASKS, encode_image, encode_numbers, encode_text
from trireme_gateway.v2.signature import Signature


def decode_items(route: Route, signature: Signature, tensors: Sequence[Tensor]) -> list[bytes]:
    """Payloads of the items in the input: every element of BYTES, every row of numbers.

    BYTES may have any shape; numbers are [N, k], or [k] for one row, of any numeric datatype.
    Raises TriremeError(INVALID_ARGUMENT or WRONG_SHAPE).
    """
    signature.check_names(tensors)
    tensor = tensors[0]
    if route.descriptor.task in TABULAR_TASKS:
        items = [encode_numbers(row) for row in _rows(signature, tensor).tolist()]
    else:
        items = _bytes_items(route, signature, tensor)
    if not items:
        raise signature.unexpected_shape(signature.inputs[0], tensor.shape)
    return items


def encode_answers(route: Route, answers: Sequence[Answer]) -> tuple[Tensor, ...]:
    """Tensors of the answers, one row each, by the task of the route."""
    classified = [answer for answer in answers if isinstance(answer, Classification)]
    vectors = [answer.values for answer in answers if isinstance(answer, Vector)]
    if len(classified) == len(answers):
        return _classification(route, classified)
    if len(vectors) == len(answers) and len(set(map(len, vectors))) == 1:
        tabular = route.descriptor.task in TABULAR_TASKS
        values = np.array(vectors, dtype=np.float64)
        return (Tensor.of("value", values) if tabular else Tensor.of("embedding", values.astype(np.float32)),)
    raise TriremeError(Code.INTERNAL, f"the answers of model '{route.name}' do not fit one tensor")


def _bytes_items(route: Route, signature: Signature, tensor: Tensor) -> list[bytes]:
    if tensor.datatype != "BYTES":
        raise signature.unexpected_datatype(signature.inputs[0], tensor.datatype)
    elements = decode_bytes(tensor.name, tensor.data)
    if route.descriptor.task in IMAGE_TASKS:
        return [encode_image(element) for element in elements]
    return [_text(at, element) for at, element in enumerate(elements)]


def _text(at: int, element: bytes) -> bytes:
    try:
        return encode_text(element.decode())
    except UnicodeDecodeError as error:
        raise TriremeError(Code.INVALID_ARGUMENT, f"item {at}: a text must be UTF-8") from error


def _rows(signature: Signature, tensor: Tensor) -> Array:
    if tensor.datatype in ("BYTES", "BOOL"):
        raise signature.unexpected_datatype(signature.inputs[0], tensor.datatype)
    array = tensor.array()
    if tensor.datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if array.ndim not in (1, 2):
        raise signature.unexpected_shape(signature.inputs[0], tensor.shape)
    rows = array.astype(np.float64)
    return rows.reshape(1, -1) if rows.ndim == 1 and rows.size else rows


def _classification(route: Route, answers: Sequence[Classification]) -> tuple[Tensor, ...]:
    labels = route.descriptor.labels or tuple(answers[0].probabilities)
    probabilities = [[answer.probabilities.get(label, 0.0) for label in labels] for answer in answers]
    count = len(answers)
    return (
        Tensor("label", "BYTES", (count,), encode_bytes(answer.label.encode() for answer in answers)),
        Tensor.of("confidence", np.array([answer.confidence for answer in answers], dtype=np.float32)),
        Tensor.of("probabilities", np.array(probabilities, dtype=np.float32).reshape(count, len(labels))),
    )
