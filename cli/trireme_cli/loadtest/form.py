"""The forms of a request that a load test sends."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """`predict`: the raw item as the body; `v1`: instances; the others: the Open Inference Protocol."""

    PREDICT = "predict"
    V1 = "v1"
    V2_JSON = "v2-json"
    V2_BINARY = "v2-binary"
    GRPC = "grpc"


TENSOR_FORMS = (Form.V2_BINARY, Form.V2_JSON, Form.GRPC)
"""Those that carry tensors, also of a model without steps."""
