"""The key of one item's answer: BLAKE2b-256 over everything that decides the answer.

Each field is written as a tag, its length and its bytes, so no two different sequences of fields give the
same bytes. Not in the key: request id, headers, and how the question was encoded, so JSON, binary tensors
and gRPC share an entry. All fields but the payload are the same for the items of a request: they are hashed
once, and each item continues from a copy of that state.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence

KEY_BYTES = 32
_SCHEMA = 1
_LENGTH = struct.Struct(">cQ")

Parameter = bool | int | float | str


class KeyPrefix:
    """Makes the keys of the items that share scope, model, version, digests, parameters and outputs."""

    __slots__ = ("_state",)

    def __init__(
        self,
        *,
        tenant: str | None,
        model: str,
        version: str,
        digests: Sequence[str],
        parameters: Mapping[str, Parameter] | None = None,
        outputs: Sequence[str] = (),
    ) -> None:
        """`tenant` None is the scope shared by all tenants. `version` is the resolved one, never an alias.

        `digests` are those of the stages' artefacts, in the order of the stages; `outputs` are the requested
        outputs in the order of the request. Parameters are compared by type and value: 1, 1.0, True and "1"
        are four questions. Raises TypeError for a parameter of any other type.
        """
        self._state = hashlib.blake2b(_field(b"v", bytes((_SCHEMA,))), digest_size=KEY_BYTES)
        self._state.update(_field(b"S", b"") if tenant is None else _field(b"T", tenant.encode()))
        self._state.update(_field(b"m", model.encode()))
        self._state.update(_field(b"r", version.encode()))
        self._state.update(_fields(b"d", (_text(digest) for digest in digests)))
        self._state.update(_fields(b"p", _parameters(parameters or {})))
        self._state.update(_fields(b"o", (_text(output) for output in outputs)))

    def key(self, payload: bytes) -> bytes:
        """Key of 32 bytes for an item; `payload` is its canonical form (deterministic `Tensors`)."""
        state = self._state.copy()
        state.update(payload)
        return state.digest()


def cache_key(
    payload: bytes,
    *,
    tenant: str | None,
    model: str,
    version: str,
    digests: Sequence[str],
    parameters: Mapping[str, Parameter] | None = None,
    outputs: Sequence[str] = (),
) -> bytes:
    """Key of a single item; see `KeyPrefix`, which is cheaper for several."""
    prefix = KeyPrefix(
        tenant=tenant, model=model, version=version, digests=digests, parameters=parameters, outputs=outputs
    )
    return prefix.key(payload)


def _field(tag: bytes, data: bytes) -> bytes:
    return _LENGTH.pack(tag, len(data)) + data


def _fields(tag: bytes, encoded: Iterable[bytes]) -> bytes:
    return _field(tag, b"".join(encoded))


def _text(text: str) -> bytes:
    return _field(b"s", text.encode())


def _parameters(parameters: Mapping[str, Parameter]) -> Iterable[bytes]:
    for name in sorted(parameters):
        yield _text(name)
        yield _parameter(parameters[name])


def _parameter(value: Parameter) -> bytes:
    if isinstance(value, bool):
        return _field(b"b", b"\x01" if value else b"\x00")
    if isinstance(value, int):
        return _field(b"i", str(value).encode())
    if isinstance(value, float):
        return _field(b"f", struct.pack(">d", value))
    if isinstance(value, str):
        return _text(value)
    raise TypeError(f"a parameter of type {type(value).__name__} cannot be part of a cache key")
