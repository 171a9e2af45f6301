from __future__ import annotations

import json

from trireme_common.errors import Code, TriremeError
from trireme_gateway.answers import Classification, Vector
from trireme_gateway.presenters import item_object, json_response, prediction, status_of

FOUND = Classification(1, "正面", 0.75, {"负面": 0.25, "正面": 0.75})
BLANK = TriremeError(Code.BLANK_TEXT, "the text is blank")
LARGE = TriremeError(Code.IMAGE_TOO_LARGE, "too large")


def test_objects_by_task() -> None:
    plain = {"label": "正面", "confidence": 0.75, "probabilities": {"负面": 0.25, "正面": 0.75}}
    assert item_object("text-classification", FOUND) == plain
    image = {**plain, "predicted_class": 1, "all_predictions": plain["probabilities"]}
    assert item_object("image-classification", FOUND) == image
    assert item_object("tabular", Vector([1.5])) == {"value": 1.5}
    assert item_object("tabular", Vector([1.5, 2])) == {"values": [1.5, 2]}
    assert item_object("text-embedding", Vector([1.5])) == {"embedding": [1.5]}
    assert item_object("tabular", BLANK) == {"error": {"code": "blank_text", "detail": "the text is blank"}}


def test_predictions_by_task() -> None:
    assert prediction("text-classification", FOUND) == item_object("text-classification", FOUND)
    assert prediction("tabular", Vector([1.5])) == 1.5
    assert prediction("tabular", Vector([1.5, 2])) == [1.5, 2]
    assert prediction("text-embedding", Vector([1.5])) == [1.5]
    assert prediction("tabular", BLANK) == {"error": {"code": "blank_text", "detail": "the text is blank"}}


def test_the_status_is_200_unless_all_failed() -> None:
    assert status_of([]) == 200
    assert status_of([FOUND]) == 200
    assert status_of([BLANK, FOUND]) == 200
    assert status_of([BLANK, LARGE]) == 400
    assert status_of([LARGE, BLANK]) == 413


def test_a_response_is_utf_8_and_503_says_when_to_come_back() -> None:
    response = json_response({"label": "正面"})
    assert json.loads(bytes(response.body)) == {"label": "正面"}
    assert "正面".encode() in bytes(response.body)
    assert "retry-after" not in response.headers
    assert json_response({}, 503).headers["retry-after"] == "1"
