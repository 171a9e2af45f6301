"""trireme_client against a running platform; its failures are in tests/unit/client."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.platform import ROOT, Platform
from trireme_client import (
    AsyncClient,
    BadRequest,
    Classification,
    Client,
    DeadlineExceeded,
    FailedItem,
    NotFound,
    Numbers,
)

GOOD = "这家酒店非常好，服务热情"
SAMPLES = ROOT / "models" / "digits" / "samples"
PATIENT = [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]


@pytest.fixture
def ask(running: Platform) -> Iterator[Client]:
    with Client(running.url, timeout=30) as client:
        yield client


def test_texts(ask: Client) -> None:
    one = ask.predict(GOOD, request_id="from-the-client")
    assert (one.label, one.text) == ("正面", GOOD)
    assert sum(one.probabilities.values()) == pytest.approx(1)
    assert one.confidence == one.probabilities["正面"]
    assert (one.served.model, one.served.version) == ("sentiment-zh", "1")
    assert one.served.request_id == "from-the-client"
    first, blank = ask.predict([GOOD, " "], model="sentiment-zh", version="1")
    assert isinstance(first, Classification)
    assert first.label == one.label
    assert isinstance(blank, FailedItem)
    assert blank.code == "blank_text"
    (only,) = ask.predict([" "])
    assert isinstance(only, FailedItem)


def test_a_picture(ask: Client) -> None:
    path = SAMPLES / "7.png"
    for file in (path, path.read_bytes()):
        found = ask.predict_file(file)
        assert (found.label, found.index) == ("7", 7)
    with pytest.raises(BadRequest) as caught:
        ask.predict_file(b"no picture")
    assert caught.value.code == "undecodable_image"


def test_numbers(ask: Client) -> None:
    found = ask.predict_numbers(PATIENT)
    assert isinstance(found, Numbers)
    assert 50 < found.value < 350
    assert found.served.model == "tabular"


def test_a_batch_of_thousands(ask: Client) -> None:
    drawn = 0

    def texts() -> Iterator[str]:
        nonlocal drawn
        for at in range(1000):
            drawn += 1
            yield " " if at == 700 else f"{GOOD} {at}"

    answers = ask.batch(texts(), model="sentiment-zh")
    first = next(answers)
    assert first.text == f"{GOOD} 0"
    assert drawn < 1000
    rest = list(answers)
    assert drawn == 1000
    assert len(rest) == 999
    assert isinstance(rest[699], FailedItem)
    assert [item.text for item in rest if isinstance(item, Classification)] == [
        f"{GOOD} {at}" for at in range(1, 1000) if at != 700
    ]


def test_tensors(ask: Client) -> None:
    pipeline = ask.infer("sentiment-zh", {"text": np.array([GOOD, "太差了"], dtype=object)})
    assert [label.decode() for label in pipeline.outputs["label"].array().ravel()] == ["正面", "负面"]
    row = np.array([PATIENT], dtype=np.float64)
    value = ask.infer("tabular", {"features": row}, outputs=["value"], version="1")
    assert list(value.outputs) == ["value"]
    assert value.served.model == "tabular"
    known = ask.predict_numbers(PATIENT)
    assert isinstance(known, Numbers)
    assert value.outputs["value"].array().ravel().tolist() == pytest.approx([known.value], rel=1e-5)
    bare = ask.infer("tabular.inference", {"input": np.zeros((2, 10), np.float32)})
    assert bare.outputs["value"].array().shape == (2, 1)
    with pytest.raises(NotFound):
        ask.infer("nobody", {"features": row})


def test_what_is_served(ask: Client) -> None:
    assert set(ask.models()) == {"sentiment-zh", "digits", "tabular"}
    model = ask.model("digits")
    assert (model.name, model.ready, model.versions, model.task) == (
        "digits",
        True,
        ("1",),
        "image-classification",
    )
    health = ask.health()
    assert (health.status, health.model_loaded) == ("healthy", True)
    assert health.models["digits"].state == "READY"
    assert health.device
    assert ask.ready() is True
    with pytest.raises(NotFound) as caught:
        ask.model("nobody")
    assert caught.value.code == "model_not_found"


def test_the_platform_is_told_how_long_the_caller_waits(ask: Client) -> None:
    with pytest.raises(DeadlineExceeded):
        ask.predict(["slow " * 50] * 100, timeout=0.001)


async def test_the_asynchronous_client_asks_the_same(running: Platform) -> None:
    async with AsyncClient(running.url, timeout=30) as client:
        single, several, picture, number, tensors, models, model, health, ready = await asyncio.gather(
            client.predict(GOOD),
            client.predict([GOOD, " "]),
            client.predict_file(SAMPLES / "3.png"),
            client.predict_numbers(PATIENT),
            client.infer("sentiment-zh", {"text": np.array([GOOD])}),
            client.models(),
            client.model("tabular"),
            client.health(),
            client.ready(),
        )
        found = [item async for item in client.batch(f"{GOOD} {at}" for at in range(600))]
    assert single.label == "正面"
    assert isinstance(several[1], FailedItem)
    assert picture.label == "3"
    assert isinstance(number, Numbers)
    assert tensors.outputs["label"].elements() == ["正面".encode()]
    assert len(models) == 3
    assert (model.task, health.status, ready) == ("tabular", "healthy", True)
    assert [item.text for item in found] == [f"{GOOD} {at}" for at in range(600)]


async def test_a_batch_that_nobody_reads_to_its_end_is_left(running: Platform) -> None:
    async with AsyncClient(running.url) as client:
        answers = client.batch(f"{GOOD} {at}" for at in range(100_000))
        assert (await anext(answers)).text == f"{GOOD} 0"
        await answers.aclose()
        assert await client.ready()
