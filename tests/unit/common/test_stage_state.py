from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trireme_common.model_spec import ModelSpec
from trireme_common.stage_state import (
    ModelDescriptor,
    ModelVersion,
    StageState,
    State,
    TensorInfo,
    decode_state,
    encode_state,
    valid_text,
)
from trireme_protos.trireme.v1 import envelope_pb2

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
uint32 = st.integers(0, 2**32 - 1)
tensors = st.lists(
    st.builds(TensorInfo, texts, texts, st.lists(st.integers(-1, 2**63 - 1), max_size=3).map(tuple)),
    max_size=2,
).map(tuple)
descriptors = st.builds(
    ModelDescriptor,
    task=texts,
    platform=texts,
    inputs=tensors,
    outputs=tensors,
    max_batch_size=uint32,
    labels=st.lists(texts, max_size=3).map(tuple),
    has_preprocess=st.booleans(),
    has_postprocess=st.booleans(),
    digest=texts,
    max_items=uint32,
    max_bytes=st.integers(0, 2**64 - 1),
    timeout_ms=uint32,
    cache_enabled=st.booleans(),
    cache_ttl_seconds=uint32,
    cache_scope=texts,
    config=texts,
    at_once=st.booleans(),
)
versions = st.builds(ModelVersion, texts, texts, st.sampled_from(State), texts, st.none() | descriptors)
states = st.builds(StageState, st.lists(versions, max_size=3).map(tuple), st.booleans(), texts)


@given(states)
def test_a_state_survives_the_way_there_and_back(state: StageState) -> None:
    data = encode_state(state).SerializeToString()
    assert decode_state(envelope_pb2.StageState.FromString(data)) == state


def test_a_state_that_this_build_does_not_know_counts_as_unavailable() -> None:
    entry = envelope_pb2.ModelVersion(name="m", version="1").SerializeToString() + b"\x18\x63"
    message = envelope_pb2.StageState(models=[envelope_pb2.ModelVersion.FromString(entry)])
    assert decode_state(message).models[0].state is State.UNAVAILABLE
    message = envelope_pb2.StageState(models=[envelope_pb2.ModelVersion(name="m")])
    assert decode_state(message).models[0].state is State.UNAVAILABLE


def test_what_is_no_unicode_does_not_silence_a_stage() -> None:
    odd = "na\udcffme"
    state = StageState(
        (ModelVersion(odd, "", State.UNAVAILABLE, odd, ModelDescriptor("tensor", labels=(odd,))),)
    )
    (model,) = decode_state(encode_state(state)).models
    assert (model.name, model.reason) == ("na?me", "na?me")
    assert valid_text("名字") == "名字"


def test_the_descriptor_of_a_spec() -> None:
    spec = ModelSpec.model_validate(
        {
            "name": "m",
            "task": "tabular",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
            "limits": {"max_items": 3, "timeout_ms": 50},
            "cache": {"enabled": False, "ttl_seconds": 9, "scope": "shared"},
        }
    )
    descriptor = ModelDescriptor.of(spec, digest="d", labels=("a",))
    assert descriptor.inputs == (TensorInfo("x", "FP32", (-1, 3)),)
    assert (descriptor.max_items, descriptor.max_bytes, descriptor.timeout_ms) == (3, 0, 50)
    assert (descriptor.cache_enabled, descriptor.cache_ttl_seconds, descriptor.cache_scope) == (
        False,
        9,
        "shared",
    )
    assert descriptor.has_preprocess
    assert not ModelDescriptor.of(ModelSpec(name="m"), digest="d").has_postprocess


def test_labels_of_an_output_and_the_configuration_travel() -> None:
    y = TensorInfo("y", "FP32", (-1, 2), ("好", "\ud800"))
    descriptor = ModelDescriptor("tensor", outputs=(y,), config='{"name": "m"}')
    (model,) = decode_state(
        encode_state(StageState(models=(ModelVersion("m", "1", State.READY, descriptor=descriptor),)))
    ).models
    assert model.descriptor is not None
    assert model.descriptor.outputs[0].labels == ("好", "?")
    assert model.descriptor.config == '{"name": "m"}'
