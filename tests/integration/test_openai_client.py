"""POST /v1/embeddings and the models' routes by OpenAI's own client, over the sentence encoder minilm."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest
from tokenizers import Tokenizer

from tests.support.platform import Platform
from trireme_client import Client

SENTENCES = ["A man is eating food.", "galley with three banks of oars", "这家酒店非常好", "a"]


@pytest.fixture
def ask(embedding: Platform) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{embedding.url}/v1", api_key="none", timeout=60, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def tokenizer(minilm: Path) -> Tokenizer:
    return Tokenizer.from_file(str(minilm / "1" / "tokenizer.json"))


def vectors(answer: openai.types.CreateEmbeddingResponse) -> np.ndarray:
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return np.array([item.embedding for item in answer.data])


def test_texts(ask: openai.OpenAI, tokenizer: Tokenizer) -> None:
    answer = ask.embeddings.create(model="minilm", input=SENTENCES)
    found = vectors(answer)
    assert found.shape == (len(SENTENCES), 384)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert (answer.object, answer.model, answer.data[0].object) == ("list", "minilm", "embedding")
    tokens = sum(len(tokenizer.encode(sentence).ids) for sentence in SENTENCES)
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (tokens, tokens)
    alone = vectors(ask.embeddings.create(model="minilm", input=SENTENCES[0]))
    np.testing.assert_allclose(alone[0], found[0], rtol=1e-4, atol=1e-6)


def test_like_texts_are_near(ask: openai.OpenAI) -> None:
    texts = ["How do I reset my password?", "I forgot my login credentials", "The cat sleeps in the sun"]
    first, like, other = vectors(ask.embeddings.create(model="minilm", input=texts))
    assert first @ like > first @ other + 0.2


@pytest.mark.parametrize("special", [True, False])
def test_token_ids_are_the_text_they_are_of(ask: openai.OpenAI, tokenizer: Tokenizer, special: bool) -> None:
    ids = [tokenizer.encode(sentence, add_special_tokens=special).ids for sentence in SENTENCES]
    of_texts = ask.embeddings.create(model="minilm", input=SENTENCES)
    of_ids = ask.embeddings.create(model="minilm", input=ids)
    np.testing.assert_allclose(vectors(of_ids), vectors(of_texts), rtol=1e-4, atol=1e-6)
    assert of_ids.usage == of_texts.usage
    one = ask.embeddings.create(model="minilm", input=ids[1])
    np.testing.assert_allclose(vectors(one)[0], vectors(of_texts)[1], rtol=1e-4, atol=1e-6)


def test_both_encodings_carry_the_same_float32(ask: openai.OpenAI) -> None:
    numbers = ask.embeddings.create(model="minilm", input="a", encoding_format="float")
    encoded = ask.embeddings.create(model="minilm", input="a", encoding_format="base64")
    text = encoded.data[0].embedding
    assert isinstance(text, str)
    assert struct.unpack("<384f", base64.b64decode(text)) == tuple(np.float32(numbers.data[0].embedding))


def test_dimensions(ask: openai.OpenAI) -> None:
    assert len(ask.embeddings.create(model="minilm", input="a", dimensions=384).data[0].embedding) == 384
    with pytest.raises(openai.BadRequestError, match="384") as caught:
        ask.embeddings.create(model="minilm", input="a", dimensions=128)
    assert caught.value.param == "dimensions"


def test_the_cache_answers_with_the_same_usage(ask: openai.OpenAI) -> None:
    raw = [
        ask.embeddings.with_raw_response.create(model="minilm", input=["asked twice", "and again"])
        for _ in range(2)
    ]
    assert raw[1].headers["x-cache"] == "hit"
    first, again = (answer.parse() for answer in raw)
    assert again.usage == first.usage
    assert first.usage.prompt_tokens > 4
    np.testing.assert_array_equal(vectors(again), vectors(first))


def test_a_long_text_is_cut_and_counted_as_it_was_read(ask: openai.OpenAI) -> None:
    answer = ask.embeddings.create(model="minilm", input="word " * 2000)
    assert answer.usage.prompt_tokens == 256


def test_many_inputs(ask: openai.OpenAI) -> None:
    texts = [f"sentence number {at}" for at in range(200)]
    found = vectors(ask.embeddings.create(model="minilm", input=texts))
    alone = vectors(ask.embeddings.create(model="minilm", input=texts[150]))
    np.testing.assert_allclose(found[150], alone[0], rtol=1e-4, atol=1e-6)


def test_failures_are_its_own_exceptions(ask: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="unknown model 'nobody'") as missing:
        ask.embeddings.create(model="nobody", input="a")
    assert missing.value.code == "model_not_found"
    assert missing.value.request_id
    for given, reason in (
        ("", "blank"),
        (["a", " "], r"input\[1\]"),
        ([], "must be"),
        (["a"] * 2049, "2048"),
        ([99_999_999], "vocabulary"),
    ):
        with pytest.raises(openai.BadRequestError, match=reason) as refused:
            ask.embeddings.create(model="minilm", input=given)
        assert refused.value.param == "input"
        assert refused.value.type == "invalid_request_error"
    with pytest.raises(openai.BadRequestError, match="text-classification"):
        ask.embeddings.create(model="sentiment-zh", input="a")


def test_models(ask: openai.OpenAI) -> None:
    assert {model.id for model in ask.models.list()} == {"minilm", "sentiment-zh"}


async def test_the_asynchronous_client(embedding: Platform) -> None:
    async with openai.AsyncOpenAI(base_url=f"{embedding.url}/v1", api_key="none", timeout=60) as client:
        answer = await client.embeddings.create(model="minilm", input=SENTENCES)
    assert vectors(answer).shape == (len(SENTENCES), 384)


def test_the_other_routes_give_the_same_embedding(ask: openai.OpenAI, embedding: Platform) -> None:
    expected = vectors(ask.embeddings.create(model="minilm", input=SENTENCES))
    plain = httpx.post(
        f"{embedding.url}/predict", params={"model": "minilm"}, json={"texts": SENTENCES}, timeout=60
    )
    found = [item["embedding"] for item in plain.raise_for_status().json()["results"]]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    with Client(embedding.url) as client:
        ours = client.embeddings(SENTENCES, model="minilm")
        np.testing.assert_array_equal(np.array(ours.vectors), expected)
        assert ours.prompt_tokens > len(SENTENCES)
        assert ours.served.model == "minilm"
        batch = [item.values for item in client.batch(SENTENCES, model="minilm")]  # type: ignore[union-attr]
        np.testing.assert_allclose(np.array(batch), expected, rtol=1e-5, atol=1e-7)
