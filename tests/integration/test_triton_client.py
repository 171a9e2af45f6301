"""Triton's own gRPC client works unchanged; it runs in a process of its own (see contract of names)."""

from __future__ import annotations

import subprocess
import sys

from tests.support.platform import Platform

_TOUR = """
import sys
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready()
assert client.is_model_ready("sentiment-zh") and client.is_model_ready("digits", "1")
assert not client.is_model_ready("nobody")
assert client.get_server_metadata().name == "trireme"
metadata = client.get_model_metadata("tabular.inference")
assert [(tensor.name, tensor.datatype) for tensor in metadata.inputs] == [("input", "FP32")]

text = triton.InferInput("text", [2], "BYTES")
texts = ["这家酒店非常好，服务热情".encode(), "质量太差了，非常失望".encode()]
text.set_data_from_numpy(np.array(texts, dtype=object))
answer = client.infer("sentiment-zh", [text], request_id="r1", outputs=[triton.InferRequestedOutput("label")])
assert [label.decode() for label in answer.as_numpy("label")] == ["正面", "负面"]
assert answer.get_response().id == "r1"

row = triton.InferInput("input", [1, 10], "FP32")
row.set_data_from_numpy(np.zeros((1, 10), np.float32))
assert client.infer("tabular.inference", [row]).as_numpy("value").shape == (1, 1)

for name, inputs in (("nobody", [row]), ("digits.inference", [row])):
    try:
        client.infer(name, inputs)
    except InferenceServerException as error:
        assert error.message(), error
    else:
        raise AssertionError(name)
print("toured")
"""


def test_a_tour_of_the_front_door(running: Platform) -> None:
    tour = subprocess.run(
        [sys.executable, "-c", _TOUR, running.grpc], capture_output=True, text=True, timeout=60
    )
    assert tour.stdout == "toured\n", tour.stderr
