from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from trireme_client import calls


def test_a_question_names_model_and_version_only_where_they_are_given() -> None:
    assert calls.predict_one("a", None, None).params == {}
    assert calls.predict_many(["a"], "m", "2").params == {"model": "m", "version": "2"}
    assert json.loads(calls.predict_many(["a", "好"], None, None).content) == {"texts": ["a", "好"]}
    assert "好".encode() in calls.predict_one("好", None, None).content


def test_names_are_one_segment_of_a_path() -> None:
    assert calls.model("a/b c").path == "/v1/models/a%2Fb%20c"
    assert calls.infer("a/b", {}, (), "1").path == "/v2/models/a%2Fb/versions/1/infer"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_cannot_carry_are_refused_here(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        calls.predict_numbers([1, number], None, None)


def test_a_lone_surrogate_is_refused_here() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        calls.predict_one("\ud800", None, None)


def test_a_file_by_its_path_its_bytes_or_open(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x00--\r\npicture")
    for file in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        call = calls.predict_file(file, None, None)
        boundary = call.headers["content-type"].partition("boundary=")[2].encode()
        assert call.content.startswith(b"--" + boundary + b"\r\n")
        assert call.content.endswith(b"\r\n\r\n\x00--\r\npicture\r\n--" + boundary + b"--\r\n")


def test_embeddings_ask_for_bytes() -> None:
    for given in ("a", ["a", "b"], [1, 2], [[1], [2, 3]]):
        call = calls.embeddings(given, "m", None, None)  # type: ignore[arg-type]
        assert json.loads(call.content) == {"model": "m", "input": given, "encoding_format": "base64"}
    assert json.loads(calls.embeddings("a", "m", None, 8).content)["dimensions"] == 8


def test_a_batch_is_a_text_a_line() -> None:
    call = calls.batch(["a\nb", "好"], "m", None)
    assert [json.loads(line) for line in call.content.splitlines()] == ["a\nb", "好"]
    assert call.headers["accept"] == "application/x-ndjson"
