"""How many tokens a model read for an item, from the tensors that preprocess made of it."""

from __future__ import annotations

from trireme_common.tensors import decode_tensors
from trireme_protos.trireme.v1 import postprocess_pb2

_MASK, _IDS = "attention_mask", "input_ids"  # as the step `tokenize` names them


def count_tokens(prepared: bytes) -> int:
    """Tokens of an item, special ones included, from preprocess's serialised `Tensors`.

    Without an attention mask the model reads the padding too, so it counts. 0 where the model's
    preprocessing knows no tokens. Raises TriremeError(INVALID_ARGUMENT) for malformed bytes.
    """
    arrays = {tensor.name: tensor for tensor in decode_tensors(prepared)}
    if _MASK in arrays:
        return int(arrays[_MASK].array().sum())
    return int(arrays[_IDS].array().size) if _IDS in arrays else 0


def with_tokens(answer: bytes, tokens: int) -> bytes:
    """A serialised `trireme.v1.Answer` with its number of tokens: protobuf joins messages by joining
    their bytes, so the answer is not parsed here."""
    return answer + postprocess_pb2.Answer(tokens=tokens).SerializeToString()
