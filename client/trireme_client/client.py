"""The client for code that waits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar, overload

import httpx

from trireme_client import calls
from trireme_client.batches import BatchItem, Streams
from trireme_client.calls import Call, EmbeddingInput, File
from trireme_client.core import DEFAULT_URL, Core, lines_of, reply_of
from trireme_client.errors import TriremeError
from trireme_client.reply import Reply
from trireme_client.results import (
    Classification,
    Embeddings,
    FailedItem,
    Health,
    Inference,
    ModelInfo,
    Numbers,
)
from trireme_client.retries import Attempts, Retries

T = TypeVar("T")


class Client:
    """Calls to one gateway, over kept connections. Safe to share between threads; close it, or use `with`.

    Every method takes `timeout`, the seconds that the call may take in all, retries and their pauses
    included; the platform is told what is left of it and drops work that nobody waits for. Methods
    that ask a model take `version` too; without it the platform's default answers. Every method raises
    the TriremeError that its failure is, see `trireme_client.errors`.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        retries: Retries | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        """`api_key` is sent as `authorization: Bearer`; `headers` go with every call; `timeout` is that
        of calls that name none. `http` brings TLS, proxies or a transport of one's own, and is not closed
        here. Raises ValueError for what is no http(s) address."""
        self._core = Core(url, api_key, headers, timeout, retries or Retries())
        self._own = http is None
        self._http = http if http is not None else httpx.Client(trust_env=self._core.trust_env)

    def close(self) -> None:
        """Closes the connections."""
        if self._own:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @overload
    def predict(
        self,
        texts: str,
        *,
        model: str | None = None,
        version: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Classification: ...
    @overload
    def predict(
        self,
        texts: list[str] | tuple[str, ...],
        *,
        model: str | None = None,
        version: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> list[Classification | FailedItem]: ...
    def predict(
        self,
        texts: str | list[str] | tuple[str, ...],
        *,
        model: str | None = None,
        version: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Classification | list[Classification | FailedItem]:
        """The label of a text, or those of 1 to 100 texts; without `model` the platform's default answers.

        Of several texts one that fails is a FailedItem in its place; a single one raises what it failed of.
        """
        if isinstance(texts, str):
            return self._call(calls.predict_one(texts, model, version), timeout, request_id)
        return self._call(calls.predict_many(texts, model, version), timeout, request_id)

    def predict_file(
        self,
        file: File,
        *,
        model: str | None = None,
        version: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Classification:
        """The label of a picture: its path, its bytes, or an open binary file. Raises OSError as well."""
        return self._call(calls.predict_file(file, model, version), timeout, request_id)

    def predict_numbers(
        self,
        numbers: Sequence[float],
        *,
        model: str | None = None,
        version: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Numbers | Classification:
        """The answer on one row of numbers: values of a regression, or a label.

        Raises ValueError for NaN and infinities, which cannot be sent.
        """
        return self._call(calls.predict_numbers(numbers, model, version), timeout, request_id)

    def batch(
        self,
        texts: Iterable[str],
        *,
        model: str | None = None,
        version: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[BatchItem]:
        """Answers of any number of texts, in their order, as they arrive; a text that fails is a FailedItem.

        Texts are drawn from the iterable as they are sent, some hundred at a time, so memory does not grow
        with their number. `timeout` is the longest silence of the platform, not the time of all texts: how
        quickly the answers are taken is the caller's affair.
        """
        if isinstance(texts, str):
            raise TypeError("batch() takes an iterable of texts, not one text")
        return self._batch(texts, model, version, timeout)

    def embeddings(
        self,
        given: EmbeddingInput,
        *,
        model: str,
        version: str | None = None,
        dimensions: int | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Embeddings:
        """Embeddings of a text, of texts, of the token ids of one text, or of those of several; 2,048 at
        most. `dimensions` other than the model's own is refused. An input that fails fails the call."""
        return self._call(calls.embeddings(given, model, version, dimensions), timeout, request_id)

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        outputs: Sequence[str] = (),
        version: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Inference:
        """Tensors through a model or a whole pipeline, as binary data in both directions.

        `inputs` are Tensors or numpy arrays by name; `outputs` names those that are wanted, all by default.
        """
        return self._call(calls.infer(model, inputs, outputs, version), timeout, request_id)

    def models(self, *, timeout: float | None = None) -> list[str]:
        """Names of the models that can be asked now."""
        return self._call(calls.models(), timeout)

    def model(self, name: str, *, timeout: float | None = None) -> ModelInfo:
        """One model: ready or not, its versions and its task."""
        return self._call(calls.model(name), timeout)

    def health(self, *, timeout: float | None = None) -> Health:
        """What the platform says of itself and its models."""
        return self._call(calls.health(), timeout)

    def ready(self, *, timeout: float | None = None) -> bool:
        """Whether the platform answers requests now; raises where nothing answers at all."""
        return self._call(calls.ready(), timeout)

    def _call(self, call: Call[T], timeout: float | None, request_id: str | None = None) -> T:
        attempts = self._core.begin(timeout, request_id)
        while True:
            try:
                return call.read(self._send(call, attempts))
            except TriremeError as error:
                pause = attempts.pause(error)
            time.sleep(pause)

    def _send(self, call: Call[Any], attempts: Attempts) -> Reply:
        request = self._core.request(call, attempts)
        content = bytearray()
        try:
            with self._http.stream(**request) as response:
                # A read's own time-out starts anew with every piece, the call's time does not.
                for part in response.iter_bytes():
                    attempts.remaining()
                    content += part
                return reply_of(response, bytes(content))
        except httpx.HTTPError as error:
            raise self._core.failure(error, attempts) from error

    def _batch(
        self, texts: Iterable[str], model: str | None, version: str | None, timeout: float | None
    ) -> Iterator[BatchItem]:
        streams = Streams()
        for text in texts:
            if stream := streams.add(text):
                yield from self._stream(stream, model, version, timeout)
        if stream := streams.rest():
            yield from self._stream(stream, model, version, timeout)

    def _stream(
        self, texts: list[str], model: str | None, version: str | None, timeout: float | None
    ) -> Iterator[BatchItem]:
        call = calls.batch(texts, model, version)
        attempts = self._core.begin(timeout, None)
        while True:
            try:
                with self._http.stream(**self._core.request(call, attempts)) as response:
                    if not response.is_success:
                        call.read(reply_of(response, response.read()))
                    lines = lines_of(response, texts, model)
                    for data in response.iter_bytes():
                        yield from lines.feed(data)
                    lines.finish()
                    return
            except httpx.HTTPError as error:
                pause = attempts.pause(self._core.failure(error, attempts))
            except TriremeError as error:  # of a kind that is retried only before the first line
                pause = attempts.pause(error)
            time.sleep(pause)
