"""What the servers are asked: a model, the items sent to it, and the answers of the oracle."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from benchmarks.exchanges import Exchange, Exchanges
from benchmarks.payloads import chinese_reviews, digit_pictures, english_texts, photographs
from benchmarks.peers.single_file import Pipeline
from benchmarks.servers import (
    ANCHOR,
    BASE64,
    BINARY,
    CONSTANT,
    DUPLICATES,
    IN_PROCESS,
    MANY_MODELS,
    MANY_REPLICAS,
    MEMORY_HIT,
    MISSES,
    ONE_MODEL,
    REDIS_HIT,
    SINGLE_FILE,
    TRIREME,
    UNCOALESCED,
)
from trireme_cli.loadtest.http import build_request
from trireme_postprocess.answers import Classification

ROOT = Path(__file__).resolve().parent.parent
COPIES = 16
"""How often each request is sent where duplicates are measured, one right after the other."""
# Another batch rounds its sums differently; an item this close to two labels proves nothing.
_CLOSE_CALL = 1e-3


@dataclass(frozen=True)
class Workload:
    """A model and how it is asked over HTTP."""

    name: str
    model: Path
    """Directory of the model, whose name is the model's."""
    items: Callable[[int], Sequence[str] | Sequence[bytes]]
    note: str
    servers: tuple[str, ...] = (ANCHOR, SINGLE_FILE, TRIREME)
    levels: tuple[int, ...] = (1, 64)
    """Connections."""
    cached: bool = False
    """Whether every request is to be answered by the result cache, which is off otherwise."""
    payloads: int | None = None
    """Most distinct items, where that matters."""

    def requests(self, items: Sequence[str | bytes]) -> list[bytes]:
        """A whole HTTP request for each item: a text in JSON, or a picture as the body."""
        return [self._request(item) for item in items]

    def _request(self, item: str | bytes) -> bytes:
        if isinstance(item, str):
            return build_request("/predict", "application/json", orjson.dumps({"texts": [item]}))
        return build_request(f"/v1/models/{self.model.name}/predict", _picture_type(item), item)

    def base64_requests(self, items: Sequence[str | bytes]) -> list[bytes]:
        """The same pictures as base64 in JSON; empty for texts."""
        target = f"/v1/models/{self.model.name}:predict"
        instances = [{"b64": b64encode(item).decode()} for item in items if isinstance(item, bytes)]
        bodies = [orjson.dumps({"instances": [instance]}) for instance in instances]
        return [build_request(target, "application/json", body) for body in bodies]


_TRIVIAL = ROOT / "benchmarks" / "models" / "trivial"
WORKLOADS = (
    Workload(
        "trivial",
        _TRIVIAL,
        english_texts,
        "a weighted count of n-grams: everything but the model",
        (ANCHOR, SINGLE_FILE, TRIREME, UNCOALESCED, IN_PROCESS),
        (1, 16, 64),
    ),
    Workload(
        "sentiment-zh", ROOT / "models" / "sentiment-zh", chinese_reviews, "Chinese reviews, a text a request"
    ),
    Workload(
        "digits", ROOT / "models" / "digits", digit_pictures, "PNG, 200 to 450 pixels a side, as the body"
    ),
    Workload(
        "cache",
        _TRIVIAL,
        english_texts,
        "the trivial model, every answer out of the result cache",
        (CONSTANT, MEMORY_HIT, REDIS_HIT),
        (64,),
        cached=True,
        payloads=256,
    ),
    Workload(
        "duplicates",
        _TRIVIAL,
        english_texts,
        f"the trivial model; `duplicates` asks everything {COPIES} times at once, computed once",
        (MISSES, DUPLICATES),
        (64,),
        cached=True,
    ),
    Workload(
        "forms",
        ROOT / "models" / "digits",
        photographs,
        "the digits model, photographs of 960 x 720 as the body, and as base64 in JSON",
        (BINARY, BASE64),
        payloads=128,
    ),
    Workload(
        "growth",
        _TRIVIAL,
        english_texts,
        "the trivial model alone, among 64 models, and behind 8 replicas of inference",
        (ONE_MODEL, MANY_MODELS, MANY_REPLICAS),
    ),
)


@dataclass(frozen=True)
class Questions:
    """The same requests with what each kind of server must answer."""

    model: Exchanges
    echo: Exchanges
    """What the anchor answers."""
    constant: Exchanges
    """What the server answers that says the same to everything."""
    base64: Exchanges
    """The pictures as base64 in JSON; none where items are texts."""

    def of(self, server: str) -> Exchanges:
        """What `server` is asked; the same questions for most."""
        if server == DUPLICATES:
            repeated = tuple(each for each in self.model.exchanges for _ in range(COPIES))
            return replace(self.model, exchanges=repeated, cache="coalesced")
        others = {ANCHOR: self.echo, CONSTANT: self.constant, BASE64: self.base64}
        if server == MISSES:
            return replace(self.model, cache="miss")
        return others.get(server, self.model)


def ask_oracle(workload: Workload, oracle: Pipeline, number: int) -> Questions:
    """About `number` distinct requests; items that are a close call between two labels are left out."""
    items = [(item, oracle(item)) for item in workload.items(number)]
    kept = [(item, answer) for item, answer in items if not _is_close(answer)]
    requests = workload.requests([item for item, _ in kept])
    answered = tuple(
        Exchange(request, answer.label, answer.by_label)
        for request, (_, answer) in zip(requests, kept, strict=True)
    )
    echoed = tuple(
        Exchange(request, item if isinstance(item, str) else len(item))
        for request, (item, _) in zip(requests, kept, strict=True)
    )
    first = min(kept[0][1].labels)
    constant = tuple(Exchange(request, first) for request in requests)
    b64 = workload.base64_requests([item for item, _ in kept])
    encoded = tuple(replace(each, request=other) for each, other in zip(answered, b64, strict=False))
    label, echo = _paths(kept[0][0])
    hit = "hit" if workload.cached else "off"
    return Questions(
        model=Exchanges(label, answered, hit),
        echo=Exchanges(echo, echoed),
        constant=Exchanges(label, constant, hit),
        base64=Exchanges(("predictions", 0, "label"), encoded, hit),
    )


def _paths(item: str | bytes) -> tuple[tuple[str | int, ...], tuple[str | int, ...]]:
    """Where the label stands in an answer to such an item, and where the anchor's echo does."""
    if isinstance(item, str):
        return ("results", 0, "label"), ("results", 0, "text")
    return ("label",), ("bytes",)


def _picture_type(item: bytes) -> str:
    return "image/jpeg" if item.startswith(b"\xff\xd8") else "image/png"


def _is_close(answer: Classification) -> bool:
    first, second, *_ = sorted(answer.probabilities, reverse=True)
    return first - second < _CLOSE_CALL
