from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_gateway.cache.key import KeyPrefix, Parameter, cache_key

# A small alphabet and the tags of the encoding: what could collide by concatenation, should.
texts = st.text(alphabet="abvSTmrdposbif\x00\x01\x02", max_size=4)
parameters: st.SearchStrategy[dict[str, Parameter]] = st.dictionaries(
    texts, st.one_of(texts, st.booleans(), st.integers(-2, 2), st.sampled_from([0.0, 1.0, -1.0])), max_size=2
)
questions = st.fixed_dictionaries(
    {
        "tenant": st.none() | texts,
        "model": texts,
        "version": texts,
        "digests": st.lists(texts, max_size=3).map(tuple),
        "parameters": parameters,
        "outputs": st.lists(texts, max_size=2).map(tuple),
        "payload": texts.map(str.encode),
    }
)


def identity(question: dict[str, object]) -> str:
    named = sorted((name, repr(value)) for name, value in question.items() if name != "parameters")
    typed = sorted((name, repr(value)) for name, value in question["parameters"].items())  # type: ignore[attr-defined]
    return repr((named, typed))


@given(st.lists(questions, min_size=2, max_size=40))
def test_two_questions_share_a_key_only_if_every_field_is_equal(asked: list[dict[str, object]]) -> None:
    by_key: dict[bytes, str] = {}
    for question in asked:
        key = cache_key(**question)  # type: ignore[arg-type]
        assert by_key.setdefault(key, identity(question)) == identity(question)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"model": "ab", "version": "c"}, {"model": "a", "version": "bc"}),
        ({"digests": ("ab",)}, {"digests": ("a", "b")}),
        ({"digests": ("a",)}, {"outputs": ("a",)}),
        ({"digests": ()}, {"digests": ("",)}),
        ({"outputs": ("a", "b")}, {"outputs": ("b", "a")}),
        ({"tenant": None}, {"tenant": ""}),
        ({"tenant": "a"}, {"tenant": "b"}),
        ({"parameters": {"k": 1}}, {"parameters": {"k": True}}),
        ({"parameters": {"k": 1}}, {"parameters": {"k": 1.0}}),
        ({"parameters": {"k": 1}}, {"parameters": {"k": "1"}}),
        ({"parameters": {"k": 1}}, {}),
    ],
)
def test_fields_do_not_run_into_each_other(one: dict[str, object], other: dict[str, object]) -> None:
    rest: dict[str, object] = {"tenant": None, "model": "m", "version": "1", "digests": ()}
    first = cache_key(b"payload", **(rest | one))  # type: ignore[arg-type]
    assert first != cache_key(b"payload", **(rest | other))  # type: ignore[arg-type]


def test_the_order_of_parameters_does_not_matter() -> None:
    def key(parameters: dict[str, Parameter]) -> bytes:
        return cache_key(b"", tenant=None, model="m", version="1", digests=(), parameters=parameters)

    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})


def test_a_prefix_gives_the_keys_of_single_items() -> None:
    prefix = KeyPrefix(tenant="t", model="m", version="3", digests=("d",), outputs=("o",))
    for payload in (b"", b"one", b"two" * 1000):
        single = cache_key(payload, tenant="t", model="m", version="3", digests=("d",), outputs=("o",))
        assert prefix.key(payload) == single
        assert len(single) == 32


def test_a_key_is_the_digest_of_the_documented_bytes() -> None:
    def field(tag: bytes, data: bytes) -> bytes:
        return tag + len(data).to_bytes(8, "big") + data

    written = field(b"v", b"\x01") + field(b"S", b"") + field(b"m", b"m") + field(b"r", b"1")
    written += field(b"d", field(b"s", b"x")) + field(b"p", field(b"s", b"k") + field(b"b", b"\x01"))
    written += field(b"o", b"") + b"payload"
    key = cache_key(b"payload", tenant=None, model="m", version="1", digests=("x",), parameters={"k": True})
    assert key == hashlib.blake2b(written, digest_size=32).digest()


def test_a_parameter_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="list"):
        cache_key(b"", tenant=None, model="m", version="1", digests=(), parameters={"k": [1]})  # type: ignore[dict-item]
