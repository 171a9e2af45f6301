"""KServe's :explain: what each part of an item adds to its answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.gateways import client
from trireme_gateway.routes.explain import MAX_INSTANCES


async def explain(model: str, body: Any) -> httpx.Response:
    async with client() as http:
        return await http.post(f"/v1/models/{model}:explain", json=body)


async def test_the_character_that_a_text_rests_on_has_the_weight() -> None:
    response = await explain("sentiment-zh", {"instances": ["酒店好", "酒店"]})
    assert response.status_code == 200
    good, bad = response.json()["explanations"]
    assert (good["label"], good["confidence"]) == ("正面", 0.75)
    assert good["attributions"] == [
        {"text": "酒", "start": 0, "end": 1, "weight": 0.0},
        {"text": "店", "start": 1, "end": 2, "weight": 0.0},
        {"text": "好", "start": 2, "end": 3, "weight": 0.5},
    ]
    assert bad["label"] == "负面"
    assert [part["weight"] for part in bad["attributions"]] == [0.0, 0.0]


async def test_a_text_of_one_part_has_no_weights() -> None:
    response = await explain("sentiment-zh", {"instances": ["好"]})
    assert response.json()["explanations"][0]["attributions"] == []


async def test_numbers_are_compared_with_a_baseline() -> None:
    response = await explain("tabular", {"instances": [[1, 2, 4]], "baseline": [0, 0, 5]})
    (found,) = response.json()["explanations"]
    assert found["value"] == 7
    assert [part["weight"] for part in found["attributions"]] == [1, 2, -1]
    assert found["attributions"][2] == {"index": 2, "number": 4, "baseline": 5, "weight": -1}


async def test_the_baseline_of_several_rows_is_their_mean() -> None:
    response = await explain("tabular", {"instances": [[1, 2], [3, 4]]})
    weights = [
        [part["weight"] for part in found["attributions"]] for found in response.json()["explanations"]
    ]
    assert weights == [[-1, -1], [1, 1]]


async def test_an_item_that_fails_fails_alone() -> None:
    response = await explain("sentiment-zh", {"instances": ["酒店好", " "]})
    assert response.status_code == 200
    good, bad = response.json()["explanations"]
    assert "attributions" in good
    assert bad["error"]["code"] == "blank_text"
    alone = await explain("sentiment-zh", {"instances": [" "]})
    assert alone.status_code == 400
    assert alone.json()["explanations"][0]["error"]["code"] == "blank_text"


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        ("sentiment-zh", {}, "instances"),
        ("sentiment-zh", {"instances": []}, "instances"),
        ("sentiment-zh", {"instances": ["a"], "more": 1}, "instances"),
        ("sentiment-zh", {"instances": ["a"] * (MAX_INSTANCES + 1)}, "at once"),
        ("sentiment-zh", {"instances": [1]}, "string"),
        ("sentiment-zh", {"instances": ["a"], "baseline": [1]}, "baseline"),
        ("tabular", {"instances": [[1, 2]]}, "baseline"),
        ("tabular", {"instances": [[1, 2]], "baseline": "no"}, "numbers"),
        ("tabular", {"instances": [[1, 2]], "baseline": [1]}, "baseline"),
        ("digits", {"instances": [{"b64": ""}]}, "explanations"),
        ("minilm", {"instances": ["a"]}, "explanations"),
        ("bare", {"instances": [[1]]}, "explanations"),
    ],
)
async def test_what_cannot_be_explained_says_so(model: str, body: Any, words: str) -> None:
    response = await explain(model, body)
    assert response.status_code == 400
    assert words in response.json()["detail"]


async def test_an_unknown_model_is_not_found() -> None:
    response = await explain("nobody", {"instances": ["a"]})
    assert response.status_code == 404
    assert response.json()["code"] == "model_not_found"
