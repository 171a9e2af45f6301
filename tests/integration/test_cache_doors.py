"""One cache behind every protocol of the whole platform: who asks the same shares an answer, nobody else."""

from __future__ import annotations

import base64
import json
import re
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tests.support.platform import ROOT, Platform, copy_models, platform
from tests.support.times_models import Shelf, write_times
from trireme_protos.inference import grpc_service_pb2 as pb

SEVEN = (ROOT / "models" / "digits" / "samples" / "7.png").read_bytes()
_numbers = count(1)


class Doors:
    """Asks one question through every way in; each says whether the answer was a `hit` or a `miss`."""

    def __init__(self, running: Platform) -> None:
        self._running = running
        self.http = httpx.Client(base_url=running.url, timeout=30)
        self._grpc = grpc.insecure_channel(running.grpc)
        self._infer = self._grpc.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )

    def close(self) -> None:
        self.http.close()
        self._grpc.close()

    def post(self, path: str, headers: dict[str, str] | None = None, **body: Any) -> str:
        answer = self.http.post(path, headers=headers, **body)
        assert answer.status_code == 200, answer.text
        return answer.headers["x-cache"]

    def stream(self, text: str, cache_control: str = "") -> str:
        """The stream's head leaves before its cache is known: the log says it."""
        request_id = f"doors-{next(_numbers)}"
        headers = {"x-request-id": request_id}
        if cache_control:
            headers["cache-control"] = cache_control
        self.http.post("/predict/batch", json={"texts": [text]}, headers=headers).raise_for_status()
        return self._logged(request_id)

    def v2_json(self, model: str, name: str, datatype: str, shape: list[int], data: list[Any]) -> str:
        tensor = {"name": name, "datatype": datatype, "shape": shape, "data": data}
        return self.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]})

    def v2_binary(self, model: str, name: str, datatype: str, shape: list[int], data: bytes) -> str:
        parameters = {"binary_data_size": len(data)}
        tensor = {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}
        head = json.dumps({"inputs": [tensor], "id": f"id-{next(_numbers)}"}).encode()
        headers = {"inference-header-content-length": str(len(head))}
        return self.post(f"/v2/models/{model}/infer", headers, content=head + data)

    def grpc(
        self,
        model: str,
        name: str,
        datatype: str,
        shape: list[int],
        raw: bytes = b"",
        *,
        cache_control: str = "",
        **contents: Any,
    ) -> str:
        request_id = f"doors-{next(_numbers)}"
        request = pb.ModelInferRequest(model_name=model)
        tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
        if raw:
            request.raw_input_contents.append(raw)
        for field, values in contents.items():
            getattr(tensor.contents, field).extend(values)
        metadata = [("x-request-id", request_id)]
        if cache_control:
            metadata.append(("cache-control", cache_control))
        self._infer(request, metadata=metadata, timeout=30)
        return self._logged(request_id)

    def _logged(self, request_id: str) -> str:
        """The line is written when the answer is on its way."""
        for _ in range(500):
            for line in self._running.requests():
                if line["request_id"] == request_id:
                    found: str = line["cache"]
                    return found
            time.sleep(0.01)
        raise AssertionError("the request is not in the log")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, Path]]:
    """The models that ship, one of them under two names, and a tensor model."""
    models = copy_models(tmp_path_factory.mktemp("models"))
    shutil.copytree(models / "tabular", models / "twin")
    spec = models / "twin" / "model.yaml"
    spec.write_text(spec.read_text().replace("name: tabular", "name: twin"))
    write_times(models, 1)
    write_times(models, 1, name="brief", more="cache: {ttl_seconds: 1}\n")
    folder = tmp_path_factory.mktemp("platform")
    settings = {
        "TRIREME_MODELS_POLL_SECONDS": "0.1",
        "TRIREME_GATEWAY_CACHE_STALE_SECONDS_BY_MODEL": '{"brief": 600}',
    }
    with platform(models, folder, **settings) as running:
        yield running, models


@pytest.fixture
def doors(served: tuple[Platform, Path]) -> Iterator[Doors]:
    opened = Doors(served[0])
    yield opened
    opened.close()


def text_doors(doors: Doors) -> dict[str, Callable[[str], str]]:
    model = "sentiment-zh"

    def element(text: str) -> bytes:
        data = text.encode()
        return struct.pack("<I", len(data)) + data

    plain = {"content-type": "text/plain; charset=utf-8"}
    return {
        "predict": lambda text: doors.post("/predict", json={"texts": [text]}),
        "batch": doors.stream,
        "instances": lambda text: doors.post(f"/v1/models/{model}:predict", json={"instances": [text]}),
        "raw": lambda text: doors.post(f"/v1/models/{model}/predict", plain, content=text.encode()),
        "json": lambda text: doors.v2_json(model, "text", "BYTES", [1], [text]),
        "binary": lambda text: doors.v2_binary(model, "text", "BYTES", [1, 1], element(text)),
        "grpc raw": lambda text: doors.grpc(model, "text", "BYTES", [1], element(text)),
        "grpc typed": lambda text: doors.grpc(model, "text", "BYTES", [1], bytes_contents=[text.encode()]),
    }


def image_doors(doors: Doors) -> dict[str, Callable[[bytes], str]]:
    model = "digits"

    def element(data: bytes) -> bytes:
        return struct.pack("<I", len(data)) + data

    def instance(data: bytes) -> str:
        body = {"instances": [{"b64": base64.b64encode(data).decode()}]}
        return doors.post(f"/v1/models/{model}:predict", json=body)

    png = {"content-type": "image/png"}
    return {
        "file": lambda data: doors.post("/predict", files={"file": ("x.png", data, "image/png")}),
        "instances": instance,
        "raw": lambda data: doors.post(f"/v1/models/{model}/predict", png, content=data),
        "binary": lambda data: doors.v2_binary(model, "image", "BYTES", [1], element(data)),
        "grpc raw": lambda data: doors.grpc(model, "image", "BYTES", [1], element(data)),
        "grpc typed": lambda data: doors.grpc(model, "image", "BYTES", [1], bytes_contents=[data]),
    }


def number_doors(doors: Doors) -> dict[str, Callable[[list[float]], str]]:
    model, name = "tabular", "features"

    def raw(row: list[float]) -> bytes:
        return struct.pack(f"<{len(row)}d", *row)

    return {
        "predict": lambda row: doors.post("/predict?model=tabular", json={"data": row}),
        "instances": lambda row: doors.post(f"/v1/models/{model}:predict", json={"instances": [row]}),
        "json": lambda row: doors.v2_json(model, name, "FP64", [1, len(row)], row),
        "one row": lambda row: doors.v2_json(model, name, "FP64", [len(row)], row),
        "binary": lambda row: doors.v2_binary(model, name, "FP64", [1, len(row)], raw(row)),
        "grpc raw": lambda row: doors.grpc(model, name, "FP64", [1, len(row)], raw(row)),
        "grpc typed": lambda row: doors.grpc(model, name, "FP64", [1, len(row)], fp64_contents=row),
    }


def tensor_doors(doors: Doors) -> dict[str, Callable[[list[float]], str]]:
    def raw(row: list[float]) -> bytes:
        return struct.pack("<4f", *row)

    return {
        "json": lambda row: doors.v2_json("times.inference", "x", "FP32", [1, 4], row),
        "nested json": lambda row: doors.v2_json("times.inference", "x", "FP32", [1, 4], [row]),
        "binary": lambda row: doors.v2_binary("times.inference", "x", "FP32", [1, 4], raw(row)),
        "grpc raw": lambda row: doors.grpc("times.inference", "x", "FP32", [1, 4], raw(row)),
        "grpc typed": lambda row: doors.grpc("times.inference", "x", "FP32", [1, 4], fp32_contents=row),
    }


QUESTIONS: dict[str, tuple[Callable[[Doors], dict[str, Callable[[Any], str]]], Callable[[int], Any]]] = {
    "text": (text_doors, lambda at: f"第{at}次住这家酒店，一如既往地好"),
    # What stands behind the end of a PNG is no part of the picture, but of the question.
    "image": (image_doors, lambda at: SEVEN + bytes([at])),
    "numbers": (number_doors, lambda at: [59 + at, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]),
    "tensor": (tensor_doors, lambda at: [0.1 + at, 2.0, -3.5, 1e9]),
}


@pytest.mark.parametrize("kind", QUESTIONS)
def test_a_question_that_came_by_one_door_is_known_at_all_others(doors: Doors, kind: str) -> None:
    make, question = QUESTIONS[kind]
    ways = make(doors)
    for at, (first, ask) in enumerate(ways.items()):
        asked = question(at)
        assert ask(asked) == "miss", first
        for other, way in ways.items():
            assert way(asked) == "hit", f"asked by {first}, then by {other}"


def test_two_models_that_are_alike_never_answer_for_each_other(doors: Doors) -> None:
    row = [1, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]
    for first, second in (("tabular", "twin"), ("twin", "tabular")):
        row[0] += 1
        for model in (first, second):
            assert doors.post(f"/v1/models/{model}:predict", json={"instances": [row]}) == "miss"
            assert doors.post(f"/v1/models/{model}:predict", json={"instances": [row]}) == "hit"


def test_the_tensors_of_a_pipeline_are_another_question_than_its_items(doors: Doors) -> None:
    row = [300, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]
    assert number_doors(doors)["predict"](row) == "miss"
    inputs = doors.http.get("/v2/models/tabular.inference").json()["inputs"]
    assert (
        doors.v2_json("tabular.inference", inputs[0]["name"], inputs[0]["datatype"], [1, 10], row) == "miss"
    )


def test_new_content_and_a_new_version_never_find_old_answers(
    served: tuple[Platform, Path], doors: Doors
) -> None:
    row = [5.0, 6.0, 7.0, 8.0]
    models = served[1]
    shelf = Shelf(models)

    def ask() -> tuple[str, str, float]:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": row}
        answer = doors.http.post("/v2/models/times.inference/infer", json={"inputs": [tensor]})
        body = answer.json()
        return body["model_version"], answer.headers["x-cache"], body["outputs"][0]["data"][0]

    def until(version: str, value: float) -> None:
        """Every answer on the way is one of a version that is or was served."""
        for _ in range(2000):
            found = ask()
            assert found[2] in (5.0, 10.0, 15.0)
            if (found[0], found[2]) == (version, value):
                return
        raise AssertionError("it never came true")

    assert ask() == ("1", "miss", 5.0)
    assert ask() == ("1", "hit", 5.0)
    write_times(models, 2)
    until("2", 10.0)
    assert ask() == ("2", "hit", 10.0)
    shelf.replace(2, 3.0)
    until("2", 15.0)
    assert ask() == ("2", "hit", 15.0)
    shelf.take_away(2)
    until("1", 5.0)
    assert ask() == ("1", "hit", 5.0), "what was computed before is found again"


def test_a_request_may_go_round_the_cache(doors: Doors) -> None:
    def ask(cache_control: str, *texts: str) -> httpx.Response:
        headers = {"cache-control": cache_control} if cache_control else {}
        return doors.http.post("/predict", json={"texts": texts}, headers=headers)

    text = "绕过缓存的一句话"
    assert ask("no-store", text).headers["x-cache"] == "off"
    assert ask("only-if-cached", text).status_code == 504
    assert ask("only-if-cached", text).json()["results"][0]["error"]["code"] == "not_cached"
    assert ask("no-cache", text).headers["x-cache"] == "miss"
    assert ask("only-if-cached", text).headers["x-cache"] == "hit"
    assert ask("", text).headers["x-cache"] == "hit"
    assert ask("no-cache", text).headers["x-cache"] == "miss"
    partly = ask("only-if-cached", text, "另一句还没问过的话")
    assert partly.status_code == 200
    assert [set(item) >= {"label"} for item in partly.json()["results"]] == [True, False]


def test_streams_and_grpc_may_go_round_it_too(doors: Doors) -> None:
    text, row = "又一句绕过缓存的话", [9.0, 8.0, 7.0, 6.0]
    for cache_control, expected in (
        ("no-store", "off"),
        ("no-cache", "miss"),
        ("", "hit"),
        ("no-cache", "miss"),
    ):
        assert doors.stream(text, cache_control) == expected
        found = doors.grpc(
            "times.inference", "x", "FP32", [1, 4], cache_control=cache_control, fp32_contents=row
        )
        assert found == expected
    with pytest.raises(grpc.RpcError) as refused:
        doors.grpc(
            "times.inference", "x", "FP32", [1, 4], cache_control="only-if-cached", fp32_contents=[0.5] * 4
        )
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_a_stale_answer_is_given_at_once_and_a_new_one_follows(doors: Doors) -> None:
    def ask(cache_control: str = "") -> httpx.Response:
        headers = {"cache-control": cache_control} if cache_control else {}
        answer = doors.http.post(
            "/v1/models/brief:predict", json={"instances": [[1, 2, 3, 4]]}, headers=headers
        )
        assert answer.json() == {"predictions": [[1, 2, 3, 4]]}
        return answer

    assert ask().headers["x-cache"] == "miss"
    time.sleep(1.2)
    stale = ask()
    assert stale.headers["x-cache"] == "hit"
    assert re.fullmatch(r"trireme; hit; ttl=-\d+", stale.headers["cache-status"])
    for _ in range(500):
        fresh = ask()
        assert fresh.headers["x-cache"] == "hit", "nobody waits for the new one"
        if "cache-status" not in fresh.headers:
            break
    else:
        raise AssertionError("no new answer came")
    time.sleep(1.2)
    assert ask("max-stale=0").headers["x-cache"] == "miss"
    metrics = doors.http.get("/metrics").text
    assert 'trireme_cache_refreshes_total{result="done"}' in metrics
