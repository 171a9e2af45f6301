"""Items of one request that share a ModelInfer call, and the answer cut into theirs.

Rows lie one after the other in row-major order, so joining along the batch dimension is joining bytes, and
an answer of fixed-size elements is cut at equal distances. Elements of BYTES stand behind their lengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from trireme_common.errors import Code, TriremeError
from trireme_common.payloads import MAX_PAYLOAD_BYTES
from trireme_common.tensors import Data, Tensor, decode_bytes, encode_bytes
from trireme_gateway.hop.ports import HopItem

_Kind = tuple[tuple[str, str, tuple[int, ...]], ...]
"""Name, datatype and shape but for its rows, of every tensor."""


@dataclass(slots=True)
class Batch:
    """Items that go together, the tensors and the rows of each."""

    items: list[HopItem] = field(default_factory=list)
    tensors: list[Sequence[Tensor]] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    size: int = 0
    """Bytes of data."""

    def joined(self) -> Sequence[Tensor]:
        """The tensors of the call."""
        if len(self.items) == 1:
            return self.tensors[0]
        total = sum(self.rows)
        return [
            Tensor(
                parts[0].name,
                parts[0].datatype,
                (total, *parts[0].shape[1:]),
                b"".join(part.data for part in parts),
            )
            for parts in zip(*self.tensors, strict=True)
        ]

    def cut(self, outputs: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """The outputs of each item. Raises TriremeError(INTERNAL) where they do not have the rows."""
        if len(self.items) == 1:
            return iter([tuple(outputs)])
        if not outputs:
            raise TriremeError(Code.INTERNAL, "the inference server answered without outputs")
        return zip(*(_cut(tensor, self.rows) for tensor in outputs), strict=True)

    def alone(self) -> Iterator[Batch]:
        """Each item as a batch of its own."""
        for item, tensors, rows in zip(self.items, self.tensors, self.rows, strict=True):
            yield Batch([item], [tensors], [rows])


def batches(items: Iterable[tuple[HopItem, Sequence[Tensor]]], most_rows: int) -> list[Batch]:
    """Items with their tensors, in calls of at most `most_rows` rows; fewer than two join nothing."""
    found: list[Batch] = []
    filling: dict[_Kind, Batch] = {}
    for item, tensors in items:
        rows = _rows(tensors) if most_rows > 1 else 0
        kind = tuple((tensor.name, tensor.datatype, tensor.shape[1:]) for tensor in tensors)
        size = sum(len(tensor.data) for tensor in tensors)
        batch = filling.get(kind) if rows else None
        if batch is None or sum(batch.rows) + rows > most_rows or batch.size + size > MAX_PAYLOAD_BYTES:
            batch = Batch()
            found.append(batch)
            if rows:
                filling[kind] = batch
        batch.items.append(item)
        batch.tensors.append(tensors)
        batch.rows.append(rows)
        batch.size += size
    return found


def _rows(tensors: Sequence[Tensor]) -> int:
    """Rows that all tensors have; 0 where they do not agree on it."""
    firsts = {tensor.shape[0] if tensor.shape else 0 for tensor in tensors}
    return firsts.pop() if len(firsts) == 1 else 0


def _cut(tensor: Tensor, rows: Sequence[int]) -> list[Tensor]:
    total = sum(rows)
    if tensor.shape[:1] != (total,):
        raise TriremeError(
            Code.INTERNAL,
            f"the inference server answered {total} rows with output '{tensor.name}' of shape "
            f"{list(tensor.shape)}",
        )
    parts: list[Data] = []
    if tensor.datatype == "BYTES":
        elements = decode_bytes(tensor.name, tensor.data)
        each = len(elements) // total
        at = 0
        for count in rows:
            parts.append(encode_bytes(elements[at : at + count * each]))
            at += count * each
    else:
        each = len(tensor.data) // total
        at = 0
        for count in rows:
            parts.append(tensor.data[at : at + count * each])
            at += count * each
    return [
        Tensor(tensor.name, tensor.datatype, (count, *tensor.shape[1:]), part)
        for count, part in zip(rows, parts, strict=True)
    ]
