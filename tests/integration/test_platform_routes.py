"""Every route of the contract, asked of the whole platform with the models that ship."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.platform import ROOT, Platform

GOOD, BAD, SO_SO = "这家酒店非常好，服务热情", "质量太差了，非常失望", "一般般吧，没什么特别的"
ROW = [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]
SEVEN = (ROOT / "models" / "digits" / "samples" / "7.png").read_bytes()
LABELS = {"负面", "中性", "正面"}


def check_item(item: dict[str, Any]) -> None:
    assert set(item["probabilities"]) == LABELS
    assert sum(item["probabilities"].values()) == pytest.approx(1)
    assert item["confidence"] == item["probabilities"][item["label"]]


class TestPredict:
    def test_texts_in_chinese(self, client: httpx.Client) -> None:
        answer = client.post("/predict", json={"texts": [GOOD, BAD, SO_SO]})
        assert answer.status_code == 200
        body = answer.json()
        assert [item["label"] for item in body["results"]] == ["正面", "负面", "中性"]
        assert [item["text"] for item in body["results"]] == [GOOD, BAD, SO_SO]
        for item in body["results"]:
            check_item(item)
        assert (body["model"], body["version"]) == ("sentiment-zh", "1")
        assert isinstance(body["inference_time"], float)

    def test_a_file(self, client: httpx.Client) -> None:
        answer = client.post("/predict", files={"file": ("seven.png", SEVEN, "image/png")})
        assert answer.status_code == 200
        body = answer.json()
        assert (body["predicted_class"], body["label"], body["model"]) == (7, "7", "digits")
        assert body["all_predictions"] == body["probabilities"]
        assert len(body["probabilities"]) == 10

    def test_ten_numbers(self, client: httpx.Client) -> None:
        answer = client.post("/predict", json={"data": ROW})
        assert answer.status_code == 200
        assert 25 < answer.json()["result"] < 346

    def test_a_blank_text_fails_alone(self, client: httpx.Client) -> None:
        answer = client.post("/predict", json={"texts": [GOOD, "  ", BAD]})
        first, blank, last = answer.json()["results"]
        assert answer.status_code == 200
        assert (first["label"], last["label"]) == ("正面", "负面")
        assert blank["error"]["code"] == "blank_text"

    def test_all_failed_takes_the_first_errors_status(self, client: httpx.Client) -> None:
        answer = client.post("/predict", json={"texts": [" ", ""]})
        assert answer.status_code == 400
        assert [item["error"]["code"] for item in answer.json()["results"]] == ["blank_text"] * 2

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"{}",
            b'{"texts": []}',
            b'{"texts": "a"}',
            b'{"texts": [1]}',
            b'{"texts": ["a", null]}',
            b'{"texts": ["a"], "texts": ["b"]}',
            b'{"texts": ["a"], "data": [1]}',
            b'{"texts": ["a"], "more": 1}',
            b'{"data": []}',
            b'{"data": ["1"]}',
            b'{"data": [NaN]}',
            b'{"data": [Infinity]}',
            b'{"data": [true]}',
            b'{"texts": ["\xff"]}',
            b'{"texts": ["\\ud800"]}',
            json.dumps({"texts": ["a"] * 101}).encode(),
            b"[" * 100_000,
        ],
    )
    def test_wrong_shapes_are_400(self, client: httpx.Client, body: bytes) -> None:
        answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["detail"]
        assert problem["request_id"] == answer.headers["x-request-id"]

    def test_a_hundred_texts_are_taken(self, client: httpx.Client) -> None:
        texts = [f"第{number}家店很好" for number in range(100)]
        answer = client.post("/predict", json={"texts": texts})
        assert answer.status_code == 200
        assert [item["text"] for item in answer.json()["results"]] == texts

    def test_too_few_numbers_and_a_picture_that_is_none(self, client: httpx.Client) -> None:
        few = client.post("/predict", json={"data": [1, 2, 3]})
        assert (few.status_code, few.json()["code"]) == (400, "wrong_shape")
        broken = client.post("/predict", files={"file": ("x.png", b"no picture", "image/png")})
        assert (broken.status_code, broken.json()["code"]) == (400, "undecodable_image")

    def test_another_model_than_the_default(self, client: httpx.Client) -> None:
        wrong = client.post("/predict?model=digits", json={"texts": ["a"]})
        assert wrong.status_code == 400
        missing = client.post("/predict?model=nobody", json={"texts": ["a"]})
        assert missing.status_code == 404
        assert "sentiment-zh" in missing.json()["detail"]


class TestBatch:
    def test_json_in_lines_out_in_order(self, client: httpx.Client) -> None:
        texts = [f"{number} {GOOD if number % 2 else BAD}" for number in range(500)]
        texts[7] = " "
        answer = client.post("/predict/batch", json={"texts": texts})
        *lines, last = map(json.loads, answer.text.splitlines())
        assert answer.status_code == 200
        assert [line["index"] for line in lines] == list(range(500))
        assert all(line["text"] == texts[line["index"]] for line in lines if "text" in line)
        assert [line["index"] for line in lines if "error" in line] == [7]
        assert (last["total_count"], last["failed"]) == (500, 1)

    def test_lines_in(self, client: httpx.Client) -> None:
        body = "\n".join(json.dumps(text, ensure_ascii=False) for text in (GOOD, BAD)) + "\n"
        answer = client.post(
            "/predict/batch", content=body.encode(), headers={"content-type": "application/x-ndjson"}
        )
        first, second, last = map(json.loads, answer.text.splitlines())
        assert (first["label"], second["label"], last["total_count"]) == ("正面", "负面", 2)

    def test_one_object_on_request(self, client: httpx.Client) -> None:
        answer = client.post(
            "/predict/batch", json={"texts": [GOOD, " "]}, headers={"accept": "application/json"}
        )
        body = answer.json()
        assert body["total_count"] == 2
        assert body["results"][0]["label"] == "正面"
        assert body["results"][1]["error"]["code"] == "blank_text"

    @pytest.mark.parametrize("body", [b"{", b"[]", b'{"texts": [1]}', b'{"x": ["a"]}', b'{"texts": ["a"]} x'])
    def test_a_bad_body_is_refused_whole(self, client: httpx.Client, body: bytes) -> None:
        assert client.post("/predict/batch", content=body).status_code == 400


class TestModels:
    def test_the_list(self, client: httpx.Client) -> None:
        body = client.get("/v1/models").json()
        assert body["object"] == "list"
        assert body["models"] == ["digits", "sentiment-zh", "tabular"]
        assert {"id": "digits", "object": "model"} in body["data"]

    def test_one_model(self, client: httpx.Client) -> None:
        assert client.get("/v1/models/digits").json() == {
            "name": "digits",
            "ready": True,
            "versions": ["1"],
            "task": "image-classification",
        }
        assert client.get("/v1/models/nobody").status_code == 404

    def test_instances_of_each_kind(self, client: httpx.Client) -> None:
        (text,) = client.post("/v1/models/sentiment-zh:predict", json={"instances": [GOOD]}).json()[
            "predictions"
        ]
        check_item(text)
        assert "text" not in text
        encoded = {"b64": base64.b64encode(SEVEN).decode()}
        (image,) = client.post("/v1/models/digits:predict", json={"instances": [encoded]}).json()[
            "predictions"
        ]
        assert image["predicted_class"] == 7
        (number,) = client.post("/v1/models/tabular:predict", json={"instances": [ROW]}).json()["predictions"]
        assert isinstance(number, float)

    def test_a_raw_body(self, client: httpx.Client) -> None:
        image = client.post("/v1/models/digits/predict", content=SEVEN, headers={"content-type": "image/png"})
        assert (image.json()["label"], image.json()["model"], image.json()["version"]) == ("7", "digits", "1")
        text = client.post(
            "/v1/models/sentiment-zh/predict", content=GOOD.encode(), headers={"content-type": "text/plain"}
        )
        assert text.json()["label"] == "正面"
        wrong = client.post("/v1/models/digits/predict", content=b"x", headers={"content-type": "text/plain"})
        assert wrong.status_code == 415

    def test_several_files_fail_each_alone(self, client: httpx.Client) -> None:
        files = [("file", ("7.png", SEVEN)), ("file", ("x.png", b"no picture")), ("file", ("7.png", SEVEN))]
        answer = client.post("/v1/models/digits/predict", files=files)
        first, broken, last = answer.json()["results"]
        assert answer.status_code == 200
        assert (first["label"], broken["error"]["code"], last["label"]) == ("7", "undecodable_image", "7")


class TestOpenInferenceProtocol:
    @pytest.mark.parametrize("path", ["/v2", "/v2/"])
    def test_the_server(self, client: httpx.Client, path: str) -> None:
        body = client.get(path).json()
        assert set(body) >= {"name", "version", "extensions"}

    def test_health(self, client: httpx.Client) -> None:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert client.get("/v2/models/digits/ready").json() == {"name": "digits", "ready": True}

    def test_a_pipeline_by_json(self, client: httpx.Client) -> None:
        tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": [GOOD, BAD]}
        answer = client.post("/v2/models/sentiment-zh/infer", json={"id": "1", "inputs": [tensor]})
        body = answer.json()
        outputs = {output["name"]: output for output in body["outputs"]}
        assert body["id"] == "1"
        assert outputs["label"]["data"] == ["正面", "负面"]

    def test_a_bare_model_by_binary_data(self, client: httpx.Client) -> None:
        row = struct.pack("<10f", *range(10))
        tensor = {
            "name": "input",
            "shape": [1, 10],
            "datatype": "FP32",
            "parameters": {"binary_data_size": len(row)},
        }
        head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
        answer = client.post(
            "/v2/models/tabular.inference/infer",
            content=head + row,
            headers={"inference-header-content-length": str(len(head))},
        )
        length = int(answer.headers["inference-header-content-length"])
        described = json.loads(answer.content[:length])["outputs"][0]
        assert described["parameters"]["binary_data_size"] == 4 == len(answer.content) - length

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/v2/nothing", 404),
            ("PUT", "/v2/models/digits/infer", 405),
            ("GET", "/v2/models/nobody", 404),
            ("POST", "/v2/models/digits/infer", 400),
            ("POST", "/v2/models/digits/versions/9/infer", 404),
        ],
    )
    def test_errors_have_the_protocols_shape(
        self, client: httpx.Client, method: str, path: str, status: int
    ) -> None:
        tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}
        answer = client.request(method, path, json={"inputs": [tensor]} if method == "POST" else None)
        assert answer.status_code == status
        assert set(answer.json()) == {"error"}

    def test_a_compressed_body(self, client: httpx.Client) -> None:
        tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [GOOD]}
        body = gzip.compress(json.dumps({"inputs": [tensor]}).encode())
        answer = client.post(
            "/v2/models/sentiment-zh/infer", content=body, headers={"content-encoding": "gzip"}
        )
        assert answer.status_code == 200


class TestOperations:
    def test_health(self, client: httpx.Client) -> None:
        body = client.get("/health").json()
        assert body["status"] == "healthy"
        assert body["model_loaded"] is True
        assert set(body["stats"]) == {"total_requests", "avg_inference_time", "device"}
        assert body["models"]["digits"] == {"state": "READY", "version": "1", "reason": ""}
        assert client.get("/readyz").json() == {"ready": True}
        assert client.get("/livez").status_code == 200

    def test_metrics_by_their_names(self, client: httpx.Client) -> None:
        client.post("/predict", json={"texts": [GOOD]})
        text = client.get("/metrics").text
        assert 'model_requests_total{endpoint="/predict",status="200"}' in text
        for name in (
            'model_request_duration_seconds_count{endpoint="/predict"}',
            'model_inference_duration_seconds_count{model="sentiment-zh"}',
            "model_active_requests 1.0",  # this very request
            'prediction_confidence_count{model="sentiment-zh"}',
            'trireme_stage_duration_seconds_count{stage="inference"}',
        ):
            assert name in text

    def test_every_answer_says_where_its_time_went(self, client: httpx.Client) -> None:
        answer = client.post(
            "/predict", json={"texts": ["从没问过的一句话"]}, headers={"x-request-id": "mine-1"}
        )
        assert answer.headers["x-request-id"] == "mine-1"
        assert answer.headers["x-cache"] == "miss"
        assert answer.headers["x-model-version"] == "1"
        timing = answer.headers["server-timing"]
        assert all(f"{stage};dur=" in timing for stage in ("preprocess", "inference", "postprocess", "total"))

    def test_the_same_question_is_answered_from_the_cache(self, client: httpx.Client) -> None:
        question = {"texts": ["缓存里的一句话"]}
        first, second = client.post("/predict", json=question), client.post("/predict", json=question)
        assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
        assert first.json()["results"] == second.json()["results"]

    def test_no_time_no_answer(self, client: httpx.Client) -> None:
        answer = client.post("/predict", json={"texts": ["没有时间"]}, headers={"x-request-timeout-ms": "0"})
        assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")

    def test_a_body_beyond_the_limit_is_413(self, client: httpx.Client) -> None:
        answer = client.post("/predict", content=b"x" * (33 * 1024 * 1024))
        assert answer.status_code == 413

    def test_openapi_names_every_route_of_the_contract(self, client: httpx.Client) -> None:
        assert client.get("/docs").status_code == 200
        paths = client.get("/openapi.json").json()["paths"]
        assert set(paths) >= {
            "/predict",
            "/predict/batch",
            "/v1/models",
            "/v1/models/{model}",
            "/v1/models/{model}:predict",
            "/v1/models/{model}/predict",
            "/v2",
            "/v2/models/{model}/infer",
            "/health",
            "/readyz",
        }
        assert "422" not in json.dumps(paths)

    def test_one_log_line_a_request_and_never_the_input(
        self, running: Platform, client: httpx.Client
    ) -> None:
        canary = "金丝雀歌唱"
        client.post("/predict", json={"texts": [canary]}, headers={"x-request-id": "canary-1"})
        client.post("/predict", content=canary.encode(), headers={"x-request-id": "canary-2"})
        client.post("/predict/batch", json={"texts": [canary, 1]}, headers={"x-request-id": "canary-3"})
        client.get("/readyz")
        lines = {line["request_id"]: line for line in _wait_for_lines(running, "canary-3")}
        assert set(lines["canary-1"]) >= {"endpoint", "status", "latency_ms", "confidence", "request_id"}
        assert lines["canary-1"]["confidence"] > 0
        assert lines["canary-2"]["status"] == "400"
        text = Path(running.log).read_text()
        assert canary not in text
        assert json.dumps(canary).strip('"') not in text


def _wait_for_lines(running: Platform, request_id: str) -> list[dict[str, Any]]:
    """The access log once it holds `request_id`; lines leave a moment after their answer."""
    import time

    for _ in range(100):
        lines = running.requests()
        if any(line["request_id"] == request_id for line in lines):
            return lines
        time.sleep(0.05)
    raise AssertionError(f"no log line for {request_id}")
