"""The model under load: where it is, what it is asked, and one answer before the load begins."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from trireme_cli.failure import Failure, UsageFailure
from trireme_cli.loadtest import samples
from trireme_cli.loadtest.connection import Address
from trireme_cli.loadtest.form import TENSOR_FORMS, Form
from trireme_cli.loadtest.loops import Asker
from trireme_cli.loadtest.question import Question
from trireme_cli.loadtest.tally import Lost, described
from trireme_cli.loadtest.wire_forms import Requests, Tensors
from trireme_cli.platform_client import PlatformClient
from trireme_cli.predict.inputs import read_items
from trireme_cli.predict.items import Item, Origin, PictureItem, RowItem, TextItem
from trireme_common.shown_url import shown_url

_TEXT, _IMAGE, _TABULAR = ("text-classification", "text-embedding"), "image-classification", "tabular"


@dataclass(frozen=True)
class Target:
    """Whole requests to one address."""

    address: Address
    requests: Sequence[bytes]
    form: Form
    task: str
    made_up: bool


def address_of(url: str) -> Address:
    """Host, port and TLS of an http or https URL. Raises UsageFailure."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise UsageFailure(f"--url: {shown_url(url)!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageFailure(f"--url: {shown_url(url)!r} is no address; give one like http://127.0.0.1:8080")
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    return Address(parts.hostname, port or (443 if tls else 80), tls)


async def find_target(client: PlatformClient, question: Question, stdin: BinaryIO) -> Target:
    """Asks the platform for the model and makes the requests. Raises Failure, UsageFailure."""
    described = await client.model(question.model)
    if not described.get("ready"):
        raise Failure(
            f"model {question.model} is not ready; `trireme models list --url {client.url}` says why"
        )
    task = str(described.get("task", ""))
    form = question.form or (Form.V2_BINARY if task == "tensor" else Form.PREDICT)
    if task == "tensor" and form not in TENSOR_FORMS:
        raise UsageFailure(f"model {question.model} takes tensors: --protocol {', '.join(TENSOR_FORMS)}")
    address, parts = address_of(client.url), urlsplit(client.url)
    make = Requests(question.model, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), question.headers)
    inputs = await _tensors(client, question.model) if form in TENSOR_FORMS else []
    items = read_items(question.inputs, task, stdin)
    if not items and question.inputs.arguments:
        raise UsageFailure("the input is empty")
    if not items and task == "tensor":
        requests = make.of_samples(form, samples.TENSORS, inputs)
    else:
        requests = make.of_items(form, items or await _samples(client, question.model, task), inputs)
    return Target(address, requests, form, task, made_up=not items)


async def check_answer(target: Target, asker: Asker) -> None:
    """Asks the first request once. Raises Failure with what the platform says against it."""
    try:
        outcome = await asker.ask(target.requests[0])
    finally:
        asker.close()
    if isinstance(outcome, Lost) or outcome.status != 200:
        kind, detail = described(outcome)
        made_up = "\nThe input was made up; name one of your own as INPUT." if target.made_up else ""
        raise Failure(f"the first request already failed: {kind}: {detail}{made_up}")


async def _samples(client: PlatformClient, model: str, task: str) -> list[Item]:
    origin = Origin("sample")
    if task in _TEXT:
        return [TextItem(origin, text) for text in samples.texts()]
    if task == _IMAGE:
        return [PictureItem(origin, None, "image/png", picture) for picture in samples.pictures()]
    if task == _TABULAR:
        width = await _width(client, model)
        return [RowItem(origin, row) for row in samples.rows(width)]
    raise Failure(f"no samples are known for task {task!r}; name an INPUT")


async def _width(client: PlatformClient, model: str) -> int:
    """Numbers in a row: the last dimension of the model's own tensor."""
    shape = (await _tensors(client, f"{model}.inference"))[0]["shape"]
    if not shape or shape[-1] < 1:
        raise Failure(f"{model} does not say how many numbers a row has; name one as INPUT")
    return int(shape[-1])


async def _tensors(client: PlatformClient, model: str) -> Tensors:
    response = await client.request("GET", f"/v2/models/{quote(model, safe='')}")
    try:
        inputs: list[dict[str, Any]] = response.json()["inputs"]
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{client.url} does not say which tensors {model} takes") from error
    if not inputs:
        raise Failure(f"{client.url} says that {model} takes no tensor")
    return inputs
